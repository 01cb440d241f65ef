"""No test sees or touches the real home: every folder of the program is a fresh one."""

import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compiled kernels: made once, not for each test's empty cache."""
    return tmp_path_factory.mktemp("kernels")


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, kernels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Point the cache, the configuration and the sessions into the test's own folder."""
    for name in ("CACHE", "CONFIG", "SESSIONS"):
        monkeypatch.setenv(f"DUIBI_{name}_DIR", str(tmp_path / f"duibi-{name.lower()}"))
    for name in ("NO_COLOR", "DUIBI_LANG", "DUIBI_THEME", "DUIBI_MEMORY_LIMIT"):
        monkeypatch.delenv(name, raising=False)
    cache = tmp_path / "duibi-cache"
    cache.mkdir(mode=0o700)
    (cache / "kernels").symlink_to(kernels)


@pytest.fixture
def limited() -> Iterator[Callable[[int], None]]:
    """Sets how large a file may grow (RLIMIT_FSIZE; below 0: without limit): a write over it
    is short, then EFBIG."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(size: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size if size >= 0 else before[0], before[1]))

    yield limit
    limit(-1)
