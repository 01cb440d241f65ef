"""What an answer costs this process: memory at its highest, page faults from disk."""

import os
import resource
import threading
import time

from tui.host import memory, system
from tui.host.process import read_stat


def process_age_s() -> float:
    """Seconds since this process was started, by the kernel's account (10 ms steps)."""
    stat = read_stat(os.getpid())
    assert stat, "a process that runs is told of"
    return max(0.0, system.boot_clock_ns() / 1e9 - stat.started_s)


def major_faults() -> int:
    """Page faults of this process so far that had to read from disk."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_majflt


class Stopwatch:
    """Adds up the seconds spent in its ``with`` blocks, the outer one of those inside another."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._depth, self._began = 0, 0.0

    def __enter__(self) -> None:
        if not self._depth:
            self._began = time.monotonic()
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if not self._depth:
            self.seconds += time.monotonic() - self._began


class PeakMemory:
    """Private and mapped memory at the moment since the last `reset` when the two together were
    highest. Bytes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.private = 0
        self.mapped = 0

    def reset(self) -> None:
        """Forget what was seen and look now."""
        with self._lock:
            self.private = self.mapped = 0
        self.sample()

    def sample(self) -> tuple[int, int]:
        """Read the present figures, remember them if they are higher."""
        private, mapped = memory.process_memory(os.getpid())
        with self._lock:
            if private + mapped > self.private + self.mapped:
                self.private, self.mapped = private, mapped
        return private, mapped
