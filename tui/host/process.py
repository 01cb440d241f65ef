"""What the kernel tells of a process."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tui.host import cgroup, system
from tui.host.cgroup import ROOT

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class ProcessStat:
    """``state`` is the letter of proc(5) for the first thread, ``major_faults`` are page faults
    that were read from disk, ``cpu_s`` seconds that all threads computed, ``started_s`` seconds
    between the start of the machine and its own."""

    name: str
    state: str
    parent: int
    major_faults: int
    cpu_s: float
    started_s: float


def read_stat(pid: int, root: Path = ROOT) -> ProcessStat | None:
    """From ``/proc/PID/stat`` (proc_pid_stat(5)) where there is one; None once the process is
    gone."""
    if root == ROOT and not system.HAS_PROC:
        facts = system.process_facts(pid)
        return facts and ProcessStat(*facts[:3], 0, *facts[3:])
    text = cgroup.read_text(root / f"proc/{pid}/stat")
    if not text:
        return None
    # The name in parentheses may itself hold spaces and parentheses.
    head, _, tail = text.rpartition(")")
    fields = ["", "", "", *tail.split()]  # an index is the field's number on the manual's page
    return ProcessStat(
        name=head.partition("(")[2],
        state=fields[3],
        parent=int(fields[4]),
        major_faults=int(fields[12]),
        cpu_s=(int(fields[14]) + int(fields[15])) / _TICKS_PER_S,
        started_s=int(fields[22]) / _TICKS_PER_S,
    )


def process_tree(pid: int, root: Path = ROOT) -> list[int]:
    """``pid`` and all its descendants."""
    children: dict[int, list[int]] = {}
    for one in _process_ids(root):
        if stat := read_stat(one, root):
            children.setdefault(stat.parent, []).append(one)
    found = [pid]
    for one in found:
        found += children.get(one, ())
    return found


def _process_ids(root: Path) -> Iterator[int]:
    if root == ROOT and not system.HAS_PROC:
        yield from system.process_ids()
    else:
        names = (entry.name for entry in (root / "proc").iterdir())
        yield from (int(name) for name in names if name.isdigit())
