"""A worker that the kernel really kills for memory, in a control group of our own."""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.support import tiny
from tests.support import control_group
from tests.support.waiting import until
from tui.board import Answer, Board, fold
from tui.host import cgroup
from tui.models.resolved import ResolvedModel
from tui.options import RunOptions
from tui.questions import QuestionSet
from tui.questions.question_set import Question
from tui.run import oom_guard, setup
from tui.sessions.reader import read

FAULTS = Path(control_group.__file__).parent / "faults"
LIMIT = 1400 << 20
"""Bytes of the group: two workers of a tiny model, this process's growth, and room."""
QUESTIONS = QuestionSet("one", "One", "en", (Question("q", "", ("Tell me of the sea.",)),))


def kills(folder: Path) -> int:
    """How many the kernel killed in a group."""
    names = ("memory.events", "memory.oom_control")
    return max(cgroup.read_table(folder / name).get("oom_kill", 0) for name in names)


@pytest.mark.slow
def test_a_worker_that_the_kernel_kills_for_memory_dies_alone_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Our own guard is first otherwise; the kernel is for what grows while nobody looks.
    monkeypatch.setattr(oom_guard, "CHECK_INTERVAL_S", 3600.0)
    # What lies in the current folder is no module for a child.
    faults = shutil.copytree(FAULTS, tmp_path / "faults")
    monkeypatch.setenv("PYTHONPATH", str(faults))
    model = tiny.write_llama(tmp_path / "tiny", stop=319, num_hidden_layers=30, hidden_size=128)
    try:
        with control_group.memory_limited(LIMIT) as folder:
            _strike(model, tmp_path / "sessions", folder)
    except control_group.NoControlGroup as error:
        pytest.skip(str(error))


def _strike(model: Path, sessions: Path, folder: Path) -> None:
    # Two folders: columns of one checkpoint would share a worker.
    folders = {"first": model, "second": shutil.copytree(model, model.parent / "copy")}
    models = [ResolvedModel(name, name, "local", at, "fp32") for name, at in folders.items()]
    settings = RunOptions(sampling="greedy", max_new_tokens=160, schedule="together")
    run = setup.begin(models, QUESTIONS, settings, sessions)

    def board() -> Board:
        return fold(read(run.path).events)

    def answers() -> list[Answer]:
        return list(board().answers.values())

    def until_they(condition: Callable[[list[Answer]], bool]) -> list[Answer]:
        until(lambda: condition(answers()), lambda: [(a.state, a.failure) for a in answers()])
        return answers()

    try:
        run.start()
        run.ask("q")
        whole, _ = until_they(lambda found: {a.state for a in found} == {"answered"})
        before = kills(folder)
        run.ask("q", again=True)
        until_they(lambda found: len(found) == 4 and found[2].tokens > 5 and found[3].tokens > 0)
        pid = getattr(run._lanes[0].engine, "pid", None)
        assert isinstance(pid, int)
        os.kill(pid, signal.SIGPWR)
        *_, lost, other = until_they(lambda found: not any(a.is_open for a in found))
        assert kills(folder) == before + 1, "nobody else died"
        assert lost.failure is not None and lost.failure.cause == "out_of_memory"
        assert lost.failure.message.startswith("killed by the kernel: out of memory (it held ")
        assert lost.tokens > 5 and whole.text.startswith(lost.text)
        assert other.state == "answered" and other.text == whole.text
        run.ask("q", again=True, models=[0])
        *_, again = until_they(lambda found: len(found) == 5 and not found[4].is_open)
        assert again.state == "answered" and again.text == whole.text, "it is loaded anew"
    finally:
        run.close("done")
    assert read(run.path).verdict == "complete"
