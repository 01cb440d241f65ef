"""Lost cores are found from what the kernel counts."""

import os
import threading
import time
from pathlib import Path

import pytest

from tui.host import cpu
from tui.worker import lost_cores as lc
from tui.worker.lost_cores import CoreUsage, LostCores, lost_cores

S = 1_000_000_000


def test_waiting_threads_lose_their_share_of_the_cores() -> None:
    before = CoreUsage(0)
    # Two threads for ten seconds: twenty seconds of cores, of which three were waited for.
    assert lost_cores(before, CoreUsage(10 * S, waited=3 * S), 2) == LostCores(0.15, "programs")
    assert lost_cores(before, CoreUsage(10 * S, waited=S), 2) == LostCores(0.05, "")
    assert lost_cores(before, CoreUsage(10 * S, stolen=2 * S), 2) == LostCores(0.2, "programs")
    assert lost_cores(before, CoreUsage(10 * S, waited=S, stopped=4 * S), 2) == LostCores(
        0.45, "stopped"
    )
    assert lost_cores(before, CoreUsage(10 * S, suspended=S), 2).by == "suspended"
    assert lost_cores(before, CoreUsage(S, waited=9 * S), 1).share == 1
    assert lost_cores(before, before, 2) == lost_cores(before, CoreUsage(S, S), 0) == LostCores()
    # Where the kernel does not count it, time that the computing thread lacks was lost.
    unknown = CoreUsage(0, None), CoreUsage(10 * S, None, computed=7 * S)
    assert lost_cores(*unknown, 2) == LostCores(0.3, "programs")
    # A thread that ended takes its count with it.
    assert lost_cores(CoreUsage(0, 5 * S), CoreUsage(S, 0), 1) == LostCores()


def test_the_kernel_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, waited in enumerate((300, 4000)):
        task = tmp_path / f"proc/self/task/{number}"
        task.mkdir(parents=True)
        (task / "schedstat").write_text(f"77 {waited} 5\n")
    (tmp_path / "proc/self/task/9").mkdir()
    (tmp_path / "proc/stat").write_text(
        "cpu 9 9\ncpu0 1 1 1 1 1 1 1 200 0 0\ncpu1 1 1 1 1 1 1 1 0\n"
    )
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    monkeypatch.setattr(cpu, "_TICKS", 100)
    read = lc.read_usage(5, tmp_path)
    assert (read.waited, read.stolen, read.stopped) == (4300, S, 5)
    assert abs(read.suspended - lc.read_usage().suspended) < S
    nothing = lc.read_usage(root=tmp_path / "none")
    assert (nothing.waited, nothing.stolen) == (None, 0)


def test_a_thread_that_only_waits_for_those_that_compute_has_lost_nothing(tmp_path: Path) -> None:
    for number, waited in ((threading.get_native_id(), 300), (1 << 30, 4000)):
        task = tmp_path / f"proc/self/task/{number}"
        task.mkdir(parents=True)
        (task / "schedstat").write_text(f"77 {waited} 5\n")
    assert lc.read_usage(root=tmp_path).waited == 4300
    assert lc.read_usage(root=tmp_path, computes=False).waited == 4000


def test_a_process_that_computes_without_a_beat_was_not_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = {"clock": 0, "cpu": 0}
    monkeypatch.setattr(time, "monotonic_ns", lambda: now["clock"])
    monkeypatch.setattr(time, "process_time_ns", lambda: now["cpu"])
    watcher = lc.StopWatcher()
    for clock, computed in ((S // 5, S // 5), (3 * S, 2 * S)):
        now.update(clock=clock, cpu=computed)
        watcher.beat()
    assert watcher.stopped_ns == 0
    now.update(clock=8 * S, cpu=3 * S)
    assert watcher.beat() == watcher.stopped_ns == 4 * S
