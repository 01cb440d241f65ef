"""What an answer costs this process: memory at its highest, page faults from disk."""

import os
import resource
import threading
import time

from tui.host import memory
from tui.host.process import read_stat


def process_age_s() -> float:
    """Seconds since this process was started, by the kernel's account (10 ms steps)."""
    stat = read_stat(os.getpid())
    assert stat, "a process that runs is in /proc"
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - stat.started_s)


def major_faults() -> int:
    """Page faults of this process so far that had to read from disk."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_majflt


class PeakMemory:
    """The highest private and mapped memory seen since the last `reset`. Bytes."""

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
            self.private = max(self.private, private)
            self.mapped = max(self.mapped, mapped)
        return private, mapped
