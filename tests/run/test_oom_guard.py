"""Memory that runs out and workers that die, seen from the run."""

import time
from collections.abc import Callable

import pytest

from tests.support.runs import WatchedEngine, board_of
from tests.support.waiting import until
from tui.events import Failed
from tui.host import memory
from tui.run.conductor import Run

GB = 1_000_000_000


def test_a_worker_that_dies_unasked_is_named_within_a_second_and_alone(
    begin: Callable[..., Run],
) -> None:
    dying, other = WatchedEngine(), WatchedEngine()
    assert dying.has_process
    run = begin(dying, other)
    dying.gone = Failed("crashed", "the worker was ended by SIGSEGV", "x")
    until(lambda: board_of(run).models[0].state == "failed")
    board = board_of(run)
    assert board.models[0].failure and "SIGSEGV" in board.models[0].failure.message
    assert board.models[1].state == "ready"
    run.ask("a")
    assert run.wait(60)
    assert [a.state for a in board_of(run).answers.values()] == ["answered", "answered"]
    assert dying.loads == 2, "asking starts it anew"


def test_asking_again_ends_a_worker_that_does_not_respond(begin: Callable[..., Run]) -> None:
    stuck, other = WatchedEngine(pace=30), WatchedEngine()
    run = begin(stuck, other)
    run.ask("a")
    until(lambda: [a.state for a in board_of(run).answers.values()] == ["prefill", "answered"])
    assert run.ask("a", again=True, models=[0]) == [], "it is only slow"
    stuck.trouble, stuck._token_s = "the worker does not answer", 0.001
    assert len(run.ask("a", again=True, models=[0])) == 1
    assert run.wait(60)
    first, _, again = board_of(run).answers.values()
    assert first.failure and first.failure.cause == "hung"
    assert again.state == "answered"


def test_before_memory_runs_out_the_largest_is_ended_and_told_why(
    begin: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    used = [4 * GB]
    gauge = memory.Gauge(16 * GB, "cgroup v2", lambda: used[0])
    monkeypatch.setattr(memory, "find_gauge", lambda *root: gauge)
    large, small = WatchedEngine(held=9 * GB, pace=0.5), WatchedEngine(held=2 * GB, pace=0.2)
    run = begin(large, small)
    run.ask("a")
    until(lambda: all(a.state == "prefill" for a in board_of(run).answers.values()))
    used[0] = 16 * GB - 600_000_000
    time.sleep(0.3)
    assert not [a for a in board_of(run).answers.values() if a.failure], "enough is left"
    used[0] = 16 * GB - 400_000_000
    until(lambda: board_of(run).answers[0].failure is not None)
    used[0] = 7 * GB
    assert run.wait(60)
    failed, whole = board_of(run).answers.values()
    assert failed.failure and failed.failure.cause == "out_of_memory"
    assert "held 9.0 GB" in failed.failure.message
    assert "0.4 of 16.0 GB were free (cgroup v2)" in failed.failure.message
    assert whole.state == "answered"
