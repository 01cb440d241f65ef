"""Telling a worker that hangs, or that reads its weights from the disk over and over, from
one that works hard."""

import time
from dataclasses import dataclass

from tui.host.process import read_stat

IDLE_WARNING_S = 0.65
"""A worker without heartbeat or step for this long that uses no CPU is reported. Heartbeats come
five times a second; the report is due within a second of the last step."""
BUSY_WARNING_S = 3.0
"""The same for one that uses the CPU: a long regular expression holds the GIL."""
SILENT_HANG_S = 10.0
"""Without a heartbeat for this long, a worker that uses no CPU is hung."""
STUCK_HANG_S = 20.0
"""Heartbeats come, but no step was taken: a deadlock, if it uses no CPU."""
MAX_SILENCE_S = 120.0
"""Nothing that a worker does holds the GIL this long."""
WATCHER_GAP_S = 2.0
"""Looks come ten times a second: after so long without one, this process itself was stopped or
had no core, and what it did not hear says nothing."""
_IDLE_CPU_S = 0.1
_IDLE_FAULTS = 16
_RUNNABLE_STATES = "RD"
"""States of proc(5) in which a thread runs, wants to, or waits for the disk."""

THRASH_WINDOW_S = 2.0
THRASH_FAULTS_PER_S = 50.0
"""Page faults from disk in a second, while tokens come, that are no coincidence: with
read-ahead each stands for many pages."""


@dataclass(frozen=True, slots=True)
class ProcessUsage:
    """What a process has used so far: seconds of CPU, page faults read from disk; and the
    state of its first thread, the one that computes."""

    cpu_s: float
    faults: int
    state: str = "S"


def process_usage(pid: int) -> ProcessUsage:
    """What the kernel tells of it; zero once it is gone."""
    stat = read_stat(pid)
    return ProcessUsage(stat.cpu_s, stat.major_faults, stat.state) if stat else ProcessUsage(0.0, 0)


@dataclass(frozen=True, slots=True)
class WorkerHealth:
    """``trouble`` is one line on a worker that does not respond, ``is_hung`` that it will not."""

    trouble: str = ""
    is_hung: bool = False


class Watchdog:
    """Told about a silent worker now and then, says when it is in trouble and when it hangs.

    A large load or a thrashing machine silences a healthy worker for a while, but then it
    uses the CPU, wants to, or reads from the disk.
    """

    def __init__(self) -> None:
        now = time.monotonic()
        self._silent = _UsageMark(now, ProcessUsage(0.0, 0))
        self._stuck = _UsageMark(now, ProcessUsage(0.0, 0))
        self._heard = -1.0
        self._steps = -1

    def restart(self, now: float, heard: float, usage: ProcessUsage) -> None:
        """Count from ``now`` on: who watches was not there before."""
        self._heard, self._silent = heard, _UsageMark(now, usage)
        self._stuck = _UsageMark(now, usage)

    def check(
        self, now: float, heard: float, steps: int, usage: ProcessUsage, busy: bool
    ) -> WorkerHealth:
        """``heard``: time of the last sign of life; ``steps``: taken then; ``busy``: whether
        it is computing an answer, and so may be expected to go on at once."""
        if heard != self._heard:
            self._heard, self._silent = heard, _UsageMark(heard, usage)
        if steps != self._steps or not busy:
            self._steps, self._stuck = steps, _UsageMark(now, usage)
        silent, stuck = now - self._silent.since, now - self._stuck.since
        quiet, idle = self._silent.was_idle(usage), self._stuck.was_idle(usage)
        if silent > MAX_SILENCE_S or (silent > SILENT_HANG_S and quiet):
            return WorkerHealth(f"the worker stopped answering {silent:.0f} s ago", True)
        if stuck > STUCK_HANG_S and idle:
            return WorkerHealth(f"the worker made no progress for {stuck:.0f} s", True)
        if busy and (silent > BUSY_WARNING_S or (silent > IDLE_WARNING_S and quiet)):
            return WorkerHealth("the worker does not answer")
        if busy and stuck > IDLE_WARNING_S and idle:
            return WorkerHealth("the worker makes no progress")
        return WorkerHealth()


class ThrashDetector:
    """Says when a model's weights do not stay in memory: after the first token each was
    used once, and still pages are read from the disk while tokens come slower than before."""

    def __init__(self) -> None:
        self._best = 0.0
        self._since = 0.0
        self._tokens = self._faults = 0
        self._has_reported = True

    def start_answer(self) -> None:
        """A new answer."""
        self._since, self._has_reported = 0.0, False

    def check(self, now: float, tokens: int, faults: int) -> str:
        """One line, once an answer; ``tokens`` of the answer, ``faults`` of the process."""
        if not tokens or self._has_reported:
            return ""
        if not self._since:
            self._since, self._tokens, self._faults = now, tokens, faults
            return ""
        took = now - self._since
        if took < THRASH_WINDOW_S:
            return ""
        speed, read = (tokens - self._tokens) / took, (faults - self._faults) / took
        self._since, self._tokens, self._faults = now, tokens, faults
        if read >= THRASH_FAULTS_PER_S and (not self._best or speed < self._best / 2):
            self._has_reported = True
            before = f" instead of {self._best:.1f}" if self._best else ""
            return (
                f"the weights do not fit in memory and are read from disk again and again: "
                f"{read:.0f} page faults/s, {speed:.1f} tok/s{before}"
            )
        self._best = max(self._best, speed)
        return ""


@dataclass(frozen=True, slots=True)
class _UsageMark:
    since: float
    usage: ProcessUsage

    def was_idle(self, now: ProcessUsage) -> bool:
        return (
            now.state not in _RUNNABLE_STATES
            and now.cpu_s - self.usage.cpu_s < _IDLE_CPU_S
            and now.faults - self.usage.faults < _IDLE_FAULTS
        )
