"""A run of a test has all cores, whatever else the machine does."""

import pytest

from tui.host import cpu


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other programs take nothing."""
    monkeypatch.setattr(cpu.OtherProcesses, "cores_used", lambda self, own: 0.0)
