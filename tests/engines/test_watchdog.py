"""Hung means silent and idle; busy, loading or thrashing is not hung."""

import os
import queue
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from tui.engines import local
from tui.engines.watchdog import (
    BUSY_WARNING_S,
    IDLE_WARNING_S,
    MAX_SILENCE_S,
    SILENT_HANG_S,
    STUCK_HANG_S,
    THRASH_FAULTS_PER_S,
    THRASH_WINDOW_S,
    ProcessUsage,
    ThrashDetector,
    Watchdog,
    WorkerHealth,
    process_usage,
)
from tui.engines.worker_process import WorkerExit
from tui.events import Note

IDLE = ProcessUsage(1.0, 0)


def test_silence_at_rest_is_told_within_a_second_and_is_a_hang_later() -> None:
    dog = Watchdog()
    assert dog.check(100.1, 100.0, 5, IDLE, True) == WorkerHealth()
    assert dog.check(100.0 + IDLE_WARNING_S - 0.1, 100.0, 5, IDLE, True) == WorkerHealth()
    named = dog.check(100.0 + IDLE_WARNING_S + 0.1, 100.0, 5, IDLE, True)
    assert "does not answer" in named.trouble and not named.is_hung
    hung = dog.check(101.0 + SILENT_HANG_S, 100.0, 5, IDLE, True)
    assert hung == WorkerHealth("the worker stopped answering 11 s ago", True)
    assert dog.check(112.0, 111.9, 6, IDLE, True) == WorkerHealth(), "it came back"


@pytest.mark.parametrize(
    "spent",
    [
        ProcessUsage(1.7, 0),
        ProcessUsage(1.0, 4000),
        ProcessUsage(1.0, 0, "R"),
        ProcessUsage(1.0, 0, "D"),
    ],
)
def test_silence_at_work_is_no_trouble_for_a_while(spent: ProcessUsage) -> None:
    """Computing, reading from the disk, kept from the CPU by others, waiting for the disk."""
    dog = Watchdog()
    dog.check(100.0, 100.0, 5, IDLE, True)
    assert dog.check(100.0 + BUSY_WARNING_S - 0.1, 100.0, 5, spent, True) == WorkerHealth()
    assert dog.check(100.0 + BUSY_WARNING_S + 0.1, 100.0, 5, spent, True).trouble
    assert not dog.check(100.0 + MAX_SILENCE_S - 1, 100.0, 5, spent, True).is_hung
    assert dog.check(100.0 + MAX_SILENCE_S + 1, 100.0, 5, spent, True).is_hung


def test_signs_of_life_without_a_step_are_a_deadlock_only_while_answering() -> None:
    for busy in (True, False):
        dog, said = Watchdog(), WorkerHealth()
        for tick in range(int(10 * STUCK_HANG_S) + 20):
            now = 100.0 + tick / 10
            said = dog.check(now, now, 5, IDLE, busy)
            if tick == 10:
                assert ("makes no progress" in said.trouble) == busy and not said.is_hung
        assert said.is_hung == busy


def test_loading_is_never_in_trouble_before_it_hangs() -> None:
    dog = Watchdog()
    dog.check(100.0, 100.0, 0, IDLE, False)
    assert dog.check(100.0 + SILENT_HANG_S - 1, 100.0, 0, IDLE, False) == WorkerHealth()
    assert dog.check(100.0 + SILENT_HANG_S + 1, 100.0, 0, IDLE, False).is_hung


def test_who_was_stopped_himself_counts_anew() -> None:
    dog = Watchdog()
    dog.check(100.0, 100.0, 5, IDLE, True)
    # Nobody looked for ten minutes.
    dog.restart(700.0, 100.0, IDLE)
    assert dog.check(700.1, 100.0, 5, IDLE, True) == WorkerHealth()
    assert dog.check(700.0 + IDLE_WARNING_S + 0.1, 100.0, 5, IDLE, True).trouble
    assert dog.check(701.0 + SILENT_HANG_S, 100.0, 5, IDLE, True).is_hung


def test_weights_that_do_not_stay_in_memory_are_said_once_an_answer() -> None:
    disk, step = ThrashDetector(), THRASH_WINDOW_S
    disk.start_answer()
    assert disk.check(0.0, 0, 0) == ""
    assert disk.check(9.0, 0, 90_000) == "", "the first pass reads them all, as it must"
    disk.check(10.0, 1, 100_000)
    assert disk.check(10.0 + step, 1 + int(10 * step), 100_000) == ""
    slow = disk.check(
        10.0 + 2 * step, 2 + int(10 * step), 100_000 + int(3 * THRASH_FAULTS_PER_S * step)
    )
    assert "read from disk again and again" in slow
    assert f"{3 * THRASH_FAULTS_PER_S:.0f} page faults/s, 0.5 tok/s instead of 10.0" in slow
    assert disk.check(10.0 + 3 * step, 30, 200_000) == ""
    disk.start_answer()
    disk.check(20.0, 1, 200_000)
    assert disk.check(20.0 + step, 2, 300_000), "the next answer says it again"


def test_page_faults_without_a_loss_of_speed_are_nothing_to_tell() -> None:
    disk = ThrashDetector()
    disk.start_answer()
    disk.check(1.0, 1, 0)
    disk.check(1.0 + THRASH_WINDOW_S, 21, 0)
    assert disk.check(1.0 + 2 * THRASH_WINDOW_S, 38, 100_000) == ""
    assert disk.check(1.0 + 3 * THRASH_WINDOW_S, 39, 100_001) == "", "slow, but not for the disk"


def test_effort_is_what_the_process_used() -> None:
    began = time.process_time()
    before = process_usage(os.getpid())
    until = time.process_time() + 0.1
    while time.process_time() < until:
        pass
    after = process_usage(os.getpid())
    # Both are counted in steps of a hundredth of a second.
    assert 0.05 <= after.cpu_s - before.cpu_s <= time.process_time() - began + 0.05
    assert after.state == "R"
    assert process_usage(2**22 + 1) == ProcessUsage(0.0, 0)


def test_a_gap_in_watching_is_no_sign_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    child: Any = SimpleNamespace(
        inbox=queue.Queue[Any](), trouble="", last_heard=time.monotonic() - 1, steps=0
    )
    child.usage = lambda: ProcessUsage(0.0, 0)
    told = local._supervised_events(child, busy=True)
    first = next(told)
    assert not isinstance(first, WorkerExit) and isinstance(first[1], Note)
    assert "does not answer" in first[1].text
    # From now on every look comes too late.
    monkeypatch.setattr(local, "WATCHER_GAP_S", -1.0)
    threading.Timer(0.5, child.inbox.put, [WorkerExit(None)]).start()
    assert next(told) == WorkerExit(None)
