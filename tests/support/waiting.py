"""Waiting for what must happen, however long a loaded machine takes."""

import time
from collections.abc import Callable

from tui.host.process import read_stat

DEADLINE_S = 60.0


def until(condition: Callable[[], object], describe: Callable[[], object] = lambda: "") -> None:
    """Return once ``condition`` holds.

    Raises:
        AssertionError: it does not within `DEADLINE_S`; the message is what ``describe`` says.
    """
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {DEADLINE_S:.0f} s: {describe()}"
        time.sleep(0.005)


def process_gone(pid: int) -> bool:
    """Whether the process has ended, also where its parent has not asked for its status yet."""
    stat = read_stat(pid)
    return stat is None or stat.state == "Z"
