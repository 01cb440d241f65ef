"""How many cores this process may really use, and what they are."""

import contextlib
import math
import os
import platform
import time
from collections.abc import Container, Iterable
from pathlib import Path

from tui.host import cgroup, process, system
from tui.host.cgroup import ROOT
from tui.host.instruction_sets import INSTRUCTION_SETS

_TICKS = os.sysconf("SC_CLK_TCK")
NEGLIGIBLE = 0.25
"""Others that take no more cores than this leave all of them."""


def cores() -> int:
    """Whole cores by affinity and control group quota, at least 1."""
    allowed = len(system.allowed_cores())
    share = quota()
    # Rounded down: threads above the quota are throttled all at once and spin meanwhile.
    return max(1, allowed if share is None else min(allowed, int(share)))


def quota(root: Path = ROOT) -> float | None:
    """Cores' worth of time the own control group and its ancestors grant; None: no limit."""
    found = cgroup.find_groups("cpu", "cpu.max", root)
    if found is None:
        return None
    read_group = _quota_v2 if found.version == 2 else _quota_v1
    shares = [read_group(folder) for folder in found.folders]
    return min((share for share in shares if share is not None), default=None)


class OtherProcesses:
    """What processes other than our own take of the cores."""

    def __init__(self, root: Path = ROOT) -> None:
        self._root = root
        self._last: tuple[float, float, dict[int, float]] | None = None

    def cores_used(self, own: Iterable[int]) -> float:
        """Cores' worth of time that they took since the last look, 0 at the first; ``own`` are
        our processes. What these took before they were known is theirs as well."""
        now, busy = time.monotonic(), self._busy_seconds()
        times = {pid: self._cpu_seconds(pid) for pid in own}
        last, self._last = self._last, (now, busy, times)
        if last is None or now <= last[0]:
            return 0.0
        ours = sum(max(0.0, taken - last[2].get(pid, 0.0)) for pid, taken in times.items())
        return max(0.0, (busy - last[1] - ours) / (now - last[0]))

    def _busy_seconds(self) -> float:
        """Seconds that the cores we may use have computed (proc_stat(5)): user, nice, system,
        irq and softirq; not what another virtual machine took."""
        if self._root == ROOT and not system.HAS_PROC:
            return system.busy_seconds()
        names, ticks = {f"cpu{n}" for n in system.allowed_cores()}, 0
        for line in (cgroup.read_text(self._root / "proc/stat") or "").splitlines():
            name, *fields = line.split()
            if name in names:
                ticks += sum(int(fields[n]) for n in (0, 1, 2, 5, 6))
        return ticks / _TICKS

    def _cpu_seconds(self, pid: int) -> float:
        """Seconds that a process has computed ; 0 for one that is gone."""
        stat = process.read_stat(pid, self._root)
        return stat.cpu_s if stat else 0.0


def sample_others(seconds: float) -> float:
    """Cores' worth of time that other processes take, within so many seconds from now."""
    others, own = OtherProcesses(), (os.getpid(),)
    others.cores_used(own)
    time.sleep(seconds)
    return others.cores_used(own)


def stolen_seconds(root: Path = ROOT) -> float:
    """Seconds that the host of this virtual machine took from each of the cores we may use since
    the start (steal of proc_stat(5)), on average; 0 where it is not told."""
    names, ticks = {f"cpu{n}" for n in system.allowed_cores()}, 0
    for line in (cgroup.read_text(root / "proc/stat") or "").splitlines():
        name, *fields = line.split()
        if name in names and len(fields) > 7:
            ticks += int(fields[7])
    return ticks / _TICKS / max(1, len(names))


def waited_ns(others: Container[int | None], root: Path = ROOT) -> int | None:
    """Nanoseconds that the threads of this process but ``others``, by the system's numbers, have
    waited for a core (the second number of ``schedstat``, the kernel's sched-stats.rst); None
    where that is not told."""
    total: int | None = None
    with contextlib.suppress(OSError):
        for task in os.scandir(root / "proc/self/task"):
            if int(task.name) not in others:
                # A thread may have ended meanwhile.
                told = (cgroup.read_text(Path(task) / "schedstat") or "").split()
                if len(told) > 1:
                    total = (total or 0) + int(told[1])
    return total


def free_cores(others: float) -> int:
    """Whole cores left beside others that take so much, at least 1. Threads of one product
    wait for each other: one that waits for a core holds up all of them, so that a core of
    which others take a quarter is better left to them."""
    return max(1, cores() - max(0, math.ceil(others - NEGLIGIBLE)))


def describe(root: Path = ROOT) -> dict[str, str | int | float]:
    """For the head of a session: ``model``, usable ``cores``, and ``quota`` if any."""
    found: dict[str, str | int | float] = {"model": model_name(root), "cores": cores()}
    share = quota(root)
    if share is not None:
        found["quota"] = share
    return found


def model_name(root: Path = ROOT) -> str:
    """What the processor calls itself."""
    for line in (cgroup.read_text(root / "proc/cpuinfo") or "").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Model", "Hardware"):
            return value.strip()
    return platform.processor() or platform.machine()


def flags(root: Path = ROOT) -> frozenset[str]:
    """The instruction sets that the kernel tells of, without those that DUIBI_HIDE_CPU_FLAGS names
    (with commas between): a CPU then computes as one that has not got them."""
    return _flags(root).difference(_hidden())


def hidden_flags(root: Path = ROOT) -> tuple[list[str], list[str]]:
    """What DUIBI_HIDE_CPU_FLAGS hides, and what it names that this CPU has not got."""
    found, named = _flags(root), _hidden()
    return sorted(found & named), sorted(named - found)


def unknown_hidden() -> str:
    """What DUIBI_HIDE_CPU_FLAGS names that neither this CPU nor any of our kernels' has, as a
    clause; else empty."""
    needed = frozenset().union(*(one.needs for one in INSTRUCTION_SETS))
    unknown = sorted(set(hidden_flags()[1]) - needed)
    if not unknown:
        return ""
    return f"DUIBI_HIDE_CPU_FLAGS names what this CPU has not got: {', '.join(unknown)}"


def _hidden() -> frozenset[str]:
    names = os.environ.get("DUIBI_HIDE_CPU_FLAGS", "").split(",")
    return frozenset(name.strip() for name in names if name.strip())


def _flags(root: Path) -> frozenset[str]:
    if root == ROOT and not system.HAS_PROC:
        return system.cpu_flags()
    # Under an emulator, as in a container of another machine, the file may tell of the real CPU.
    wanted = "Features" if platform.machine() == "aarch64" else "flags"
    for line in (cgroup.read_text(root / "proc/cpuinfo") or "").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == wanted:
            return frozenset(value.split())
    return frozenset()


def _quota_v2(folder: Path) -> float | None:
    parts = (cgroup.read_text(folder / "cpu.max") or "").split()
    if len(parts) != 2 or not all(part.isdigit() for part in parts) or not int(parts[1]):
        return None
    return int(parts[0]) / int(parts[1])


def _quota_v1(folder: Path) -> float | None:
    time = cgroup.read_int(folder / "cpu.cfs_quota_us")
    period = cgroup.read_int(folder / "cpu.cfs_period_us")
    return time / period if time and period and time > 0 else None
