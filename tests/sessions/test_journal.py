"""The journal: what it acknowledged is in the file, whatever happens afterwards."""

import stat
import threading
from pathlib import Path

import pytest

from benchmarks.support.sessions import HEADER, write_session
from tests.support.bodies import expect
from tui import events as ev
from tui.host.errors import UserError
from tui.sessions import reader
from tui.sessions.journal import Journal


def test_what_is_appended_is_read_back(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path / "s", HEADER)
    appended = [
        journal.append(10, 0, ev.Asked(0, "q1", "你好\u2028\x00\x1b[31m\t\n")),
        journal.append(20, 0, ev.Started(0, prompt_tokens=5)),
        journal.append(30, 0, ev.Delta(0, text="世界")),
        journal.append(40, 0, ev.Answered(0, "stop", output_tokens=1, ttft_ms=1.5)),
    ]
    journal.close("done")
    reading = reader.read(journal.path)
    assert reading.verdict == "complete"
    assert reading.bytes_dropped == 0
    assert reading.header == HEADER
    assert reading.events[1:-1] == appended
    end = expect(ev.End, reading.events[-1].body)
    assert end == ev.End("done", 5, 1, end.crc)


def test_an_event_is_in_the_file_before_append_returns(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, HEADER)
    event = journal.append(1, 0, ev.Asked(0, "q1", "x"))
    reading = reader.read(journal.path)
    assert reading.verdict == "interrupted"
    assert reading.events[-1] == event
    journal.close()


def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path / "new" / "folder", HEADER)
    assert stat.S_IMODE(journal.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(journal.path.parent.stat().st_mode) == 0o700
    journal.close()


def test_what_utf8_cannot_hold_is_replaced_and_returned_as_read(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, HEADER)
    event = journal.append(1, 0, ev.Delta(0, text="a\ud800b\ud83d\ude00"))
    assert event.body == ev.Delta(0, text="a\ufffdb😀")
    figures = journal.append(2, 0, ev.Answered(0, "stop", ttft_ms=float("nan")))
    assert figures.body == ev.Answered(0, "stop", ttft_ms=None)
    journal.close("done")
    reading = reader.read(journal.path)
    assert reading.verdict == "complete"
    assert reading.events[1:3] == [event, figures]


def test_threads_append_without_gaps(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, HEADER)

    def write(model: int) -> None:
        for i in range(200):
            journal.append(i, model, ev.Delta(model, text=f"{model}:{i}"))

    threads = [threading.Thread(target=write, args=(m,)) for m in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close("done")
    reading = reader.read(journal.path)
    assert reading.verdict == "complete"
    for model in range(4):
        texts = [e.body.text for e in reading.events if isinstance(e.body, ev.Delta)]
        own = [t for t in texts if t.startswith(f"{model}:")]
        assert own == [f"{model}:{i}" for i in range(200)]


def test_two_writers_are_refused(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, HEADER)
    with pytest.raises(UserError, match="being written by another"):
        Journal.reopen(journal.path)
    journal.close("done")
    Journal.reopen(journal.path).close()


def test_ratings_after_the_end_keep_it_complete(tmp_path: Path) -> None:
    path = write_session(tmp_path)
    before = path.read_bytes()
    journal = Journal.reopen(path)
    journal.append(journal.last_us, 0, ev.Rated(0, "accuracy", 4))
    journal.close()
    assert path.read_bytes().startswith(before)
    reading = reader.read(path)
    assert reading.verdict == "complete"
    assert reading.events[-1].body == ev.Rated(0, "accuracy", 4)


def test_a_resumed_session_is_interrupted_until_closed_again(tmp_path: Path) -> None:
    path = write_session(tmp_path)
    journal = Journal.reopen(path)
    journal.append(journal.last_us + 5, 0, ev.Asked(9, "q1", "again"))
    assert reader.read(path).verdict == "interrupted"
    journal.append(journal.last_us + 5, 0, ev.Answered(9, "stop"))
    journal.close("done")
    reading = reader.read(path)
    assert reading.verdict == "complete"
    assert expect(ev.End, reading.events[-1].body).answers == 1 + sum(
        isinstance(e.body, ev.Answered) for e in reader.read(write_session(tmp_path)).events
    )


def test_a_torn_tail_is_cut_when_the_session_goes_on(tmp_path: Path) -> None:
    path = write_session(tmp_path, status="")
    good = path.read_bytes()
    path.write_bytes(good + b'[99,1,0,"del')
    journal = Journal.reopen(path)
    journal.append(journal.last_us, 0, ev.Delta(0, text="on"))
    journal.close("done")
    assert path.read_bytes().startswith(good + b"[")
    assert reader.read(path).verdict == "complete"


def test_a_damaged_session_is_not_appended_to(tmp_path: Path) -> None:
    path = write_session(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2] + lines[3:]))
    before = path.read_bytes()
    with pytest.raises(UserError, match="damaged at line 3"):
        Journal.reopen(path)
    assert path.read_bytes() == before


def test_a_closed_journal_takes_no_more(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, HEADER)
    journal.close("done")
    journal.close("done")
    with pytest.raises(ValueError, match="closed"):
        journal.append(1, 0, ev.Note("late"))
    assert reader.read(journal.path).verdict == "complete"
