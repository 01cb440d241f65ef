"""Local models take turns: one answers all it was asked, with all cores, then the next."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.engines import EchoEngine
from tests.support.runs import MB, RunStage, answers_of, board_of, finished
from tests.support.waiting import until
from tui import events as ev
from tui.engines.base import Request
from tui.events import TimedBody
from tui.host import cpu, memory
from tui.options import RunOptions

Watch = list[tuple[str, int, float]]


class Measurable(EchoEngine):
    """An echo that can be measured; ``hold`` lets a measure wait until it is cancelled."""

    can_be_measured = True
    interactive_slots = 1
    concurrency = 4

    def __init__(self, watch: Watch, name: int, hold: bool = False) -> None:
        super().__init__(watch=watch, name=name)
        self.hold = threading.Event()
        self.measured: list[tuple[int, int]] = []
        if not hold:
            self.hold.set()

    def answer(self, requests: Sequence[Request]) -> Iterator[TimedBody]:
        (request,) = requests
        if not request.prompt_tokens:
            yield from super().answer(requests)
            return
        id_, tokens = request.answer, (request.prompt_tokens, request.max_new_tokens)
        self._watch.append(("measure", self._name, 0.0))
        while not self.hold.wait(0.01):
            yield 1, ev.Delta(id_)
            if id_ in self._cancelled:
                yield 2, ev.Cancelled(id_)
                return
        self.measured.append(tokens)
        figures = ev.Answered(id_, "length", *tokens, ttft_ms=10.0, tpot_ms=2.0, threads=2)
        yield 3, replace(figures, prefill_tok_s=900.0, decode_tok_s=500.0, peak_private=7)


@pytest.fixture(autouse=True)
def cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "cores", lambda: 2)


def kinds(watch: Watch) -> list[tuple[str, int]]:
    """What happened, what is the same several times in a row once."""
    found: list[tuple[str, int]] = []
    for kind, name, _ in watch:
        if kind != "done" and found[-1:] != [(kind, name)]:
            found.append((kind, name))
    return found


def test_without_a_person_a_model_does_all_its_work_before_the_next(stage: RunStage) -> None:
    watch: Watch = []
    run = stage(*(Measurable(watch, n) for n in range(3)), start=False)
    run.ask_all(2)
    run.start()
    board = finished(run)
    assert kinds(watch) == [(k, n) for n in range(3) for k in ("load", "answer", "measure")]
    assert not any(a.figures and a.figures.contended for a in board.answers.values())
    for model in board.models:
        assert model.loaded and not model.loaded.contended
        (told,) = model.measures
        assert (told.prompt_tokens, told.output_tokens, told.rounds) == (256, 64, 3)
        assert (told.ttft_ms, told.tpot_ms, told.threads, told.peak_private) == (10, 2, 2, 7)
        assert told.load_s == model.loaded.load_s and not told.contended


def test_together_computes_at_the_same_time_and_measures_alone(stage: RunStage) -> None:
    watch: Watch = []
    engines = [Measurable(watch, n) for n in range(2)]
    together = threading.Barrier(2, timeout=60)
    for engine in engines:
        # Neither goes on before the other is there.
        def answer(
            requests: Sequence[Request],
            own: Callable[[Sequence[Request]], Iterator[TimedBody]] = engine.answer,
        ) -> Iterator[TimedBody]:
            if not requests[0].prompt_tokens and requests[0].messages[-1].content == "only c":
                together.wait()
            yield from own(requests)

        engine.answer = answer  # type: ignore[method-assign]
    run = stage(*engines, settings=RunOptions(schedule="together"), start=False)
    run.ask_all()
    run.start()
    board = finished(run)
    assert all(a.state == "answered" for a in board.answers.values())
    measured = [kind for kind, _ in kinds(watch)].index("measure")
    assert {kind for kind, _ in kinds(watch)[measured:]} == {"measure"}
    assert all([x.contended for x in m.measures] == [False] for m in board.models)


def test_what_is_on_view_is_answered_by_every_model_first(stage: RunStage) -> None:
    watch: Watch = []
    engines = [Measurable(watch, n) for n in range(2)]
    run = stage(*engines)
    assert run.wait(60)
    run.ask_all(on_view="b")
    order = sorted(finished(run).answers.values(), key=lambda a: a.started_us or 0)
    assert [(a.model, a.question) for a in order[:2]] == [(0, "b"), (1, "b")]
    assert [a.model for a in order[2:]] == [0, 0, 0, 1, 1, 1]


def test_another_question_on_view_goes_before_what_is_queued(stage: RunStage) -> None:
    watch: Watch = []
    engine = Measurable(watch, 0)
    engine.concurrency = 1
    run = stage(engine, start=False)
    run.ask_all(on_view="b")
    run.view("c")
    run.start()
    order = sorted(finished(run).answers.values(), key=lambda a: a.started_us or 0)
    assert [a.question for a in order] == ["c", "a", "a", "b"]


def test_a_person_ends_a_measure_that_is_taken_again(tmp_path: Path, stage: RunStage) -> None:
    watch: Watch = []
    engines = [Measurable(watch, 0, hold=True), Measurable(watch, 1, hold=True)]
    run = stage(*engines)
    until(lambda: ("measure", 0) in kinds(watch))
    until(lambda: board_of(run).models[0].is_measuring)
    (answer,) = run.ask("b", models=[1])
    until(lambda: ("answer", 1) in kinds(watch))
    assert not engines[0].measured, "it was left for somebody of another model"
    for engine in engines:
        engine.hold.set()
    board = finished(run)
    assert board.answers[answer].state == "answered"
    assert not any(model.is_measuring for model in board.models)
    assert all([x.contended for x in m.measures] == [False] for m in board.models)
    assert not [m.notes for m in board.models if m.notes]


def test_questions_of_a_person_are_answered_side_by_side(stage: RunStage) -> None:
    watch: Watch = []
    engines = [Measurable(watch, n) for n in range(2)]
    for engine in engines:
        engine._token_s = 0.05
    run = stage(*engines)
    assert run.wait(60)
    run.ask("a")
    board = finished(run)
    spans = [(a.started_us, a.last_us) for a in board.answers.values()]
    (one, two) = sorted((start or 0, end or 0) for start, end in spans)
    assert two[0] < one[1]
    told = [a.figures for a in board.answers.values()]
    assert [f and (f.contended, f.contended_by) for f in told] == [(True, "model")] * 2


def test_models_that_do_not_fit_together_are_measured_before_they_leave(
    stage: RunStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = memory.MemoryReading(6_000_000_000, 0, "test")
    monkeypatch.setattr(memory, "read_memory", lambda: reading)
    watch: Watch = []
    run = stage(*(Measurable(watch, n) for n in range(2)), parameters=2000 * MB, start=False)
    run.ask_all()
    run.start()
    board = finished(run)
    steps = [(kind, n) for kind, n in kinds(watch) if kind != "close"]
    assert steps == [(k, n) for n in range(2) for k in ("load", "answer", "measure")]
    assert all(m.measures for m in board.models)


def test_it_is_not_measured_where_that_is_not_wanted_or_was_done(stage: RunStage) -> None:
    watch: Watch = []
    run = stage(Measurable(watch, 0), settings=RunOptions(measure=False), start=False)
    run.ask_all()
    run.start()
    assert finished(run).models[0].measures == []
    assert len(answers_of(finished(run))) == 4 and ("measure", 0) not in kinds(watch)


def test_all_is_asked_of_the_models_that_are_named(stage: RunStage) -> None:
    watch: Watch = []
    run = stage(*(Measurable(watch, n) for n in range(2)))
    run.ask_all(models=[1])
    assert {answer.model for answer in finished(run).answers.values()} == {1}
