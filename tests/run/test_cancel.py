"""A cancelled answer is over at once for whoever looks, whenever its worker hears of it."""

from collections.abc import Callable, Sequence

from tests.support.engines import EchoEngine
from tests.support.runs import RunStage, WatchedEngine, answers_of, board_of, finished
from tests.support.waiting import until
from tui import events as ev
from tui.board import fold
from tui.run.conductor import Run
from tui.sessions.reader import read


class Deaf(EchoEngine):
    """Hears of a cancelled answer only when the test lets it."""

    def cancel(self, answers: Sequence[int] | None = None) -> None:
        self.missed = answers

    def hear(self) -> None:
        super().cancel(self.missed)


def test_it_is_told_before_the_worker_hears_and_nothing_comes_after(stage: RunStage) -> None:
    engine = Deaf(token_s=0.005)
    run = stage(engine)
    (first,) = run.ask(None, text="word " * 1000)
    until(lambda: answers_of(board_of(run))[0].tokens > 3)
    run.cancel(0)
    shown = fold(run.drain()[1])
    assert shown.answers[first].state == "cancelled", "the screen is told with the next look"
    requests = len(engine.requests)
    (second,) = run.ask("b")
    assert len(engine.requests) == requests, "the worker is still at it"
    engine.hear()
    board = finished(run)
    assert board.answers[first].text == shown.answers[first].text
    assert board.answers[second].state == "answered"
    of_first = [e.body for e in read(run.path).events if getattr(e.body, "answer", None) == first]
    assert isinstance(of_first[-1], ev.Cancelled)
    assert sum(isinstance(body, ev.Cancelled) for body in of_first) == 1


def test_one_that_is_stuck_is_told_to_have_hung(begin: Callable[..., Run]) -> None:
    stuck = WatchedEngine(pace=30)
    run = begin(stuck)
    run.ask("a")
    until(lambda: [a.state for a in board_of(run).answers.values()] == ["prefill"])
    stuck.trouble = "the worker does not answer"
    run.cancel(0)
    (answer,) = finished(run).answers.values()
    assert answer.failure is not None and answer.failure.cause == "hung"
