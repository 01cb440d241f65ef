"""The program's folders: the environment wins, they are private, trouble is told."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tui
from tui.host import paths
from tui.host.errors import UserError


def test_folders_are_made_private_where_the_environment_says(tmp_path: Path) -> None:
    assert paths.cache_dir() == tmp_path / "duibi-cache"
    assert paths.config_dir() == tmp_path / "duibi-config"
    assert paths.sessions_dir() == tmp_path / "duibi-sessions"
    assert paths.log_file().parent.is_dir()
    assert paths.cache_dir().stat().st_mode & 0o777 == 0o700


def test_a_file_in_the_way_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DUIBI_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(UserError, match="cannot make the folder"):
        paths.cache_dir()


def test_themes_and_sessions_travel_with_the_program() -> None:
    assert list(paths.bundled("themes").glob("*.toml"))
    assert paths.bundled("sessions").is_dir()


def kept(tmp_path: Path, *args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The program in a notebook with a disk that stays, without folders chosen."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("DUIBI_", "MODELSCOPE_"))}
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    clean |= {"HOME": str(home), "DUIBI_PERSISTENT_DIR": str(tmp_path / "disk")} | environment
    root = str(Path(tui.__file__).parent.parent)
    code = f"import sys; sys.path.insert(0, {root!r}); from tui.cli import main; main()"
    command = [sys.executable, "-c", code, *args]
    return subprocess.run(
        command, capture_output=True, text=True, env=clean, cwd=home, stdin=subprocess.DEVNULL
    )


def test_a_notebook_keeps_everything_on_the_disk_that_stays_and_says_so_once(
    tmp_path: Path,
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    first = kept(tmp_path, "sessions", "path")
    assert first.stdout.strip() == str(disk / "duibi-sessions")
    assert first.stderr.count(str(disk)) == 1 and "survives a restart" in first.stderr
    second = kept(tmp_path, "sessions", "path")
    assert second.stdout == first.stdout and second.stderr == ""
    code = "from tui.models.caches import modelscope_folder as f; print(f('a/B'))"
    home = tmp_path / "home"
    how: dict[str, Any] = {"cwd": str(Path(tui.__file__).parent.parent), "text": True}
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "DUIBI_PERSISTENT_DIR": str(disk)}
    shown = subprocess.check_output([sys.executable, "-c", code], env=environment, **how)
    assert shown.startswith(str(disk / ".cache" / "modelscope"))
    # What another tool has put into its default cache is used all the same.
    there = home / ".cache" / "modelscope" / "hub" / "a" / "B"
    there.mkdir(parents=True)
    (there / "config.json").write_text("{}")
    shown = subprocess.check_output([sys.executable, "-c", code], env=environment, **how)
    assert shown.strip() == str(there)


def test_a_folder_that_was_chosen_stays_chosen(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    chosen = str(tmp_path / "chosen")
    done = kept(tmp_path, "sessions", "path", DUIBI_SESSIONS_DIR=chosen)
    assert done.stdout.strip() == chosen and done.stderr == ""


def test_without_such_a_disk_it_is_the_home(tmp_path: Path) -> None:
    done = kept(tmp_path, "sessions", "path")
    assert done.stdout.startswith(str(tmp_path / "home")) and done.stderr == ""


def test_the_home_of_nobody_is_a_folder_like_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DUIBI_CACHE_DIR", "~nobody-like-that/x")
    assert str(paths.cache_dir()) == "~nobody-like-that/x"
