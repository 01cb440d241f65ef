"""No test sees or touches the real home: every folder of the program is a fresh one."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Point the cache, the configuration and the sessions into the test's own folder."""
    for name in ("CACHE", "CONFIG", "SESSIONS"):
        monkeypatch.setenv(f"DUIBI_{name}_DIR", str(tmp_path / f"duibi-{name.lower()}"))
    for name in ("NO_COLOR", "DUIBI_LANG", "DUIBI_THEME", "DUIBI_MEMORY_LIMIT"):
        monkeypatch.delenv(name, raising=False)
