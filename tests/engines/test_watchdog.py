"""Hung means silent and idle; busy, loading or thrashing is not hung."""

import os
import time

from tui.engines.watchdog import LONGEST_S, SILENT_S, STUCK_S, Effort, Watchdog, effort

IDLE = Effort(1.0, 0)


def test_silence_at_rest_is_a_hang() -> None:
    dog = Watchdog()
    assert not dog.hung(100.0, 99.0, 5, IDLE, True)
    assert not dog.hung(100.0 + SILENT_S - 1, 99.0, 5, IDLE, True)
    assert "no sign of life" in dog.hung(100.0 + SILENT_S + 1, 99.0, 5, IDLE, True)


def test_silence_at_work_is_not_unless_it_never_ends() -> None:
    dog = Watchdog()
    dog.hung(100.0, 99.0, 5, IDLE, False)
    assert not dog.hung(130.0, 99.0, 5, Effort(25.0, 0), False)
    dog = Watchdog()
    dog.hung(100.0, 99.0, 5, IDLE, False)
    assert not dog.hung(130.0, 99.0, 5, Effort(1.0, 4000), False)
    assert dog.hung(101.0 + LONGEST_S, 99.0, 5, Effort(90.0, 4000), False)


def test_signs_of_life_without_a_step_are_a_deadlock_only_while_answering() -> None:
    for busy in (True, False):
        dog = Watchdog()
        for second in range(int(STUCK_S) + 5):
            said = dog.hung(100.0 + second, 100.0 + second, 5, IDLE, busy)
        assert ("no progress" in said) == busy


def test_effort_is_what_the_process_used() -> None:
    before = effort(os.getpid())
    until = time.process_time() + 0.1
    while time.process_time() < until:
        pass
    assert 0.05 <= effort(os.getpid()).cpu_s - before.cpu_s < 2
    assert effort(2**22 + 1) == Effort(0.0, 0)
