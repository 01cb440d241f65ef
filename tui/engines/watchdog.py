"""Telling a worker that hangs, or that reads its weights from the disk over and over, from
one that works hard."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

NAMED_S = 0.65
"""A worker that gives no sign of life, or computes nothing, for this long and rests is said
to: it gives a sign five times a second, and is to be named within a second of its last step."""
SPINS_S = 3.0
"""Likewise one that keeps the CPU busy: a long regular expression holds the interpreter too."""
SILENT_S = 10.0
"""Without a sign of life for this long, a worker that also rests is hung."""
STUCK_S = 20.0
"""Signs of life come, but no step was taken: a deadlock, if it also rests."""
LONGEST_S = 120.0
"""Nothing that a worker does holds the interpreter this long."""
_RESTS_S = 0.1
_RESTS_FAULTS = 16
_WORKING = "RD"
"""States of proc(5) in which a thread runs, wants to, or waits for the disk."""

WINDOW_S = 2.0
FAULTS_S = 50.0
"""Page faults from disk in a second, while tokens come, that are no coincidence: with
read-ahead each stands for many pages."""


@dataclass(frozen=True, slots=True)
class Effort:
    """What a process has used so far: seconds of CPU, page faults read from disk; and the
    state of its first thread, the one that computes."""

    cpu_s: float
    faults: int
    state: str = "S"


def effort(pid: int) -> Effort:
    """From /proc/PID/stat, fields 3, 12, 14 and 15 (proc(5)); zero once it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return Effort(0.0, 0)
    ticks = int(fields[11]) + int(fields[12])
    return Effort(ticks / os.sysconf("SC_CLK_TCK"), int(fields[9]), fields[0])


@dataclass(frozen=True, slots=True)
class Verdict:
    """``trouble`` is one line on a worker that does not respond, ``hung`` that it will not."""

    trouble: str = ""
    hung: bool = False


class Watchdog:
    """Told about a silent worker now and then, says when it is in trouble and when it hangs.

    A large load or a thrashing machine silences a healthy worker for a while, but then it
    uses the CPU, wants to, or reads from the disk.
    """

    def __init__(self) -> None:
        now = time.monotonic()
        self._silent = _Mark(now, Effort(0.0, 0))
        self._stuck = _Mark(now, Effort(0.0, 0))
        self._heard = -1.0
        self._steps = -1

    def look(self, now: float, heard: float, steps: int, spent: Effort, busy: bool) -> Verdict:
        """``heard``: time of the last sign of life; ``steps``: taken then; ``busy``: whether
        it is computing an answer, and so may be expected to go on at once."""
        if heard != self._heard:
            self._heard, self._silent = heard, _Mark(heard, spent)
        if steps != self._steps or not busy:
            self._steps, self._stuck = steps, _Mark(now, spent)
        silent, stuck = now - self._silent.since, now - self._stuck.since
        quiet, idle = self._silent.rested(spent), self._stuck.rested(spent)
        if silent > LONGEST_S or (silent > SILENT_S and quiet):
            return Verdict(f"the worker stopped answering {silent:.0f} s ago", True)
        if stuck > STUCK_S and idle:
            return Verdict(f"the worker made no progress for {stuck:.0f} s", True)
        if busy and (silent > SPINS_S or (silent > NAMED_S and quiet)):
            return Verdict("the worker does not answer")
        if busy and stuck > NAMED_S and idle:
            return Verdict("the worker makes no progress")
        return Verdict()


class Disk:
    """Says when a model's weights do not stay in memory: after the first token each was
    used once, and still pages are read from the disk while tokens come slower than before."""

    def __init__(self) -> None:
        self._best = 0.0
        self._since = 0.0
        self._tokens = self._faults = 0
        self._said = True

    def begin(self) -> None:
        """A new answer."""
        self._since, self._said = 0.0, False

    def look(self, now: float, tokens: int, faults: int) -> str:
        """One line, once an answer; ``tokens`` of the answer, ``faults`` of the process."""
        if not tokens or self._said:
            return ""
        if not self._since:
            self._since, self._tokens, self._faults = now, tokens, faults
            return ""
        took = now - self._since
        if took < WINDOW_S:
            return ""
        speed, read = (tokens - self._tokens) / took, (faults - self._faults) / took
        self._since, self._tokens, self._faults = now, tokens, faults
        if read >= FAULTS_S and (not self._best or speed < self._best / 2):
            self._said = True
            before = f" instead of {self._best:.1f}" if self._best else ""
            return (
                f"the weights do not fit in memory and are read from disk again and again: "
                f"{read:.0f} page faults/s, {speed:.1f} tok/s{before}"
            )
        self._best = max(self._best, speed)
        return ""


@dataclass(frozen=True, slots=True)
class _Mark:
    since: float
    spent: Effort

    def rested(self, spent: Effort) -> bool:
        return (
            spent.state not in _WORKING
            and spent.cpu_s - self.spent.cpu_s < _RESTS_S
            and spent.faults - self.spent.faults < _RESTS_FAULTS
        )
