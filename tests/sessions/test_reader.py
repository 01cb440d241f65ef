"""The reader: never a wrong event, always the right verdict."""

import dataclasses
import json
import math
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.support.sessions import HEADER, write_session
from tests.support.bodies import expect
from tests.support.clock import Clock
from tui import events as ev
from tui.events import json_form
from tui.host import paths
from tui.host.errors import UserError
from tui.sessions import lines, reader
from tui.sessions.journal import Journal
from tui.sessions.player import Player


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a complete session."""
    return write_session(tmp_path_factory.mktemp("real"), tokens=2).read_bytes()


def split(data: bytes) -> list[bytes]:
    return [line + b"\n" for line in data.split(b"\n")[:-1]]


def scan(data: bytes) -> reader.ScanResult:
    return reader.scan(data, "x.duibi")


def test_truncation_at_every_byte(real: bytes) -> None:
    events, ends = scan(real).events, []
    at = 0
    for line in split(real):
        ends.append(at := at + len(line))
    for size in range(len(real)):
        whole = sum(end <= size for end in ends)
        cut = scan(real[:size])
        assert cut.events == events[:whole]
        clean = size in ends
        assert cut.verdict == ("interrupted" if clean else "torn"), size
        assert cut.dropped_bytes == size - ([0, *ends][whole])


def test_no_flipped_bit_gives_a_wrong_event(real: bytes) -> None:
    events = scan(real).events
    last = real.rfind(b"\n", 0, -1) + 1
    for at in range(0, len(real), 3):
        for bit in range(8):
            flipped = bytearray(real)
            flipped[at] ^= 1 << bit
            result = scan(bytes(flipped))
            assert result.events == events[: len(result.events)]
            # The newline before the last line joins both: then nothing valid follows either.
            wanted = "torn" if at >= last - 1 else "damaged"
            assert result.verdict == wanted, (at, bit)


def test_garbage_after_the_end_is_dropped(real: bytes) -> None:
    events = scan(real).events
    chance = random.Random(7)
    for _ in range(200):
        tail = chance.randbytes(chance.randrange(1, 300))
        result = scan(real + tail)
        assert result.events == events
        assert result.verdict == "torn"
        assert result.dropped_bytes == len(tail)


def test_deleted_doubled_and_swapped_lines_are_seen(real: bytes) -> None:
    rows, events = split(real), scan(real).events
    for i in range(len(rows)):
        without = scan(b"".join(rows[:i] + rows[i + 1 :]))
        doubled = scan(b"".join([*rows[: i + 1], *rows[i:]]))
        assert without.events == events[:i]
        assert without.verdict == ("damaged" if i < len(rows) - 1 else "interrupted")
        assert doubled.events == events[: i + 1]
        assert doubled.verdict == "damaged"
        if i + 1 < len(rows):
            swapped = scan(b"".join([*rows[:i], rows[i + 1], rows[i], *rows[i + 2 :]]))
            assert swapped.events == events[:i]
            assert swapped.verdict == "damaged"


def test_a_good_line_of_another_session_is_seen_by_the_sum_of_the_end(
    real: bytes, tmp_path: Path
) -> None:
    other = split(write_session(tmp_path, tokens=3).read_bytes())
    rows = split(real)
    rows[-2] = lines.encode_line(dataclasses.replace(scan(real).events[-2], t_us=1))[1]
    found = scan(b"".join(rows))
    assert found.verdict == "damaged"
    assert "checksum of the whole file" in found.problem
    assert scan(b"".join(other)).verdict == "complete"


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ([1, 0, 0, "delta", {"answer": "0"}], "delta.answer"),
        ([1, -5, 0, "delta", {"answer": 0}], "time out of range"),
        ([1, 2**60, 0, "delta", {"answer": 0}], "time out of range"),
        ([1, 0, 0, "answered", {"answer": 0, "finish": "stop", "ttft_ms": 2**70}], "range"),
        ([1, 0, -1, "session", json_form.payload(HEADER)], "second header"),
        ({"not": "a row"}, "not one JSON array"),
        ([2, 0, 0, "delta", {"answer": 0}], "numbered 2"),
    ],
)
def test_a_line_with_a_good_sum_and_bad_content_stops_the_reading(
    real: bytes, row: object, problem: str
) -> None:
    rows = split(real)
    bad = lines.add_crc(json.dumps(row).encode())
    result = scan(b"".join([rows[0], bad, *rows[2:]]))
    assert len(result.events) == 1
    assert result.verdict == "damaged"
    assert problem in result.problem
    assert result.line == 2


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1e999", "1" * 5000, "[" * 5000])
def test_numbers_and_depths_no_display_could_bear(real: bytes, text: str) -> None:
    body = f'[1,0,0,"answered",{{"answer":0,"finish":"stop","ttft_ms":{text}}}]'.encode()
    assert len(scan(split(real)[0] + lines.add_crc(body)).events) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"models": ["demo"]},
        {"questions": {"questions": "all"}},
        {"questions": {"questions": ["one"]}},
        {"questions": {"questions": [{"id": "q", "turns": [1]}]}},
        {"questions": {"questions": [{"id": "q", "turns": "ab"}]}},
    ],
)
def test_a_header_that_displays_could_not_bear_is_none(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    path = tmp_path / "x.duibi"
    path.write_bytes(
        lines.encode_line(ev.Event(0, 0, -1, dataclasses.replace(HEADER, **change)))[1]
    )
    with pytest.raises(UserError, match="no session header"):
        reader.read(path)


def test_too_many_models_are_the_reason_that_is_told(tmp_path: Path) -> None:
    head = dataclasses.replace(HEADER, models=[{"name": "demo"}] * 65)
    path = tmp_path / "x.duibi"
    path.write_bytes(lines.encode_line(ev.Event(0, 0, -1, head))[1])
    with pytest.raises(UserError, match="it names 65 models, more than 64"):
        reader.read(path)


@pytest.mark.parametrize("body", [ev.Delta(0, text="a"), ev.Cancelled(0)])
def test_a_session_that_begins_with_another_event_has_no_header(
    tmp_path: Path, body: ev.Body
) -> None:
    path = tmp_path / "x.duibi"
    path.write_bytes(lines.encode_line(ev.Event(0, 0, 0, body))[1])
    with pytest.raises(UserError, match="no session header"):
        reader.read(path)


@pytest.mark.parametrize(
    "broken",
    [
        [b'[1,0,-1,"note",{"text":"a"}],[2,0,-1,"other",{"x":[[1]', b"[2]]}]"],
        [b'[1,0,-1,"note",{"text":"a"}],[2', b'0,-1,"note",{"text":"b"}]'],
        [b'[1,0,-1,"note",{"text":"a', b'b"}]'],
        [b'[1,0,-1,"note",{"text":"a"}],[2,0,-1,"note",{"text":"b"}]', b""],
        [b' [1,0,-1,"note",{"text":"a"}]', b'[2,0,-1,"note",{"text":"b"}]'],
    ],
)
def test_no_value_goes_from_one_line_to_the_next(real: bytes, broken: list[bytes]) -> None:
    header = split(real)[0]
    found = scan(header + b"".join(map(lines.add_crc, broken)))
    assert found.count == 1
    assert found.problem
    assert found.verdict == "damaged"


@settings(deadline=None)
@given(st.lists(st.text(alphabet='[]{}",:0 a\\\t\u00e9', max_size=12), min_size=1, max_size=4))
def test_lines_read_together_are_what_they_are_alone(bodies: list[str]) -> None:
    batch = [lines.add_crc(body.encode()) for body in bodies]
    together = lines.decode_lines(batch)
    if together is not None:
        assert together == [lines.decode_line(line) for line in batch]


def test_unknown_kinds_are_kept(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, HEADER)
    later = journal.append(1, 0, ev.Unknown("hologram", {"depth": [1, None]}))
    journal.close("done")
    reading = reader.read(journal.path)
    assert reading.verdict == "complete"
    assert reading.events[1] == later


def test_a_newer_format_is_refused_with_a_message(tmp_path: Path) -> None:
    path = tmp_path / "x.duibi"
    path.write_bytes(lines.encode_line(ev.Event(0, 0, -1, dataclasses.replace(HEADER, v=2)))[1])
    with pytest.raises(UserError, match="newer duibi") as caught:
        reader.read(path)
    assert "upgrade" in caught.value.next_step


def test_a_format_from_before_time_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "x.duibi"
    header = dataclasses.replace(HEADER, v=-(2**63))
    path.write_bytes(lines.encode_line(ev.Event(0, 0, -1, header))[1])
    with pytest.raises(UserError, match="does not read"):
        reader.read(path)


@pytest.mark.parametrize("content", [b"", b"hello\n", b"\0" * 4096, b"\n" * 100])
def test_what_is_no_session_is_one_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.duibi"
    path.write_bytes(content)
    with pytest.raises(UserError, match="line 1"):
        reader.read(path)


def test_pipes_devices_and_folders_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.duibi")
    for path in (tmp_path / "pipe.duibi", Path("/dev/zero"), tmp_path, tmp_path / "none.duibi"):
        with pytest.raises(UserError):
            reader.read(path)


def test_too_large_a_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "x.duibi"
    with path.open("wb") as file:
        file.truncate(lines.MAX_FILE + 1)
    with pytest.raises(UserError, match=r"1\.1 GB"):
        reader.read(path)


def test_an_endless_line_is_one_error(tmp_path: Path) -> None:
    path = write_session(tmp_path)
    good = reader.read(path)
    with path.open("ab") as file:
        file.write(b"[" * (lines.MAX_LINE + 10))
    reading = reader.read(path)
    assert reading.events == good.events
    assert reading.verdict == "torn"


def test_repair_writes_the_good_prefix_beside_it(real: bytes, tmp_path: Path) -> None:
    rows = split(real)
    path = tmp_path / "x.duibi"
    path.write_bytes(b"".join(rows[:5] + rows[6:]))
    before = path.read_bytes()
    saved = reader.repair(path)
    assert saved == tmp_path / "x.recovered.duibi"
    assert saved.read_bytes() == b"".join(rows[:5])
    assert path.read_bytes() == before
    assert reader.read(saved).verdict == "interrupted"
    with pytest.raises(UserError, match="there already"):
        reader.repair(path)


def test_a_migration_brings_an_old_session_up(tmp_path: Path) -> None:
    """Format 0 exists only here: it called a delta's count `tokens`."""

    def from_0(row: list[Any]) -> list[Any]:
        seq, t_us, model, kind, payload = row
        if kind == "session":
            payload = payload | {"v": 1}
        if kind == "delta":
            payload = {("n" if k == "tokens" else k): v for k, v in payload.items()}
        return [seq, t_us, model, kind, payload]

    golden = Path(__file__).parent.parent / "data" / "sessions" / "v0.duibi"
    with pytest.raises(UserError, match="session format 0"):
        reader.read(golden)
    reading = reader.read(golden, {0: from_0})
    assert reading.verdict == "complete"
    assert reading.header.v == 1
    assert [e.body.n for e in reading.events if isinstance(e.body, ev.Delta)] == [1, 3]


