"""How much memory there is to use, and how much of it is used.

Inside a container the machine's figures are wrong: the limit is the lowest of the own
control group and all its ancestors, and what the page cache holds (mapped weights
too) is given back under pressure and so is not counted as used.
"""

import contextlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tui.host import cgroup, process, system
from tui.host.cgroup import ROOT
from tui.host.errors import UserError

LIMIT_VARIABLE = "DUIBI_MEMORY_LIMIT"
_UNLIMITED = 1 << 60
"""Version 1 writes 2**63 - 4096 for "no limit"; no machine has an exbibyte."""
_MIN_RESERVE = 512 << 20
_RESERVE_SHARE = 0.03
_M_ARENA_MAX = -8
_BUDGET_RENEWED_S, _LIMIT_RENEWED_S = 1.0, 5.0
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


@dataclass(frozen=True, slots=True)
class MemoryReading:
    """The bound that is in force. Bytes; ``source`` says whose it is:
    ``cgroup v2``, ``cgroup v1``, ``machine`` or ``DUIBI_MEMORY_LIMIT``."""

    limit: int
    used: int
    source: str

    @property
    def free(self) -> int:
        """What can still be used before the limit."""
        return max(0, self.limit - self.used)

    @property
    def reserve(self) -> int:
        """Kept free, because the kernel's OOM killer is faster than a thread that watches the
        memory. ``DUIBI_MEMORY_LIMIT`` kills nobody: a smaller reserve does."""
        if self.source == LIMIT_VARIABLE:
            return int(self.limit * _RESERVE_SHARE)
        return min(max(_MIN_RESERVE, int(self.limit * _RESERVE_SHARE)), self.limit // 8)

    @property
    def available(self) -> int:
        """What can be planned for."""
        return max(0, self.free - self.reserve)


@dataclass(frozen=True, slots=True)
class Gauge:
    """Where a `MemoryReading` comes from, found once and read often: a reading finds mounts and
    groups anew each time, which costs milliseconds."""

    limit: int
    source: str
    used: Callable[[], int]

    @property
    def renewed_after_s(self) -> float:
        """Seconds after which it is to be found again: limits change seldom, but a budget counts
        the processes that there are."""
        return _BUDGET_RENEWED_S if self.source == LIMIT_VARIABLE else _LIMIT_RENEWED_S

    def read(self) -> MemoryReading:
        """What is used now. Of a budget: by the processes there were when it was found."""
        return MemoryReading(self.limit, self.used(), self.source)


def use_one_malloc_arena() -> None:
    """Have all threads share one heap (mallopt(3), glibc): with one for every thread that
    made a string, a process of many threads and little work keeps megabytes half empty."""
    import ctypes  # 5 ms that only a run has to pay

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def trim_heap() -> None:
    """Give freed memory back to the system (malloc_trim(3), glibc): what was needed in passing
    stays with the allocator otherwise."""
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(ctypes.c_size_t(0))


def limit() -> int:
    """Bytes this program may use at most."""
    return read_memory().limit


def used() -> int:
    """Bytes in use under that limit, without the page cache."""
    return read_memory().used


def read_memory(root: Path = ROOT) -> MemoryReading:
    """The lowest bound and what is used of it.

    ``DUIBI_MEMORY_LIMIT`` is a budget for this program alone: where it is the lowest,
    what counts as used is the private memory of this process and its descendants.

    Raises:
        UserError: ``DUIBI_MEMORY_LIMIT`` is not a size.
    """
    return find_gauge(root).read()


def find_gauge(root: Path = ROOT) -> Gauge:
    """The lowest bound, ready to be read again and again.

    Raises:
        UserError: as `read_memory`.
    """
    real = _container(root) or _machine(root)
    given = os.environ.get(LIMIT_VARIABLE, "")
    if given:
        budget = parse_size(given, LIMIT_VARIABLE)
        if budget < real.limit:
            ours = process.process_tree(os.getpid(), root)
            return Gauge(
                budget, LIMIT_VARIABLE, lambda: sum(process_memory(pid, root)[0] for pid in ours)
            )
    return real


def process_memory(pid: int, root: Path = ROOT) -> tuple[int, int]:
    """Private (anonymous, swapped out too) and mapped (file and shared) bytes of a
    process, from ``/proc/PID/status``; (0, 0) once it is gone."""
    if root == ROOT and not system.HAS_PROC:
        return system.process_memory(pid)
    names = ("RssAnon", "VmSwap", "RssFile", "RssShmem")
    anonymous, swapped, file, shared = cgroup.read_rows(root / f"proc/{pid}/status", *names)
    return anonymous + swapped, file + shared


def pressure(root: Path = ROOT) -> float | None:
    """Share of the last 10 s, in percent, in which some task waited for memory (PSI
    ``some avg10`` of the own group, else of the machine); None where not kept."""
    found = cgroup.find_groups("memory", "memory.max", root)
    own = [found.folders[0] / "memory.pressure"] if found and found.version == 2 else []
    for path in (*own, root / "proc/pressure/memory"):
        match = re.search(r"some avg10=([0-9.]+)", cgroup.read_text(path) or "")
        if match:
            return float(match[1])
    return None


def parse_size(text: str, name: str) -> int:
    """Bytes of ``1073741824``, ``12G``, ``12GB``, ``512 MiB`` (powers of 1024).

    Raises:
        UserError: it is nothing of the kind; ``name`` says where it stood.
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?)(?:I?B)?", text.strip().upper())
    size = int(float(match[1]) * _UNITS[match[2]]) if match else 0
    if size <= 0:
        raise UserError(f"{name}: {text!r} is not a size", f"write bytes or e.g. {name}=12G")
    return size


def _container(root: Path) -> Gauge | None:
    found = cgroup.find_groups("memory", "memory.max", root)
    if found is None:
        return None
    read_group = _group_v2 if found.version == 2 else _group_v1
    total = _meminfo(root).get("MemTotal", _UNLIMITED)
    # Of equal limits the outermost counts: what its other members use is used up too.
    best: tuple[int, Path] | None = None
    for folder in found.folders:
        bound = read_group(folder)
        if bound is not None and bound < total and (best is None or bound <= best[0]):
            best = bound, folder
    if best is None:
        return None
    bound, folder = best

    def in_use() -> int:
        current = "memory.current" if found.version == 2 else "memory.usage_in_bytes"
        prefix = "" if found.version == 2 else "total_"
        names = (f"{prefix}active_file", f"{prefix}inactive_file")
        cached = sum(cgroup.read_rows(folder / "memory.stat", *names))
        return max(0, (cgroup.read_int(folder / current) or 0) - cached)

    return Gauge(bound, f"cgroup v{found.version}", in_use)


def _group_v2(folder: Path) -> int | None:
    bounds = [cgroup.read_int(folder / name) for name in ("memory.max", "memory.high")]
    return min((bound for bound in bounds if bound is not None), default=None)


def _group_v1(folder: Path) -> int | None:
    # hierarchical_memory_limit also tells of ancestors above what is mounted here.
    stat = cgroup.read_table(folder / "memory.stat")
    bounds = (
        cgroup.read_int(folder / "memory.limit_in_bytes"),
        stat.get("hierarchical_memory_limit"),
    )
    return min((b for b in bounds if b is not None and b < _UNLIMITED), default=None)


def _machine(root: Path) -> Gauge:
    if root == ROOT and not system.HAS_PROC:
        return Gauge(system.machine_memory()[0], "machine", lambda: system.machine_memory()[1])

    def in_use() -> int:
        info = _meminfo(root)
        total = info.get("MemTotal", 0)
        return max(0, total - info.get("MemAvailable", total))

    return Gauge(_meminfo(root).get("MemTotal", 0), "machine", in_use)


def _meminfo(root: Path) -> dict[str, int]:
    return cgroup.read_table(root / "proc/meminfo")
