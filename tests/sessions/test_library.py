"""The library: lists by first and last lines, finds, throws away and brings back."""

import dataclasses
import shutil
from pathlib import Path

import pytest

from benchmarks.support.sessions import HEADER, write_session
from tui import events as ev
from tui.host import filesystem, paths
from tui.host.errors import UserError
from tui.sessions import library
from tui.sessions.journal import Journal


def test_an_entry_tells_the_session(tmp_path: Path) -> None:
    path = write_session(tmp_path)
    (entry,) = library.entries(tmp_path)
    assert entry == library.SessionEntry(
        path,
        "2026-11-22T08:30:00Z",
        ("demo@bf16", "demo@fp32", "demo@int8", "demo@int4"),
        "Two questions 两个问题",
        2,
        4,
        "complete",
        1.7,
        path.stat().st_size,
        expected=8,
        status="done",
    )


def test_verdicts_seen_from_the_ends(tmp_path: Path) -> None:
    live = Journal.create(tmp_path, HEADER)
    live.append(5, 0, ev.Answered(0, "stop"))
    live.append(6, 0, ev.Delta(0, text=',"answered",{"answer":1'))
    assert library.entry_of(live.path).verdict == "running"
    assert library.entry_of(live.path).answers == 1
    live.close()
    assert library.entry_of(live.path).verdict == "interrupted"
    path = write_session(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[:-3])
    torn = library.entry_of(path)
    assert (torn.verdict, torn.answers) == ("torn", 4)
    path.write_bytes(data + b"rest")
    assert library.entry_of(path).verdict == "torn"
    path.write_bytes(b"x" + data)
    broken = library.entry_of(path)
    assert broken.verdict == "damaged"
    assert "no session header" in broken.problem


def test_ratings_after_the_end_do_not_hide_it(tmp_path: Path) -> None:
    path = write_session(tmp_path)
    journal = Journal.reopen(path)
    for i in range(300):
        journal.append(journal.last_us, 0, ev.Note("x" * 100, answer=i % 4, source="person"))
    journal.close()
    entry = library.entry_of(path)
    assert (entry.verdict, entry.answers) == ("complete", 4)


def test_newest_first_and_what_is_no_session_is_left_out(tmp_path: Path) -> None:
    days = ["2026-11-20", "2026-11-22", "2026-11-21"]
    for day in days:
        write_session(tmp_path, header=dataclasses.replace(HEADER, started=f"{day}T00:00:00Z"))
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "folder.duibi").mkdir()
    (tmp_path / "link.duibi").symlink_to("/etc/passwd")
    assert [e.started[:10] for e in library.entries(tmp_path)] == sorted(days, reverse=True)
    assert library.entries(tmp_path / "none") == []


def test_find(tmp_path: Path) -> None:
    old = write_session(tmp_path, header=dataclasses.replace(HEADER, started="2025"))
    new = write_session(tmp_path)
    for text in (new.name, new.stem, str(new)):
        assert library.find(text, tmp_path) == new
    assert library.find("last", tmp_path) == new
    shutil.move(old, tmp_path / "sample-one.duibi")
    shutil.copy(new, tmp_path / "sample-two.duibi")
    assert library.find("sample-o", tmp_path).name == "sample-one.duibi"
    with pytest.raises(UserError, match="fits 2 sessions: sample-one, sample-two"):
        library.find("sample", tmp_path)
    odd = ("~nobody/x", "x" * 5000, "a\0b", "./" + "x" * 5000, "/dev/null")
    for text in ("nothing", "", "./nothing", "../" + new.name, *odd):
        with pytest.raises(UserError, match="there is no"):
            library.find(text, tmp_path)
    with pytest.raises(UserError, match="no session was recorded"):
        library.find("last", tmp_path / "none")


def test_last_is_no_file_of_the_future_and_none_that_is_being_written(tmp_path: Path) -> None:
    def of(started: str) -> Path:
        return write_session(tmp_path, header=dataclasses.replace(HEADER, started=started))

    of("2076-01-01T00:00:00Z")
    of("zzzz")
    old, new = of("2024-05-01T00:00:00Z"), of("2024-05-02T00:00:00+02:00")
    assert library.find("last", tmp_path) == new
    assert library.find("last", tmp_path, running=True) == new
    live = Journal.create(tmp_path, dataclasses.replace(HEADER, started="2024-05-03T00:00:00Z"))
    assert library.find("last", tmp_path) == new
    assert library.find("last", tmp_path, running=True) == live.path
    for path in (old, new):
        path.unlink()
    live.close("done")
    assert library.find("last", tmp_path) == live.path
    live.path.unlink()
    assert library.find("last", tmp_path).exists(), "better one of a wrong clock than none"