GOLDEN = Path(__file__).parent.parent / "data" / "sessions" / "v1.duibi"
SHIPPED = sorted(paths.bundled("sessions").glob("*.duibi"))


@pytest.mark.parametrize("path", [GOLDEN, *SHIPPED], ids=lambda path: path.stem)
def test_a_session_is_exported_again_byte_for_byte(path: Path) -> None:
    reading = reader.read(path)
    assert reading.verdict == "complete"
    assert b"".join(lines.encode_line(e)[1] for e in reading.events) == path.read_bytes()


@pytest.mark.parametrize("speed", [1.0, 8.0, math.inf])
@pytest.mark.parametrize("path", [GOLDEN, *SHIPPED], ids=lambda path: path.stem)
def test_what_a_replay_gives_out_is_the_file_byte_for_byte(path: Path, speed: float) -> None:
    """With a clock of its own that moves in uneven steps, and after going back once."""
    clock, chance = Clock(), random.Random(3)
    player = Player(reader.read(path).events, clock, speed=speed)
    given_out: list[ev.Event] = []
    turned = False
    while not player.has_ended:
        reset, events = player.drain()
        given_out = events if reset else given_out + events
        if not turned and player.position_us > player.duration_us / 2:
            turned = True
            player.seek(player.duration_us // 4)
        clock.now += chance.uniform(0.001, 3)
    lines_ = [lines.encode_line(e)[1] for e in sorted(given_out, key=lambda e: e.seq)]
    assert b"".join(lines_) == path.read_bytes()


def test_the_golden_file_of_version_1_reads_as_ever() -> None:
    reading = reader.read(GOLDEN)
    assert len({e.body.kind for e in reading.events}) == 16
    assert reading.events[6] == ev.Event(6, 1_500_000, 0, ev.Delta(0, 2, "你好 \u2028\x1b"))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_change_gives_a_prefix_or_one_error(real: bytes, data: st.DataObject) -> None:
    events = scan(real).events
    start = data.draw(st.integers(0, len(real)))
    stop = data.draw(st.integers(start, min(len(real), start + 200)))
    put = data.draw(st.binary(max_size=60))
    changed = real[:start] + put + real[stop:]
    result = scan(changed)
    assert result.events == events[: len(result.events)]
    if changed != real:
        assert result.verdict in ("torn", "damaged", "interrupted")


@settings(max_examples=300, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    ),
    st.sampled_from(sorted(json_form._KINDS)),
)
def test_any_payload_is_an_event_or_damage(payload: object, kind: str) -> None:
    first = lines.encode_line(ev.Event(0, 0, -1, HEADER))[1]
    second = lines.add_crc(json.dumps([1, 0, 0, kind, payload]).encode())
    assert len(scan(first + second).events) in (1, 2)


@settings(max_examples=200, deadline=None)
@given(st.text(), st.text(alphabet="\ud800\udfff\x00\x1b\n\t\u2028\x85é世"))
def test_any_text_comes_back_as_it_was_acknowledged(
    tmp_path_factory: pytest.TempPathFactory, text: str, odd: str
) -> None:
    event, line = lines.encode_line(ev.Event(1, 2, 0, ev.Delta(0, text=text + odd)))
    assert line.count(b"\n") == 1
    line.decode()
    assert lines.decode_event(lines.decode_line(line)) == event
    assert "\ud800" not in expect(ev.Delta, event.body).text


def test_reading_needs_neither_screen_nor_torch() -> None:
    program = (
        "import sys, tui.sessions.reader, tui.sessions.player, tui.sessions.follow,"
        " tui.sessions.library\n"
        "assert not {'torch', 'transformers', 'textual', 'rich'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
