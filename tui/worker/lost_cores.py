"""How much of its cores this process did not get, and to whom they went."""

import threading
import time
from dataclasses import dataclass
from pathlib import Path

from tui.host import cpu, system
from tui.host.cgroup import ROOT
from tui.metrics import MAX_LOST_SHARE

STOP_GAP_S = 1.0
"""A thread that asked to be woken sooner and was not for so long, while its process hardly
computed, was stopped with it."""
_STOPPED_CPU_SHARE = 0.25
_MIN_SUSPENDED_NS = 100_000_000


@dataclass(frozen=True, slots=True)
class CoreUsage:
    """Running totals, in nanoseconds: of the monotonic clock; waited by this process's threads
    for a core, as the kernel counts it (None: it does not), and computed by the calling thread;
    taken from the machine by its host (per core); stopped by a signal; suspended."""

    clock: int
    waited: int | None = 0
    computed: int = 0
    stolen: int = 0
    stopped: int = 0
    suspended: int = 0


@dataclass(frozen=True, slots=True)
class LostCores:
    """``share`` (0 to 1) of the cores that was lost, ``by`` whom (`tui.metrics.CONTENDERS`); ""
    where it was little."""

    share: float = 0.0
    by: str = ""


class StopWatcher:
    """Counts the time for which this process was stopped (SIGSTOP, a frozen control group):
    `beat` is called several times a second, by a thread that does nothing else."""

    def __init__(self) -> None:
        self.stopped_ns = 0
        self._lock = threading.Lock()
        self._last = time.monotonic_ns(), time.process_time_ns()

    def beat(self) -> int:
        """One more sign of life; the nanoseconds so far."""
        with self._lock:
            now = time.monotonic_ns(), time.process_time_ns()
            passed, computed = (new - old for new, old in zip(now, self._last, strict=True))
            if passed > STOP_GAP_S * 1e9 and computed < _STOPPED_CPU_SHARE * passed:
                self.stopped_ns += passed - computed
            self._last = now
            return self.stopped_ns


def read_usage(stopped_ns: int = 0, root: Path = ROOT, computes: bool = True) -> CoreUsage:
    """The totals so far. Of Python's threads only the calling one counts, and only where it
    ``computes``, with those of libraries."""
    clock = time.monotonic_ns()
    return CoreUsage(
        clock,
        _waited_ns(root, computes),
        time.thread_time_ns(),
        round(cpu.stolen_seconds(root) * 1e9),
        stopped_ns,
        system.boot_clock_ns() - time.clock_gettime_ns(time.CLOCK_MONOTONIC),
    )


def lost_cores(before: CoreUsage, after: CoreUsage, threads: int) -> LostCores:
    """What was lost between two readings while ``threads`` computed."""
    passed = after.clock - before.clock
    if passed <= 0 or threads < 1:
        return LostCores()
    if before.waited is None or after.waited is None:
        # While it computes, the calling thread sleeps for nothing: what it lacks others had.
        waited = float(passed - (after.computed - before.computed))
    else:
        waited = max(0, after.waited - before.waited) / threads
    parts = {
        "programs": max(0.0, waited) + max(0, after.stolen - before.stolen),
        "stopped": float(after.stopped - before.stopped),
    }
    share = min(1.0, sum(parts.values()) / passed)
    if after.suspended - before.suspended > _MIN_SUSPENDED_NS:
        return LostCores(share, "suspended")
    by = max(parts, key=lambda name: parts[name]) if share > MAX_LOST_SHARE else ""
    return LostCores(share, by)


def _waited_ns(root: Path, computes: bool) -> int | None:
    others = {thread.native_id for thread in threading.enumerate()}
    if computes:
        others.discard(threading.get_native_id())
    return cpu.waited_ns(others, root)
