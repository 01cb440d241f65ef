"""docs/session-format.md is complete: who reads by it alone reads what this program reads."""

import ast
import dataclasses
import json
import tempfile
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import page_reader
from tui import events as ev
from tui.events import json_form
from tui.host import paths
from tui.host.errors import UserError
from tui.sessions import lines, reader

ROOT = Path(__file__).parent.parent.parent
GOLDEN = ROOT / "docs" / "session-format.duibi"
SHIPPED = sorted(paths.bundled("sessions").glob("*.duibi"))
V1 = ROOT / "tests" / "data" / "sessions" / "v1.duibi"


def rows(events: list[ev.Event]) -> list[Any]:
    """The program's events in the form of the page's reader."""
    found = []
    for event in events:
        body = event.body
        payload = body.payload if isinstance(body, ev.Unknown) else dataclasses.asdict(body)
        found.append((event.seq, event.t_us, event.model, body.kind, payload))
    return found


def by_page(data: bytes) -> tuple[str, str, int]:
    try:
        found = page_reader.read(data)
    except page_reader.RefusedError:
        return "refused", "", 0
    # As JSON text: 1, 1.0 and true are equal to Python, and not the same.
    return found.verdict, json.dumps(found.events), found.good_bytes


def by_program(data: bytes) -> tuple[str, str, int]:
    try:
        found = reader.scan(data, "x")
    except UserError:
        return "refused", "", 0
    return found.verdict, json.dumps(rows(found.events)), found.good_bytes


def line(*row: Any) -> bytes:
    body = json.dumps(row).encode()
    return b"%b\t%08x\n" % (body, zlib.crc32(body))


def header(**fields: Any) -> bytes:
    payload = {"v": 1, "program": "x", "started": "y", "models": [], "questions": {}} | fields
    return line(0, 0, -1, "session", payload)


@pytest.fixture(scope="module")
def golden() -> bytes:
    return GOLDEN.read_bytes()


def test_the_reader_of_the_page_knows_nothing_of_the_program() -> None:
    tree = ast.parse(Path(page_reader.__file__).read_text(encoding="utf-8"))
    names = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    names |= {str(n.module) for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in names} == {
        *("dataclasses", "json", "math", "pathlib", "re", "typing", "zlib")
    }


@pytest.mark.parametrize("path", [GOLDEN, V1, *SHIPPED], ids=lambda path: path.stem)
def test_both_read_the_same_events(path: Path) -> None:
    data = path.read_bytes()
    verdict, events, good = by_page(data)
    assert (verdict, good) == ("complete", len(data))
    assert (verdict, events, good) == by_program(data)


def test_the_golden_file_is_what_this_program_writes(golden: bytes) -> None:
    events = reader.scan(golden, GOLDEN.name).events
    assert b"".join(lines.encode_line(event)[1] for event in events) == golden


def test_the_golden_file_holds_every_field_with_another_value_than_its_default() -> None:
    seen: dict[str, set[str]] = {}
    for event in reader.read(GOLDEN).events:
        seen.setdefault(event.body.kind, set()).update(json_form.payload(event.body))
    fields = {kind: set(of_kind) for kind, of_kind in page_reader.KINDS.items()}
    assert {kind: seen[kind] for kind in fields} == fields
    assert seen.keys() - fields.keys() == {"hologram"}


@pytest.mark.parametrize(("depth", "verdict"), [(97, "interrupted"), (98, "damaged")])
@pytest.mark.parametrize(("left", "right"), [("[", "]"), ('{"a":', "}")])
def test_both_take_the_same_depth(depth: int, verdict: str, left: str, right: str) -> None:
    value = json.loads(left * depth + "1" + right * depth)
    data = header() + line(1, 0, -1, "x", {"in a text": "[" * 200, "value": [value]})
    assert by_page(data) == by_program(data)
    assert by_page(data)[0] == verdict


def test_no_depth_is_beyond_the_bound() -> None:
    left, right = "[" * 100_000, "]" * 100_000
    body = f'[1,0,-1,"x",{{"a":{left}1{right}}}]'
    data = header() + lines.add_crc(body.encode())
    assert by_page(data)[0] == by_program(data)[0] == "damaged"
    deep: Any = 1
    for _ in range(200):
        deep = [deep]
    with pytest.raises(lines.LineError, match="100 deep"):
        lines.encode_line(ev.Event(1, 0, -1, ev.Unknown("x", {"a": deep})))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**30), st.binary(max_size=5))
def test_a_file_is_verified_as_it_is_read(golden: bytes, at: int, put: bytes) -> None:
    at %= len(golden)
    data = golden[:at] + put + golden[at + len(put) + 1 :]
    with tempfile.NamedTemporaryFile(suffix=".duibi") as file:
        file.write(data)
        file.flush()
        try:
            whole = reader.scan(data, "x")
        except UserError:
            return
        found = reader.verify(Path(file.name))
    assert found.events == whole.events[:1]
    assert dataclasses.replace(found, events=[]) == dataclasses.replace(whole, events=[])


def test_both_take_a_prefix_alike(golden: bytes) -> None:
    """Cut at each place near the end of a line, and at others."""
    ends = [n + 1 for n, byte in enumerate(golden) if byte == 0x0A]
    cuts = {cut for end in ends for cut in range(end - 11, min(end + 3, len(golden)))}
    for size in sorted(cuts | set(range(0, len(golden), 37))):
        assert by_page(golden[:size]) == by_program(golden[:size])


