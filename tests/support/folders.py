"""A working folder where nothing is found by chance, and what is found there."""

from pathlib import Path

import pytest

from tui.models.discover import FoundModel
from tui.models.inventory import find_models


def empty_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to an empty folder, with empty model caches beside it."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "ms"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hf"))
    return folder


def find_models_here() -> list[FoundModel]:
    """The models that a person without any settings finds."""
    return find_models({}, (), {})
