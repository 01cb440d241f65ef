"""How many cores this process may really use, and what they are."""

import os
import platform
from pathlib import Path

from tui.host import cgroup
from tui.host.cgroup import ROOT


def cores() -> int:
    """Whole cores by affinity and control group quota, at least 1."""
    affinity = getattr(os, "sched_getaffinity", None)
    allowed = len(affinity(0)) if affinity else (os.cpu_count() or 1)
    share = quota()
    # Rounded down: threads above the quota are throttled all at once and spin meanwhile.
    return max(1, allowed if share is None else min(allowed, int(share)))


def quota(root: Path = ROOT) -> float | None:
    """Cores' worth of time the own control group and its ancestors grant; None: no limit."""
    found = cgroup.groups("cpu", "cpu.max", root)
    if found is None:
        return None
    read_group = _quota_v2 if found.version == 2 else _quota_v1
    shares = [read_group(folder) for folder in found.folders]
    return min((share for share in shares if share is not None), default=None)


def describe(root: Path = ROOT) -> dict[str, str | int | float]:
    """For the head of a session: ``model``, usable ``cores``, and ``quota`` if any."""
    found: dict[str, str | int | float] = {"model": name(root), "cores": cores()}
    share = quota(root)
    if share is not None:
        found["quota"] = share
    return found


def name(root: Path = ROOT) -> str:
    """What the processor calls itself."""
    for line in (cgroup.read(root / "proc/cpuinfo") or "").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Model", "Hardware"):
            return value.strip()
    return platform.processor() or platform.machine()


def flags(root: Path = ROOT) -> frozenset[str]:
    """The instruction sets that the kernel tells of."""
    for line in (cgroup.read(root / "proc/cpuinfo") or "").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return frozenset()


def _quota_v2(folder: Path) -> float | None:
    parts = (cgroup.read(folder / "cpu.max") or "").split()
    if len(parts) != 2 or not all(part.isdigit() for part in parts) or not int(parts[1]):
        return None
    return int(parts[0]) / int(parts[1])


def _quota_v1(folder: Path) -> float | None:
    time = cgroup.number(folder / "cpu.cfs_quota_us")
    period = cgroup.number(folder / "cpu.cfs_period_us")
    return time / period if time and period and time > 0 else None
