"""Folders for programs in a pseudo-terminal: the demo is there, all else is fresh."""

import contextlib
from collections.abc import Mapping
from pathlib import Path

import pytest

from benchmarks.support.demo import link_demo
from tests.support.run_folder import run_folder


@pytest.fixture(scope="session")
def demo_cache(tmp_path_factory: pytest.TempPathFactory, kernels: Path) -> Path:
    """One cache for all of them, so that the demo is converted once."""
    cache = run_folder(tmp_path_factory) / "demo-cache"
    cache.mkdir(mode=0o700, exist_ok=True)
    link_demo(cache)
    with contextlib.suppress(FileExistsError):
        (cache / "kernels").symlink_to(kernels)
    return cache


@pytest.fixture
def folders(demo_cache: Path, tmp_path: Path) -> Mapping[str, str]:
    """The environment of a program that has the demo and an empty sessions folder."""
    return {
        "DUIBI_CACHE_DIR": str(demo_cache),
        "DUIBI_CONFIG_DIR": str(tmp_path / "config"),
        "DUIBI_SESSIONS_DIR": str(tmp_path / "sessions"),
        "DUIBI_LANG": "en",
    }