def test_both_take_a_line_that_is_missing_doubled_or_moved_alike(golden: bytes) -> None:
    whole = golden.splitlines(keepends=True)
    verdicts = set()
    for n, one in enumerate(whole):
        for changed in (
            whole[:n] + whole[n + 1 :],
            whole[: n + 1] + whole[n:],
            [*whole[:n], *whole[n + 1 :], one],
            [*whole[:n], one[:-2] + b"\n", *whole[n + 1 :]],
        ):
            data = b"".join(changed)
            assert by_page(data) == by_program(data)
            verdicts.add(by_page(data)[0])
    assert verdicts == {"complete", "damaged", "torn"}


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_both_take_any_change_alike(golden: bytes, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(golden)))
    stop = data.draw(st.integers(start, min(len(golden), start + 200)))
    changed = golden[:start] + data.draw(st.binary(max_size=60)) + golden[stop:]
    assert by_page(changed) == by_program(changed)


VALUES = [
    *(None, True, False, 0, 1, -1, 1.0, 0.5, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 1e300),
    *("", "x", "\ud800", [], [1], {}, {"a": 1}),
]


@pytest.mark.parametrize(
    ("kind", "name"),
    [(k, n) for k, fields in page_reader.KINDS.items() for n in [*fields, "later"]],
)
def test_both_take_every_value_of_every_field_alike(kind: str, name: str) -> None:
    """Also a field that nobody knows, and one that is missing."""
    samples = {"string": "x", "integer": 1, "number": 1, "list": [], "object": {}}
    full = {n: samples[t] for n, (t, default) in page_reader.KINDS[kind].items() if default is ...}
    payloads = [full | {name: value} for value in VALUES]
    payloads.append({n: value for n, value in full.items() if n != name})
    kept = 0
    for payload in payloads:
        data = header() + line(1, 5, 0, kind, payload)
        if kind == "session":
            data = line(0, 0, -1, kind, payload)
        assert by_page(data) == by_program(data)
        kept += by_page(data)[2] == len(data)
    assert kept


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"\t00000000\n",
        header(v=0),
        header(v=2),
        header(v=True),
        header(v=10**30),
        header(models=[{}] * 64),
        header(models=[{}] * 65),
        header(models=[1]),
        header(questions={"questions": None}),
        header(questions={"questions": [1]}),
        header(questions={"questions": [{"turns": "x"}]}),
        header(questions={"questions": [{"turns": ["x", 1]}]}),
        header(questions={"questions": [{"turns": ["x"]}, {}]}),
        header() + line(1, 2**53 - 1, 7, "new kind", {"a": None}),
        header() + line(1, 2**53, 0, "cancelled", {"answer": 0}),
        header() + line(1, -1, 0, "cancelled", {"answer": 0}),
        header() + line(1, 1.0, 0, "cancelled", {"answer": 0}),
        header() + line(True, 1, 0, "cancelled", {"answer": 0}),
        header() + line(1, 1, 2**63, "cancelled", {"answer": 0}),
        header() + line(1, 1, 0, 3, {}),
        header() + line(1, 1, 0, "x", []),
        header() + line(1, 1, 0, "x"),
        header() + line(1, 1, 0, "x", {}, 0),
        header() + line(1, 1, 0, "session", {}),
        header() + line(2, 1, 0, "x", {}),
        line(0, 0, 0, "session", json.loads(header()[:-10])[4]),
        line(0, 0, -1, "end", {"status": "x"}),
        header() + line(1, 1, -1, "end", {"status": "x"}),
        header() + line(1, 1, -1, "end", {"status": "x", "events": 1}),
        header() + line(1, 1, -1, "end", {"status": "x", "events": 1, "crc": "00000000"}),
        header() + line(1, 1, -1, "end", {"status": "x", "events": 1}) + line(2, 1, 0, "x", {}),
    ],
)
def test_both_take_the_corners_alike(data: bytes) -> None:
    assert by_page(data) == by_program(data)


@pytest.mark.parametrize(
    "body",
    [
        b' [1,1,0,"x",{}]',
        b'[1,1,0,"x",{}] ',
        b'[ 1 , 1 , 0 , "x" , { } ]',
        b'[1,1,0,"x",{}][]',
        b'[1,1,0,"x",{"a":NaN}]',
        b'[1,1,0,"x",{"a":1e999}]',
        b'[1,1,0,"x",{"a":1e30}]',
        b'[1,1,0,"x",{"a":"\xff"}]',
        b'[1,1,0,"delta",{"answer":0,"answer":1}]',
        b'[1,1,0,"delta",{"answer":0,"text":"a\tb"}]',
        b'[1,1,0,"delta",{"answer":0,"text":"\\u4f60"}]',
        b"[" * 200_000,
        b"{}",
        b"1",
    ],
)
def test_both_take_odd_json_alike(body: bytes) -> None:
    data = header() + b"%b\t%08x\n" % (body, zlib.crc32(body))
    assert by_page(data) == by_program(data)


def test_both_take_long_lines_alike() -> None:
    for extra in (-1, 0, 1):
        text = "a" * (2**24 - len(line(1, 1, 0, "x", {"t": ""})) + extra)
        data = header() + line(1, 1, 0, "x", {"t": text}) + header()
        found = page_reader.read(data)
        assert len(found.events) == (1 if extra > 0 else 2)
        assert (found.verdict, found.good_bytes) == by_program(data)[::2]
