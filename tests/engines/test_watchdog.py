"""Hung means silent and idle; busy, loading or thrashing is not hung."""

import os
import time

import pytest

from tui.engines.watchdog import (
    FAULTS_S,
    LONGEST_S,
    NAMED_S,
    SILENT_S,
    SPINS_S,
    STUCK_S,
    WINDOW_S,
    Disk,
    Effort,
    Verdict,
    Watchdog,
    effort,
)

IDLE = Effort(1.0, 0)


def test_silence_at_rest_is_told_within_a_second_and_is_a_hang_later() -> None:
    dog = Watchdog()
    assert dog.look(100.1, 100.0, 5, IDLE, True) == Verdict()
    assert dog.look(100.0 + NAMED_S - 0.1, 100.0, 5, IDLE, True) == Verdict()
    named = dog.look(100.0 + NAMED_S + 0.1, 100.0, 5, IDLE, True)
    assert "does not answer" in named.trouble and not named.hung
    hung = dog.look(101.0 + SILENT_S, 100.0, 5, IDLE, True)
    assert hung == Verdict("the worker stopped answering 11 s ago", True)
    assert dog.look(112.0, 111.9, 6, IDLE, True) == Verdict(), "it came back"


@pytest.mark.parametrize(
    "spent", [Effort(1.7, 0), Effort(1.0, 4000), Effort(1.0, 0, "R"), Effort(1.0, 0, "D")]
)
def test_silence_at_work_is_no_trouble_for_a_while(spent: Effort) -> None:
    """Computing, reading from the disk, kept from the CPU by others, waiting for the disk."""
    dog = Watchdog()
    dog.look(100.0, 100.0, 5, IDLE, True)
    assert dog.look(100.0 + SPINS_S - 0.1, 100.0, 5, spent, True) == Verdict()
    assert dog.look(100.0 + SPINS_S + 0.1, 100.0, 5, spent, True).trouble
    assert not dog.look(100.0 + LONGEST_S - 1, 100.0, 5, spent, True).hung
    assert dog.look(100.0 + LONGEST_S + 1, 100.0, 5, spent, True).hung


def test_signs_of_life_without_a_step_are_a_deadlock_only_while_answering() -> None:
    for busy in (True, False):
        dog, said = Watchdog(), Verdict()
        for tick in range(int(10 * STUCK_S) + 20):
            now = 100.0 + tick / 10
            said = dog.look(now, now, 5, IDLE, busy)
            if tick == 10:
                assert ("makes no progress" in said.trouble) == busy and not said.hung
        assert said.hung == busy


def test_loading_is_never_in_trouble_before_it_hangs() -> None:
    dog = Watchdog()
    dog.look(100.0, 100.0, 0, IDLE, False)
    assert dog.look(100.0 + SILENT_S - 1, 100.0, 0, IDLE, False) == Verdict()
    assert dog.look(100.0 + SILENT_S + 1, 100.0, 0, IDLE, False).hung


def test_weights_that_do_not_stay_in_memory_are_said_once_an_answer() -> None:
    disk, step = Disk(), WINDOW_S
    disk.begin()
    assert disk.look(0.0, 0, 0) == ""
    assert disk.look(9.0, 0, 90_000) == "", "the first pass reads them all, as it must"
    disk.look(10.0, 1, 100_000)
    assert disk.look(10.0 + step, 1 + int(10 * step), 100_000) == ""
    slow = disk.look(10.0 + 2 * step, 2 + int(10 * step), 100_000 + int(3 * FAULTS_S * step))
    assert "read from disk again and again" in slow
    assert f"{3 * FAULTS_S:.0f} page faults/s, 0.5 tok/s instead of 10.0" in slow
    assert disk.look(10.0 + 3 * step, 30, 200_000) == ""
    disk.begin()
    disk.look(20.0, 1, 200_000)
    assert disk.look(20.0 + step, 2, 300_000), "the next answer says it again"


def test_page_faults_without_a_loss_of_speed_are_nothing_to_tell() -> None:
    disk = Disk()
    disk.begin()
    disk.look(1.0, 1, 0)
    disk.look(1.0 + WINDOW_S, 21, 0)
    assert disk.look(1.0 + 2 * WINDOW_S, 38, 100_000) == ""
    assert disk.look(1.0 + 3 * WINDOW_S, 39, 100_001) == "", "slow, but not for the disk"


def test_effort_is_what_the_process_used() -> None:
    before = effort(os.getpid())
    until = time.process_time() + 0.1
    while time.process_time() < until:
        pass
    after = effort(os.getpid())
    assert 0.05 <= after.cpu_s - before.cpu_s < 2
    assert after.state == "R"
    assert effort(2**22 + 1) == Effort(0.0, 0)
