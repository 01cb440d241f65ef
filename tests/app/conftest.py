"""Screens tick faster under test, so that a beat of the test is short."""

from pathlib import Path

import pytest

from tui.app.screens import board_screen


@pytest.fixture(autouse=True)
def quick_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty ticks a second instead of ten."""
    monkeypatch.setattr(board_screen, "TICK_S", 0.02)


@pytest.fixture(autouse=True)
def own_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports are written into the current folder."""
    monkeypatch.chdir(tmp_path)
