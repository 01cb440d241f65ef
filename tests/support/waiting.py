"""Waiting for what must happen, however long a loaded machine takes."""

import time
from collections.abc import Callable
from pathlib import Path

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
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"
