"""Screens tick faster under test, so that a beat of the test is short."""

import pytest

from tui.app.screens import board_screen


@pytest.fixture(autouse=True)
def quick_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty ticks a second instead of ten."""
    monkeypatch.setattr(board_screen, "TICK_S", 0.02)
