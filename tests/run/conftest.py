"""A run of a test has all cores, whatever else the machine does, and ends with the test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.engines import EchoEngine
from tests.support.runs import RunStage
from tui.host import cpu
from tui.questions import QuestionSet
from tui.questions.question_set import Question
from tui.run.conductor import Run


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other programs take nothing."""
    monkeypatch.setattr(cpu.OtherProcesses, "cores_used", lambda self, own: 0.0)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[RunStage]:
    """Begins runs of three questions."""
    made = RunStage(tmp_path / "sessions")
    yield made
    made.close()


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """Begins runs of one question; what can be loaded at once is loaded."""
    one = QuestionSet("one", "One", "en", (Question("a", "", ("one two three",)),))
    made = RunStage(tmp_path / "s", one)

    def begun(*engines: EchoEngine) -> Run:
        run = made(*engines, parameters=1000)
        assert run.wait(60)
        return run

    yield begun
    made.close()
