"""A real control group with a memory limit, where this machine lets us make one."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from tui.host import cgroup


class NoControlGroup(Exception):
    """None can be made here; the text says why."""


@contextlib.contextmanager
def memory_limited(limit: int) -> Iterator[Path]:
    """This process and those it starts live in a group of at most ``limit`` bytes, without
    swap; its folder. What was used before is counted where it was.

    Raises:
        NoControlGroup: it cannot be made, for want of rights or of the controller.
    """
    found = cgroup.find_groups("memory", "memory.max")
    if found is None:
        raise NoControlGroup("no memory controller is in sight")
    own, top = found.folders[0], found.folders[-1]
    folder = top / f"duibi-{os.getpid()}"
    try:
        if found.version == 2:
            (top / "cgroup.subtree_control").write_text("+memory")
        folder.mkdir()
    except OSError as error:
        raise NoControlGroup(f"no group can be made in {top}: {error.strerror}") from None
    try:
        name = "memory.max" if found.version == 2 else "memory.limit_in_bytes"
        (folder / name).write_text(str(limit))
        swap = "memory.swap.max" if found.version == 2 else "memory.memsw.limit_in_bytes"
        with contextlib.suppress(OSError):
            (folder / swap).write_text("0" if found.version == 2 else str(limit))
        (folder / "cgroup.procs").write_text(str(os.getpid()))
        try:
            yield folder
        finally:
            for pid in (folder / "cgroup.procs").read_text().split():
                with contextlib.suppress(OSError):
                    (own / "cgroup.procs").write_text(pid)
    except OSError as error:
        raise NoControlGroup(f"{error.filename or folder}: {error.strerror}") from None
    finally:
        with contextlib.suppress(OSError):
            folder.rmdir()
