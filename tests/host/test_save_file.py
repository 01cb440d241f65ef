"""Files that are written beside a stranger's."""

import os
from pathlib import Path

import pytest

from benchmarks.support.recorded_sessions import record_session, recorded_header
from tui import cli
from tui.app.reporting import write_reports
from tui.app.screens.report_choice import ReportKind
from tui.host import save_file
from tui.host.errors import UserError
from tui.sessions import library

MINE = "<!-- duibi:state {} -->"
"""Also a file of own words, so that it is read as one."""


def report(path: Path, out: Path, *options: str) -> int:
    return cli.run_command_line(["report", str(path), "--out", str(out), *options])


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    head = recorded_header(["a@bf16"], [{"id": "one", "turns": ["?"]}])
    return record_session(tmp_path / "s", head, lambda _m, _q: "answer")


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder of the person's that a stranger's links lead to."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "kept.svg").write_text(MINE)
    return folder


def everything(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


@pytest.mark.parametrize("suffix", ["md", "tex"])
def test_pictures_follow_no_link_out_of_the_folder(
    suffix: str,
    recording: Path,
    outside: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "r-pictures").symlink_to(outside)
    out = tmp_path / f"r.{suffix}"
    assert report(recording, out, "--pictures") == 2
    assert f"cannot make {tmp_path / 'r-pictures'}: a link" in capsys.readouterr().err
    assert everything(outside) == {"kept.svg": MINE} and not out.exists()


@pytest.mark.parametrize("name", ["r.md", "r.words.md", "r.csv", "r.cast", "r.jsonl"])
def test_a_file_that_is_written_replaces_a_link(
    name: str, recording: Path, outside: Path, tmp_path: Path
) -> None:
    (tmp_path / name).symlink_to(outside / "kept.svg")
    out = tmp_path / ("r.md" if name == "r.words.md" else name)
    assert report(recording, out, "--no-pictures") == 0
    assert everything(outside) == {"kept.svg": MINE}
    assert not out.is_symlink() and out.stat().st_mode & 0o777 == 0o600


def test_a_report_out_of_the_screen_follows_no_link(
    recording: Path, outside: Path, tmp_path: Path
) -> None:
    """Neither one that leads nowhere in the place of an older report, nor one for its words."""
    stem = f"{recording.stem}-report"
    (tmp_path / f"{stem}.md").symlink_to(tmp_path / "nowhere")
    (tmp_path / f"{stem}.words.md").symlink_to(outside / "kept.svg")
    (out,) = write_reports([recording], tmp_path, "en", {}, ReportKind("brief", ("md",)))
    assert out.name == f"{stem}-2.md" and not (tmp_path / "nowhere").exists()
    assert everything(outside) == {"kept.svg": MINE}


@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
def test_what_is_no_file_is_not_waited_for(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "out"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path = Path("/dev/null")
    before = path.lstat()
    with pytest.raises(UserError, match="no file"):
        save_file.replace_file(path, "x")
    assert path.lstat().st_mode == before.st_mode
    assert not list(tmp_path.glob(".out*"))


def test_the_trash_of_a_folder_is_no_link(outside: Path, tmp_path: Path) -> None:
    """Nothing is moved to where it leads, and nothing is deleted there for good."""
    mine = outside / "20260101T000000Z-0123abcd.duibi"
    mine.write_text("mine")
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / library.TRASH).symlink_to(outside)
    path = theirs / "a.duibi"
    path.write_text("x")
    with pytest.raises(UserError, match="a link"):
        library.trash(path)
    assert library.trashed(theirs) == [] and library.empty_trash(theirs) == 0
    assert mine.exists() and path.exists()
