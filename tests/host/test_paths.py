"""The program's folders: the environment wins, they are private, trouble is told."""

from pathlib import Path

import pytest

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