def test_last_says_that_the_only_one_is_being_written(tmp_path: Path) -> None:
    live = Journal.create(tmp_path, HEADER)
    with pytest.raises(UserError, match=f"{live.path.name} is still being written"):
        library.find("last", tmp_path)
    live.close()


def test_turns_and_repetitions_are_expected_too(tmp_path: Path) -> None:
    questions = {"questions": [{"id": "a", "turns": ["1", "2"]}, {"id": "b", "turns": ["3"]}]}
    header = dataclasses.replace(HEADER, questions=questions, settings={"repeat": 2})
    path = write_session(tmp_path, header=header)
    assert library.entry_of(path).expected == 3 * 2 * 4


def test_a_sample_that_came_with_the_program_is_found_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = tmp_path / "samples"
    sample = write_session(samples).rename(samples / "shipped.duibi")
    monkeypatch.setattr(paths, "bundled", lambda name: samples)
    assert library.find("ship", tmp_path / "own") == sample


def test_deleting_can_be_undone(tmp_path: Path) -> None:
    path = write_session(tmp_path)
    data = path.read_bytes()
    gone = library.trash(path)
    assert library.entries(tmp_path) == []
    assert library.trashed(tmp_path) == [gone]
    assert library.restore(gone) == path
    assert path.read_bytes() == data
    assert library.trashed(tmp_path) == []
    gone = library.trash(path)
    path.write_bytes(b"new")
    with pytest.raises(UserError, match="there already"):
        library.restore(gone)
    assert path.read_bytes() == b"new"
    assert library.empty_trash(tmp_path) == 1
    assert library.trashed(tmp_path) == []


def test_only_own_sessions_are_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    thesis = tmp_path / "thesis.doc"
    thesis.write_text("years of work")
    with pytest.raises(UserError, match="no session"):
        library.trash(thesis)
    assert thesis.exists()
    sample = write_session(tmp_path / "samples")
    monkeypatch.setattr(paths, "bundled", lambda name: tmp_path / "samples")
    with pytest.raises(UserError, match="came with the program"):
        library.trash(sample)
    assert sample.exists()


def test_a_running_session_is_not_deleted(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, HEADER)
    with pytest.raises(UserError, match="being written"):
        library.trash(journal.path)
    journal.append(1, 0, ev.Note("still here"))
    journal.close("done")
    assert library.entry_of(journal.path).verdict == "complete"


@pytest.fixture
def remote_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that the mount table calls a bucket; the rest is a local disk."""
    folder = (tmp_path / "bucket").resolve()
    folder.mkdir()
    monkeypatch.setattr(filesystem, "is_remote", lambda path: path.resolve().is_relative_to(folder))
    return folder


def test_a_network_folder_gets_the_whole_session_at_the_end(remote_folder: Path) -> None:
    journal = Journal.create(remote_folder, HEADER)
    journal.append(1, 0, ev.Answered(0, "stop"))
    assert str(remote_folder) in journal.state.note
    assert list(remote_folder.iterdir()) == []
    assert [e.verdict for e in library.entries(remote_folder)] == ["running"]
    local = journal.path
    state = journal.close("done")
    assert state.saved
    assert "copied to" in state.note
    assert not local.exists()
    assert journal.path.parent == remote_folder
    assert [e.verdict for e in library.entries(remote_folder)] == ["complete"]


def test_a_session_left_behind_by_a_crash_arrives_when_it_is_closed(remote_folder: Path) -> None:
    journal = Journal.create(remote_folder, HEADER)
    left = journal.path
    journal.save_to(remote_folder.parent / "x")  # lets go of the file without an end
    journal.close("done")
    (entry,) = library.entries(remote_folder)
    assert entry.path == left
    assert library.find("last", remote_folder) == left
    resumed = Journal.reopen(left)
    resumed.close("done")
    assert resumed.path == remote_folder / left.name
    assert library.entry_of(resumed.path).verdict == "complete"


def test_a_session_on_a_network_folder_is_appended_to_through_the_local_disk(
    remote_folder: Path,
) -> None:
    journal = Journal.create(remote_folder, HEADER)
    journal.close("done")
    again = Journal.reopen(journal.path)
    assert again.path.parent != remote_folder
    again.append(again.last_us, 0, ev.Rated(0, "style", 3))
    again.close()
    assert again.path == journal.path
    assert library.entry_of(journal.path).verdict == "complete"
    assert b'"rated"' in journal.path.read_bytes()
