"""A model that is added to a run that goes on."""

from pathlib import Path

from tests.support.engines import EchoEngine
from tests.support.runs import QUESTIONS, answers_of, finished, resolved
from tui import events as ev
from tui.board import fold
from tui.engines.base import Engine
from tui.models.resolved import ResolvedModel
from tui.options import RunOptions
from tui.run import setup
from tui.sessions.reader import read


def test_a_model_joins_and_answers_what_the_others_do(tmp_path: Path) -> None:
    def make(model: ResolvedModel, threads: int) -> Engine:
        return EchoEngine()

    run = setup.begin([resolved("one")], QUESTIONS, RunOptions(), tmp_path, make)
    try:
        run.start()
        run.ask("b")
        finished(run)
        assert run.add_model(resolved("one")) == 1
        run.ask("b")
        run.ask_all()
        board = finished(run)
    finally:
        run.close("test over")
    assert [model.label for model in board.models] == ["one", "one #2"]
    assert len(answers_of(board, 1)) == 4 and all(
        a.state == "answered" for a in answers_of(board, 1)
    )
    reading = read(run.path)
    assert reading.header.labels == ["one", "one #2"] and reading.verdict == "complete"
    assert [m.label for m in fold(reading.events).models] == ["one", "one #2"]
    assert sum(isinstance(event.body, ev.Joined) for event in reading.events) == 1
