"""Disks that refuse: the run goes on, the file stays valid, what waits is written later."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.support.sessions import HEADER
from tests.support.disks import small_disk
from tests.support.waiting import until
from tui import events as ev
from tui.host.errors import UserError
from tui.sessions import reader
from tui.sessions.journal import Journal


def fill(journal: Journal, count: int = 50) -> list[ev.Event]:
    return [journal.append(i, 0, ev.Delta(0, text=f"token {i} " * 4)) for i in range(count)]


def test_a_file_that_may_not_grow_keeps_the_run_going_and_is_written_later(
    tmp_path: Path, limited: Callable[[int], None]
) -> None:
    journal = Journal.create(tmp_path, HEADER, sync_s=0.01, retry_s=0.02)
    first = fill(journal, 10)
    limited(journal.path.stat().st_size + 100)
    second = fill(journal)
    state = journal.state
    assert not state.saved
    assert "large" in state.error
    assert 45 <= state.pending <= 50
    partial = reader.read(journal.path)
    assert partial.events[1:] == (first + second)[: len(partial.events) - 1]
    assert partial.verdict == "interrupted"
    limited(-1)
    until(lambda: journal.state.saved)
    third = fill(journal, 5)
    assert journal.close("done").saved
    reading = reader.read(journal.path)
    assert reading.verdict == "complete"
    assert reading.events[1:-1] == first + second + third


def test_going_on_in_another_folder(tmp_path: Path, limited: Callable[[int], None]) -> None:
    journal = Journal.create(tmp_path / "full", HEADER)
    old = journal.path
    limited(old.stat().st_size + 300)
    events = fill(journal)
    with pytest.raises(UserError, match="cannot write a session in"):
        journal.save_to(tmp_path / "also")
    assert list((tmp_path / "also").iterdir()) == []
    limited(-1)
    new = journal.save_to(tmp_path / "roomy")
    assert new == journal.path == tmp_path / "roomy" / old.name
    assert journal.state.saved
    events += fill(journal, 3)
    journal.close("done")
    reading = reader.read(new)
    assert (reading.verdict, reading.events[1:-1]) == ("complete", events)
    assert reader.read(old).verdict == "interrupted"


def test_what_a_close_could_not_save_can_still_be_saved(
    tmp_path: Path, limited: Callable[[int], None]
) -> None:
    journal = Journal.create(tmp_path / "full", HEADER)
    limited(journal.path.stat().st_size)
    events = fill(journal)
    state = journal.close("done")
    assert not state.saved
    assert state.pending == len(events) + 1
    limited(-1)
    reading = reader.read(journal.save_to(tmp_path / "roomy"))
    assert (reading.verdict, reading.events[1:-1]) == ("complete", events)
    assert journal.state.saved


def test_no_room_for_the_header_is_one_error_and_leaves_nothing(
    tmp_path: Path, limited: Callable[[int], None]
) -> None:
    limited(100)
    with pytest.raises(UserError, match="cannot write a session") as caught:
        Journal.create(tmp_path / "s", HEADER)
    limited(-1)
    assert "--sessions" in caught.value.next_step
    assert list((tmp_path / "s").iterdir()) == []


def test_a_folder_that_cannot_be_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot make the folder"):
        Journal.create(tmp_path / "file" / "sessions", HEADER)


def test_a_deleted_file_is_noticed_and_can_be_saved(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, HEADER, sync_s=0.01)
    events = fill(journal)
    journal.path.unlink()
    fill(journal, 1)
    until(lambda: not journal.state.saved)
    assert "deleted" in journal.state.error
    path = journal.save_to(tmp_path / "again")
    journal.close("done")
    reading = reader.read(path)
    assert reading.verdict == "complete"
    assert reading.events[1 : 1 + len(events)] == events


@pytest.mark.parametrize("when", ["between two writes", "before the end"])
@pytest.mark.parametrize("change", ["cut to nothing", "cut within a line", "grown"])
def test_a_file_that_another_program_changed_is_noticed_and_saved_whole(
    tmp_path: Path, change: str, when: str
) -> None:
    journal = Journal.create(tmp_path, HEADER, sync_s=0.01, retry_s=0.02)
    events = fill(journal)
    sizes = {"cut to nothing": 0, "cut within a line": 100, "grown": journal._good_bytes + 7}
    os.truncate(journal.path, sizes[change])
    before = journal.path.stat().st_size
    if when == "between two writes":
        events += fill(journal, 3)
        assert "another program changed" in journal.state.error
        assert journal.path.stat().st_size == before, "nothing is written behind it"
    journal.close("done")
    assert not journal.state.saved
    reading = reader.read(journal.save_to(tmp_path / "again"))
    assert reading.verdict == "complete" and reading.events[1:-1] == events


def test_a_full_disk(tmp_path: Path) -> None:
    with small_disk(64) as disk:
        if disk is None:
            pytest.skip("cannot mount here")
        ballast = disk / "ballast"
        ballast.write_bytes(b"x" * 40_000)
        journal = Journal.create(disk, HEADER, sync_s=0.01, retry_s=0.02)
        events = fill(journal, 600)
        assert "No space" in journal.state.error
        assert reader.read(journal.path).verdict == "interrupted"
        ballast.unlink()
        until(lambda: journal.state.pending < 400)
        path = journal.save_to(tmp_path)
        journal.close("done")
    reading = reader.read(path)
    assert (reading.verdict, reading.events[1:-1]) == ("complete", events)


def test_the_answer_is_synced_within_a_moment_of_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[float] = []
    real = os.fsync

    def fsync(fd: int) -> None:
        real(fd)
        synced.append(time.monotonic())

    monkeypatch.setattr(os, "fsync", fsync)
    journal = Journal.create(tmp_path, HEADER, sync_s=3600)
    assert len(synced) == 2
    journal.append(1, 0, ev.Delta(0, text="x"))
    time.sleep(0.05)
    assert len(synced) == 2
    journal.append(2, 0, ev.Answered(0, "stop"))
    until(lambda: len(synced) == 3)
    journal.close("done")
    assert len(synced) == 4
