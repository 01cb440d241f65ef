"""What one system has and another has not: the calls, and what is done without them.

All other modules call these instead. Linux has everything; macOS has no ``/proc``, no control
groups, no limit of the address space and no ``posix_fadvise``: there psutil tells of processes and
memory, and what only protects is left out. Its top imports nothing but the standard library, so
that a sandbox can import it.
"""

import contextlib
import os
import resource
import select
import sys
import time
from collections.abc import Collection, Iterator
from pathlib import Path

HAS_FORK_SERVER: bool = sys.platform == "linux"
"""Whether workers are copies of one process: elsewhere system libraries do not survive a fork."""
HAS_OWN_KERNELS: bool = sys.platform == "linux"
"""Whether our kernels can be built: macOS's clang has no OpenMP, so torch's compute there."""
HAS_PROC: bool = sys.platform == "linux"
"""Whether processes are files below ``/proc`` (proc(5))."""
TORCH_BRINGS_CUDA: bool = sys.platform == "linux"
"""Whether the torch of the usual package index is the one for CUDA, of several gigabytes."""
HANG_UP: int = getattr(select, "POLLRDHUP", 0)
"""The event of poll(2) for another end that is closed; Linux's."""


def allowed_cores() -> Collection[int]:
    """The cores that this process may use, by their numbers; all where a process has no such
    bound."""
    affinity = getattr(os, "sched_getaffinity", None)
    return affinity(0) if affinity else range(os.cpu_count() or 1)  # type: ignore[no-any-return,unused-ignore]


def boot_clock_ns() -> int:
    """Nanoseconds since the machine was started, with those it slept where they are counted."""
    return time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def limit_address_space(nbytes: int) -> None:
    """Bound this process's address space, where the system has such a bound; without it only the
    limits of time and text hold."""
    with contextlib.suppress(AttributeError, OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (nbytes, nbytes))


def forbid_core_files() -> None:
    """This process leaves no image of its memory when it is ended."""
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def limit_data_growth(pid: int, nbytes: int) -> None:
    """Let a process reserve so much more private memory than it has (RLIMIT_DATA), where one
    process can bound another."""
    prlimit = getattr(resource, "prlimit", None)
    if prlimit is not None:
        with contextlib.suppress(OSError, ValueError, IndexError):
            status = Path(f"/proc/{pid}/status").read_text("ascii", "replace")
            held = int(status.partition("VmData:")[2].split()[0]) << 10
            _, hard = prlimit(pid, resource.RLIMIT_DATA)
            prlimit(pid, resource.RLIMIT_DATA, (held + nbytes, hard))


def be_killed_first() -> None:
    """When memory runs out, let the kernel end this process and not its parent, where it asks."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def boot_id() -> str:
    """Names this boot of this machine; "" where the kernel names none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def mapped_files() -> list[str]:
    """The paths of the files that this process has mapped, libraries among them; none where the
    kernel does not tell."""
    try:
        lines = Path("/proc/self/maps").read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
    return [f"/{path}" for _, slash, path in (line.partition("/") for line in lines) if slash]


def drop_cached(fd: int) -> None:
    """Let go what of an open file is cached and not mapped, where the system lets one say so."""
    advise = getattr(os, "posix_fadvise", None)
    if advise is not None:
        advise(fd, 0, 0, os.POSIX_FADV_DONTNEED)  # type: ignore[attr-defined,unused-ignore]


def runs_no_programs(fd: int) -> bool:
    """Whether an open file or folder lies on a disk that is mounted so (noexec)."""
    return bool(os.fstatvfs(fd).f_flag & getattr(os, "ST_NOEXEC", 0))


def is_running(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # somebody else's
    return True


def open_node(path: Path) -> int:
    """A descriptor that leads to a file whose name goes away (O_PATH); -1 where there is none."""
    node = getattr(os, "O_PATH", None)
    return -1 if node is None else os.open(path, node | os.O_CLOEXEC)


def path_of_open(fd: int) -> Path:
    """A path to what this process has open, also where it has no name any more."""
    return Path(f"/proc/self/fd/{fd}")


def machine_memory() -> tuple[int, int]:
    """Bytes of memory, and of those in use, of a machine without ``/proc/meminfo``."""
    import psutil

    seen = psutil.virtual_memory()
    return int(seen.total), int(seen.total - seen.available)


def process_memory(pid: int) -> tuple[int, int]:
    """Private and mapped bytes of a process where there is no ``/proc``: all are private, as none
    else are told; (0, 0) once it is gone."""
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss), 0
    except psutil.Error:
        return 0, 0


def process_facts(pid: int) -> tuple[str, str, int, float, float] | None:
    """Name, state (the letter of proc(5)), parent, seconds computed and seconds from the
    machine's start to its own of a process where there is no ``/proc``; None once it is gone."""
    import psutil

    letters = {psutil.STATUS_STOPPED: "T", psutil.STATUS_ZOMBIE: "Z", psutil.STATUS_SLEEPING: "S"}
    try:
        one = psutil.Process(pid)
        with one.oneshot():
            times = one.cpu_times()
            began = one.create_time() - psutil.boot_time()
            state = letters.get(one.status(), "R")
            return one.name(), state, one.ppid() or 0, times.user + times.system, began
    except psutil.Error:
        return None


def process_ids() -> Iterator[int]:
    """All processes where there is no ``/proc``."""
    import psutil

    yield from psutil.pids()


def busy_seconds() -> float:
    """Seconds that all cores have computed where there is no ``/proc/stat``."""
    import psutil

    seen = psutil.cpu_times()
    return float(seen.user + seen.nice + seen.system)


def cpu_flags() -> frozenset[str]:
    """Instruction sets where there is no ``/proc/cpuinfo``: what every such CPU of ARM has."""
    machine = os.uname().machine
    return frozenset({"asimd", "asimddp"}) if machine == "arm64" else frozenset()
