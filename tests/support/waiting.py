"""Waiting for what must happen, however long a loaded machine takes."""

import time
from collections.abc import Callable, Iterator

from tui.host.process import read_stat

DEADLINE_S = 60.0


def pauses(first_s: float, longest_s: float) -> Iterator[float]:
    """Seconds between two looks at a condition: what takes long is looked at more rarely."""
    pause_s = first_s
    while True:
        yield pause_s
        pause_s = min(1.2 * pause_s, longest_s)


def until(condition: Callable[[], object], describe: Callable[[], object] = lambda: "") -> None:
    """Return once ``condition`` holds.

    Raises:
        AssertionError: it does not within `DEADLINE_S`; the message is what ``describe`` says.
    """
    deadline = time.monotonic() + DEADLINE_S
    for pause_s in pauses(0.003, 0.05):
        if condition():
            return
        assert time.monotonic() < deadline, f"not within {DEADLINE_S:.0f} s: {describe()}"
        time.sleep(pause_s)


def process_gone(pid: int) -> bool:
    """Whether the process has ended, also where its parent has not asked for its status yet."""
    stat = read_stat(pid)
    return stat is None or stat.state == "Z"
