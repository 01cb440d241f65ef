"""Runs with engines of a test, and what their sessions say."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.support.engines import EchoEngine
from tui.board import Answer, Board, fold
from tui.engines.base import Request
from tui.events import Body, Failed, Loaded, TimedBody
from tui.models.resolved import ResolvedModel
from tui.options import RunOptions
from tui.questions import QuestionSet
from tui.questions.question_set import Question
from tui.run import setup
from tui.run.conductor import Run
from tui.sessions.reader import read

QUESTIONS = QuestionSet(
    "three",
    "Three",
    "en",
    (
        Question("a", "", ("first of a", "second of a"), system="be brief"),
        Question("b", "", ("only b",)),
        Question("c", "", ("only c",)),
    ),
)
MB = 1_000_000


def resolved(label: str, parameters: int = MB, dtype: str = "bf16") -> ResolvedModel:
    """A local model without files."""
    return ResolvedModel(label, label, "local", Path("nowhere") / label, dtype, "llama", parameters)


class RunStage:
    """Begins runs with given engines; `close` ends them after the test."""

    def __init__(self, folder: Path, questions: QuestionSet = QUESTIONS) -> None:
        self.folder, self.questions = folder, questions
        self.runs: list[Run] = []

    def __call__(
        self,
        *engines: EchoEngine,
        settings: RunOptions | None = None,
        parameters: int = MB,
        start: bool = True,
    ) -> Run:
        models = [resolved(f"m{i}", parameters) for i in range(len(engines))]
        waiting = list(engines)
        run = setup.begin(
            models,
            self.questions,
            settings or RunOptions(),
            self.folder,
            lambda _model, _threads: waiting.pop(0),
        )
        self.runs.append(run)
        if start:
            run.start()
        return run

    def close(self) -> None:
        """End all runs."""
        for run in self.runs:
            run.close("test over")


def board_of(run: Run) -> Board:
    """What the session file says so far."""
    return fold(read(run.path).events)


def finished(run: Run, timeout: float = 60) -> Board:
    """The board once nothing is left to do."""
    assert run.wait(timeout), "the run did not come to rest"
    return board_of(run)


def answers_of(board: Board, model: int = 0) -> Sequence[Answer]:
    """The answers of one model, in the order asked."""
    return [answer for answer in board.answers.values() if answer.model == model]


class WatchedEngine(EchoEngine):
    """An echo with a process of its own to lose."""

    has_process = True

    def __init__(self, held: int = 0, pace: float = 0.002) -> None:
        super().__init__(token_s=pace)
        self.trouble = ""
        self.gone: Failed | None = None
        self.held = held

    def unexpected_exit(self) -> Failed | None:
        """Why the process is gone; None while it is there."""
        return self.gone

    def abort(self, why: Failed) -> None:
        """End the process, for a reason."""
        self.gone, self.held = why, 0
        self._closed.set()

    def answer(self, requests: Sequence[Request]) -> Iterator[TimedBody]:
        for t_ns, body in super().answer(requests):
            if self.gone and isinstance(body, Failed):
                body = Failed(self.gone.cause, self.gone.message, "", body.answer)
            yield t_ns, body

    def cancel(self, answers: Sequence[int] | None = None) -> None:
        if self.trouble:
            self.trouble, self.gone = "", Failed("hung", self.trouble)
            self._closed.set()
        else:
            super().cancel(answers)

    def load(self, progress: Callable[[int, Body], None]) -> Loaded:
        self.gone = None
        return super().load(progress)

    def close(self) -> None:
        self.gone = None
        super().close()

    def memory(self) -> tuple[int, int]:
        return (self.held or 5_000_000, 0) if self.loaded else (0, 0)
