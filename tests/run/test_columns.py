"""Several columns of one model in a run: one worker, each with settings of its own."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.support.engines import EchoEngine
from tests.support.runs import QUESTIONS, answers_of, finished, resolved
from tui import events as ev
from tui.models.resolved import ResolvedModel
from tui.options import RunOptions
from tui.run import setup
from tui.run.columns import longest_options
from tui.run.conductor import Run
from tui.sessions.reader import read
from tui.text.thought import ALWAYS_THINKS, THINKS


def column(label: str, **settings: Any) -> ResolvedModel:
    """A column of the one model that there is."""
    return replace(resolved("one"), label=label, settings=settings)


def begin(folder: Path, engines: list[EchoEngine], *models: ResolvedModel) -> Run:
    """A run whose engines are kept in ``engines``."""

    def make(model: ResolvedModel, threads: int) -> EchoEngine:
        engines.append(EchoEngine())
        return engines[-1]

    run = setup.begin(models, QUESTIONS, RunOptions(temperature=1.0), folder, make)
    run.start()
    return run


def test_columns_of_one_model_share_its_engine(tmp_path: Path) -> None:
    engines: list[EchoEngine] = []
    cold, warm = column("cold", temperature=0.0), column("warm", system="be kind", seed=3)
    run = begin(tmp_path, engines, cold, resolved("two"), warm)
    try:
        run.ask_all()
        board = finished(run)
    finally:
        run.close("done")
    assert len(engines) == 2 and engines[0].loads == 1
    assert [model.state for model in board.models] == ["ready"] * 3
    assert all(len(answers_of(board, model)) == 4 for model in range(3))
    asked = {
        (one.sampling.temperature, one.sampling.seed, one.messages[0].content)
        for one in engines[0].requests
        if one.question == "b"
    }
    assert asked == {(0.0, None, "only b"), (1.0, 3, "be kind")}
    header = read(run.path).header
    assert [model.get("weights_of") for model in header.models] == [None, None, 0]
    assert header.settings_of(header.models[2])["seed"] == 3
    asked_with = [e.body.sampling for e in read(run.path).events if isinstance(e.body, ev.Asked)]
    assert {"temperature": 0.0} in asked_with and {"temperature": 1.0, "seed": 3} in asked_with


def test_memory_is_planned_for_the_longest_texts_of_the_columns() -> None:
    models = [column("short", max_new_tokens=5, think_tokens=90), column("long", system="be kind")]
    planned = longest_options(models, RunOptions(max_new_tokens=40, system="be"))
    assert (planned.max_new_tokens, planned.think_tokens) == (40, 90)
    assert planned.system == "be kind"


def test_a_column_is_stopped_without_its_neighbour(tmp_path: Path) -> None:
    engines: list[EchoEngine] = []
    run = begin(tmp_path, engines, column("cold"), column("warm", seed=1))
    try:
        run.ask_all()
        run.cancel(1)
        board = finished(run)
    finally:
        run.close("done")
    assert {a.state for a in answers_of(board, 0)} == {"answered"}
    assert "cancelled" in {a.state for a in answers_of(board, 1)}


def test_a_column_that_joins_needs_no_second_load(tmp_path: Path) -> None:
    engines: list[EchoEngine] = []
    run = begin(tmp_path, engines, column("cold"))
    try:
        run.ask("b")
        finished(run)
        assert run.add_model(column("warm", seed=9)) == 1
        run.ask("b", models=[1])
        board = finished(run)
    finally:
        run.close("done")
    assert len(engines) == 1 and engines[0].loads == 1
    assert board.models[1].state == "ready"
    assert engines[0].requests[-1].sampling.seed == 9
    assert read(run.path).header.models[1]["weights_of"] == 0


def test_who_says_how_to_think_is_not_told_how_to_say_it(tmp_path: Path) -> None:
    engine = EchoEngine()
    engine.notes = [THINKS, ALWAYS_THINKS, "something else"]
    models = [column("as it is"), column("off", think="off"), column("bounded", think_tokens=9)]
    run = setup.begin(models, QUESTIONS, RunOptions(), tmp_path, lambda model, threads: engine)
    run.start()
    try:
        run.ask("b")
        finished(run)
        run.add_model(column("on", think="on", think_tokens=5))
        run.ask("b", models=[3])
        board = finished(run)
    finally:
        run.close("done")
    told = [model.loaded.notes for model in board.models if model.loaded]
    assert told == [
        [THINKS, ALWAYS_THINKS, "something else"],
        [ALWAYS_THINKS, "something else"],
        [THINKS, "something else"],
        ["something else"],
    ]
