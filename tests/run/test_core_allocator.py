"""Cores change hands while answers run: who begins takes a share, who ends gives it back."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.engines import EchoEngine
from tests.support.runs import RunStage, finished
from tests.support.waiting import until
from tui import events as ev
from tui.board import Board
from tui.engines.base import Request
from tui.events import TimedBody
from tui.host import cpu
from tui.options import RunOptions
from tui.questions import QuestionSet
from tui.questions.question_set import Question
from tui.scoring.costs import compute_costs

QUESTIONS = QuestionSet(
    "two", "Two", "en", (Question("a", "", ("one",)), Question("b", "", ("two",)))
)


class Told(EchoEngine):
    """Answers when the test says so; takes a person's question beside a set's, as workers do."""

    interactive_slots = 1

    def __init__(self, bench: "Bench") -> None:
        super().__init__()
        self._bench = bench
        self._may = threading.Semaphore(0)
        self.open = self.begun = 0

    def set_threads(self, threads: int) -> None:
        super().set_threads(threads)
        self._bench.look()

    def answer(self, requests: Sequence[Request]) -> Iterator[TimedBody]:
        with self._bench.lock:
            self.open, self.begun = self.open + 1, self.begun + 1
            self._bench.order.append((self._bench.engines.index(self), requests[0].background))
        self._bench.look()
        while not self._may.acquire(timeout=0.01) and not self._closed.is_set():
            pass
        with self._bench.lock:
            self.open -= 1
        for t_ns, body in super().answer(requests):
            yield t_ns, replace(body, ttft_ms=9.0) if isinstance(body, ev.Answered) else body

    def go_on(self, answers: int = 1) -> None:
        """Let so many answers be finished."""
        self._may.release(answers)


class Bench:
    """A run of so many engines of the test's own."""

    def __init__(self, stage: RunStage, models: int) -> None:
        self.lock = threading.Lock()
        self.order: list[tuple[int, bool]] = []
        """The model and whether it is in the background, of each answer as it began."""
        self.most = 0
        """Threads that computed at once."""
        self.engines = [Told(self) for _ in range(models)]
        self.run = stage(*self.engines, settings=RunOptions(schedule="together"))
        assert self.run.wait(60)

    def look(self) -> None:
        """Add up the threads of those that compute."""
        with self.lock:
            now = sum(engine.threads[-1] for engine in self.engines if engine.open)
            self.most = max(self.most, now)

    def until(self, condition: Callable[[], bool]) -> None:
        until(condition, lambda: (self.order, [e.threads for e in self.engines]))

    def shares(self, *wanted: int) -> None:
        """Wait until the first engines have so many threads."""
        self.until(lambda: wanted == tuple(e.threads[-1] for e in self.engines[: len(wanted)]))

    def ask(self, model: int) -> None:
        """A question of a person, until its answer is being computed."""
        begun = self.engines[model].begun
        self.run.ask(None, text="now please", models=[model])
        self.until(lambda: self.engines[model].begun > begun)

    def finish(self, model: int, answers: int = 1) -> None:
        """Let answers of a model be finished."""
        engine = self.engines[model]
        goal = engine.begun - engine.open + answers
        engine.go_on(answers)
        self.until(lambda: engine.begun - engine.open >= goal)

    def board(self) -> Board:
        """All that happened, once nothing is open."""
        return finished(self.run)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int, int], Bench]]:
    stage = RunStage(tmp_path / "sessions", QUESTIONS)

    def begin(cores: int, models: int) -> Bench:
        monkeypatch.setattr(cpu, "cores", lambda: cores)
        return Bench(stage, models)

    yield begin
    stage.close()


def test_each_that_ends_gives_its_cores_to_those_that_still_answer(
    bench: Callable[[int, int], Bench],
) -> None:
    it = bench(4, 3)
    for model, shares in enumerate([(4,), (2, 2), (2, 1, 1)]):
        it.ask(model)
        it.shares(*shares)
    it.finish(1)
    it.until(lambda: [it.engines[n].threads[-1] for n in (0, 2)] == [2, 2])
    it.finish(2)
    it.shares(4)
    assert it.engines[0].open, "it was answering all the time"
    it.finish(0)
    answers = list(it.board().answers.values())
    assert [a.figures.contended for a in answers if a.figures] == [True] * 3
    it.ask(0)
    it.shares(4)
    it.finish(0)
    own = [a for a in it.board().answers.values() if a.model == 0]
    assert it.most == 4, "never more threads than cores"
    # What was measured beside others is left out of the table, and counted.
    ttft = compute_costs((), own, {id(a): (a.id, 0) for a in own})["ttft"]
    assert (ttft.n, ttft.contended, len(own)) == (1, 1, 2)


def test_a_question_beside_another_models_set_takes_its_share_and_gives_it_back(
    bench: Callable[[int, int], Bench],
) -> None:
    it = bench(4, 2)
    it.run.ask_all()
    it.finish(1, answers=2)
    it.shares(4)
    assert it.engines[0].open == it.engines[0].begun == 1, "the set goes on in the first"
    it.ask(1)
    it.shares(2, 2)
    it.finish(1)
    it.shares(4)
    assert it.engines[0].open == it.engines[0].begun == 1, "in the same answer"
    it.finish(0, answers=2)
    states = {(a.model, a.state) for a in it.board().answers.values()}
    assert states == {(0, "answered"), (1, "answered")}
    assert it.most == 4


def test_on_one_core_a_question_goes_before_the_sets_that_wait(
    bench: Callable[[int, int], Bench],
) -> None:
    it = bench(1, 3)
    it.run.ask_all()
    it.until(lambda: bool(it.order))
    first = it.order[0][0]
    asked = (first + 1) % 3
    it.run.ask(None, text="now please", models=[asked])
    cores = it.run._shared.cores
    it.until(lambda: len(cores._waiting) == 3)  # two of the set and a person's
    assert it.order == [(first, True)]
    it.finish(first)
    it.until(lambda: len(it.order) > 1)
    assert it.order[1] == (asked, False)
    for engine in it.engines:
        engine.go_on(3)
    assert all(a.state == "answered" for a in it.board().answers.values())
    assert it.most == 1
