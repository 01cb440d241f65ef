"""Telling a worker that hangs from one that works hard."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

SILENT_S = 10.0
"""Without a sign of life for this long, a worker that also rests is hung."""
STUCK_S = 60.0
"""Signs of life come, but no step was taken: a deadlock, if it also rests."""
LONGEST_S = 120.0
"""Nothing that a worker does holds the interpreter this long."""
_RESTS_S = 0.2
_RESTS_FAULTS = 16


@dataclass(frozen=True, slots=True)
class Effort:
    """What a process has used so far: seconds of CPU, page faults read from disk."""

    cpu_s: float
    faults: int


def effort(pid: int) -> Effort:
    """From /proc/PID/stat, fields 12, 14 and 15 (proc(5)); zero once it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return Effort(0.0, 0)
    ticks = int(fields[11]) + int(fields[12])
    return Effort(ticks / os.sysconf("SC_CLK_TCK"), int(fields[9]))


class Watchdog:
    """Told about a worker now and then, says when it hangs.

    A large load or a thrashing machine silences a healthy worker for a while, but then it
    uses the CPU or reads from the disk.
    """

    def __init__(self) -> None:
        now = time.monotonic()
        self._silent = _Mark(now, Effort(0.0, 0))
        self._stuck = _Mark(now, Effort(0.0, 0))
        self._heard = -1.0
        self._steps = -1

    def hung(self, now: float, heard: float, steps: int, spent: Effort, busy: bool) -> str:
        """One line if it hangs, else nothing. ``heard``: time of the last sign of life;
        ``steps``: taken then; ``busy``: whether it is computing an answer."""
        if heard != self._heard:
            self._heard, self._silent = heard, _Mark(now, spent)
        if steps != self._steps or not busy:
            self._steps, self._stuck = steps, _Mark(now, spent)
        silent, stuck = now - self._silent.since, now - self._stuck.since
        if silent > LONGEST_S or (silent > SILENT_S and self._silent.rested(spent)):
            return f"the worker gave no sign of life for {silent:.0f} s"
        if stuck > STUCK_S and self._stuck.rested(spent):
            return f"the worker made no progress for {stuck:.0f} s"
        return ""


@dataclass(frozen=True, slots=True)
class _Mark:
    since: float
    spent: Effort

    def rested(self, spent: Effort) -> bool:
        return (
            spent.cpu_s - self.spent.cpu_s < _RESTS_S
            and spent.faults - self.spent.faults < _RESTS_FAULTS
        )
