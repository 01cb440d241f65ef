"""Memory that runs out and workers that die, seen from the run."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.support.engines import EchoEngine
from tui.board import Board, fold
from tui.engines.base import Request, Supervised, TimedBody
from tui.events import Failed
from tui.host import memory
from tui.models.resolve import ResolvedModel
from tui.questions import QuestionSet
from tui.questions.question_set import Question
from tui.run import setup
from tui.run.conductor import Run
from tui.sessions.reader import read
from tui.settings import Settings

GB = 1_000_000_000
QUESTIONS = QuestionSet("one", "One", "en", (Question("a", "", ("one two three",)),))


class Watched(EchoEngine):
    """An echo with a process of its own to lose."""

    def __init__(self, held: int = 0, pace: float = 0.002) -> None:
        super().__init__(token_s=pace)
        self.trouble = ""
        self.gone: Failed | None = None
        self.held = held
        self._ended = False

    def unexpected_exit(self) -> Failed | None:
        return self.gone

    def abort(self, why: Failed) -> None:
        self.gone, self.held = why, 0
        self._closed.set()

    def answer(self, requests: Sequence[Request]) -> Iterator[TimedBody]:
        for t_ns, body in super().answer(requests):
            lost = self.gone and isinstance(body, Failed)
            yield (
                t_ns,
                Failed(self.gone.cause, self.gone.message, "", body.answer)
                if (lost and self.gone)
                else body,
            )

    def cancel(self, answers: Sequence[int] | None = None) -> None:
        if self.trouble:
            self.trouble, self.gone = "", Failed("hung", self.trouble)
            self._closed.set()
        else:
            super().cancel(answers)

    def load(self, progress: Callable[..., None]):  # type: ignore[no-untyped-def]
        self.gone = None
        return super().load(progress)

    def close(self) -> None:
        self.gone = None
        super().close()

    def memory(self) -> tuple[int, int]:
        return (self.held or 5_000_000, 0) if self.loaded else (0, 0)


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def made(*engines: EchoEngine) -> Run:
        models = [
            ResolvedModel(f"m{i}", f"m{i}", "local", Path("nowhere"), "bf16", "llama", 1000)
            for i in range(len(engines))
        ]
        waiting = list(engines)
        run = setup.begin(
            models, QUESTIONS, Settings(), tmp_path / "s", lambda model, threads: waiting.pop(0)
        )
        runs.append(run)
        run.start()
        assert run.wait(5)
        return run

    yield made
    for run in runs:
        run.close("over")


def board_of(run: Run) -> Board:
    return fold(read(run.path).events)


def until(condition: Callable[[], bool], timeout: float = 2.0) -> float:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < timeout, "it did not happen in time"
        time.sleep(0.005)
    return time.monotonic() - began


def test_a_worker_that_dies_unasked_is_named_within_a_second_and_alone(
    begin: Callable[..., Run],
) -> None:
    dying, other = Watched(), Watched()
    assert isinstance(dying, Supervised)
    run = begin(dying, other)
    dying.gone = Failed("crashed", "the worker was ended by SIGSEGV", "x")
    assert until(lambda: board_of(run).models[0].state == "failed") < 1
    board = board_of(run)
    assert board.models[0].failure and "SIGSEGV" in board.models[0].failure.message
    assert board.models[1].state == "ready"
    run.ask("a")
    assert run.wait(5)
    assert [a.state for a in board_of(run).answers.values()] == ["answered", "answered"]
    assert dying.loads == 2, "asking starts it anew"


def test_asking_again_ends_a_worker_that_does_not_respond(begin: Callable[..., Run]) -> None:
    stuck, other = Watched(pace=30), Watched()
    run = begin(stuck, other)
    run.ask("a")
    until(lambda: [a.state for a in board_of(run).answers.values()] == ["prefill", "answered"])
    assert run.ask("a", again=True, models=[0]) == [], "it is only slow"
    stuck.trouble, stuck._token_s = "the worker does not answer", 0.001
    assert len(run.ask("a", again=True, models=[0])) == 1
    assert run.wait(5)
    first, _, again = board_of(run).answers.values()
    assert first.failure and first.failure.cause == "hung"
    assert again.state == "answered"


def test_before_memory_runs_out_the_largest_is_ended_and_told_why(
    begin: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    used = [4 * GB]
    gauge = memory.Gauge(16 * GB, "cgroup v2", lambda: used[0])
    monkeypatch.setattr(memory, "find_gauge", lambda *root: gauge)
    large, small = Watched(held=9 * GB, pace=0.5), Watched(held=2 * GB, pace=0.2)
    run = begin(large, small)
    run.ask("a")
    until(lambda: all(a.state == "prefill" for a in board_of(run).answers.values()))
    used[0] = 16 * GB - 600_000_000
    time.sleep(0.3)
    assert not [a for a in board_of(run).answers.values() if a.failure], "enough is left"
    used[0] = 16 * GB - 400_000_000
    took = until(lambda: board_of(run).answers[0].failure is not None)
    used[0] = 7 * GB
    assert took < 0.5
    assert run.wait(10)
    failed, whole = board_of(run).answers.values()
    assert failed.failure and failed.failure.cause == "out_of_memory"
    assert "held 9.0 GB" in failed.failure.message
    assert "0.4 of 16.0 GB were free (cgroup v2)" in failed.failure.message
    assert whole.state == "answered"
