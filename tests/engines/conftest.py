"""No engine of a test goes through a proxy of the machine."""

import pytest

from tests.support.endpoints import clear_proxies


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing stands between an engine and its server."""
    clear_proxies(monkeypatch)
