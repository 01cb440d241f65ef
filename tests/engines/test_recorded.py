import time
from dataclasses import replace
from pathlib import Path

import pytest

from tui.board import fold
from tui.engines.base import Message, Request
from tui.engines.recorded import RecordedEngine
from tui.events import (
    RUN,
    Answered,
    Asked,
    Body,
    Cancelled,
    Delta,
    Event,
    Failed,
    Loaded,
    Note,
    Session,
    Started,
)

FIGURES = Answered(5, "stop", 9, 3, ttft_ms=50.0, tpot_ms=30.0, e2e_ms=110.0, peak_private=1000)


def session() -> list[Event]:
    bodies: list[tuple[int, int, Body]] = [
        (0, RUN, Session(1, "duibi", "2026-11-22T10:00:00Z", [{"name": "a"}, {"name": "b"}], {})),
        (10, 1, Loaded(load_s=2.5, family="llama", dtype="bf16", private=77, notes=["old"])),
        (20, 1, Asked(5, "q1", "Why?")),
        (30, 0, Asked(6, "q1", "Why?")),
        (1_000_000, 1, Started(5, prompt_tokens=9)),
        (1_050_000, 1, Delta(5, 1, "Be")),
        (1_080_000, 1, Delta(5, 1, "cau")),
        (1_090_000, 0, Delta(6, 1, "another model")),
        (1_110_000, 1, Delta(5, 1, "se")),
        (1_111_000, 1, Note("slow disk", 5)),
        (1_112_000, 1, Note("I like it", 5, "person")),
        (1_120_000, 1, FIGURES),
        (2_000_000, 1, Asked(7, "q1", "And?", turn=1)),
        (2_000_000, 1, Started(7)),
        (2_010_000, 1, Delta(7, 1, "Hm")),
    ]
    return [Event(i, t, model, body) for i, (t, model, body) in enumerate(bodies)]


def request(answer: int, *turns: str, question: str = "q1") -> Request:
    messages = [Message("system", "x")]
    for turn in turns[:-1]:
        messages += [Message("user", turn), Message("assistant", "...")]
    return Request(answer, (*messages, Message("user", turns[-1])), 64, question=question)


def test_it_answers_as_it_did_in_its_own_timing() -> None:
    engine = RecordedEngine(session(), 1)
    began = time.monotonic_ns()
    events = list(engine.answer([request(40, "Why?")]))
    took = (time.monotonic_ns() - began) / 1e6
    assert [b for _, b in events] == [
        Started(40, prompt_tokens=9),
        Delta(40, 1, "Be"),
        Delta(40, 1, "cau"),
        Delta(40, 1, "se"),
        Note("slow disk", 40),
        replace(FIGURES, answer=40),
    ]
    offsets = [round((t - events[0][0]) / 1000) for t, _ in events]
    assert offsets == [0, 50_000, 80_000, 110_000, 111_000, 120_000]
    assert took > 115


def test_at_once_gives_the_same_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = RecordedEngine(session(), 1, timing=False)
    wait = engine._wait

    def due_already(due_ns: int) -> set[int]:
        assert due_ns <= time.monotonic_ns(), "it waits"
        return wait(due_ns)

    monkeypatch.setattr(engine, "_wait", due_already)
    events = list(engine.answer([request(40, "Why?")]))
    assert events[-1][1] == replace(FIGURES, answer=40)


def test_what_was_recorded_says_so() -> None:
    loaded = RecordedEngine(session(), 1).load(lambda _, __: None)
    assert (loaded.load_s, loaded.dtype, loaded.private) == (2.5, "bf16", 0)
    assert loaded.notes[0].startswith("recorded on 2026-11-22T10:00:00Z")
    assert loaded.notes[1:] == ["old"]


@pytest.mark.parametrize(
    "asked",
    [request(1, "Why??"), request(1, "Why?", question="q2"), request(1, "And?")],
    ids=["other text", "other question", "other turn"],
)
def test_another_question_has_no_answer(asked: Request) -> None:
    [(_, failed)] = RecordedEngine(session(), 1).answer([asked])
    assert isinstance(failed, Failed) and (failed.cause, failed.answer) == ("not_recorded", 1)


def test_a_recording_that_breaks_off_is_no_answer() -> None:
    events = list(RecordedEngine(session(), 1).answer([request(3, "Why?", "And?")]))
    assert [type(b) for _, b in events] == [Started, Delta, Failed]
    assert isinstance(events[-1][1], Failed) and events[-1][1].cause == "cut"


def test_a_question_asked_again_gives_the_recordings_in_turn() -> None:
    extra: list[Body] = [
        Asked(8, "q1", "Why?", repeat=1),
        Started(8),
        Delta(8, 1, "No."),
        Answered(8, "stop"),
    ]
    log = session()
    log += [Event(len(log) + i, 3_000_000 + i, 1, body) for i, body in enumerate(extra)]
    engine = RecordedEngine(log, 1, timing=False)
    texts = [
        "".join(b.text for _, b in engine.answer([request(i, "Why?")]) if isinstance(b, Delta))
        for i in range(3)
    ]
    assert texts == ["Because", "No.", "Because"]


def test_a_cancelled_one_stops_at_once_and_the_others_go_on() -> None:
    engine = RecordedEngine(session(), 1)
    bodies = []
    for _, body in engine.answer([request(1, "Why?"), request(2, "Why?")]):
        bodies.append(body)
        if isinstance(body, Delta) and body.answer == 1:
            engine.cancel([1])
    finals = [b for b in bodies if isinstance(b, Answered | Cancelled | Failed)]
    assert finals == [Cancelled(1), replace(FIGURES, answer=2)]
    assert sum(isinstance(b, Delta) and b.answer == 1 for b in bodies) == 1


def test_a_cancel_after_the_end_changes_nothing() -> None:
    engine = RecordedEngine(session(), 1, timing=False)
    stream = engine.answer([request(1, "Why?"), request(2, "Why?", "And?")])
    bodies = []
    for _, body in stream:
        bodies.append(body)
        engine.cancel([9])
        if isinstance(body, Answered | Failed):
            engine.cancel([body.answer])
    finals = [b.answer for b in bodies if isinstance(b, Answered | Cancelled | Failed)]
    assert sorted(finals) == [1, 2]


def test_a_bundled_session_answers_every_question_it_holds() -> None:
    from tui.sessions.reader import read

    files = sorted((Path(__file__).parents[2] / "sessions").glob("*.duibi"))
    if not files:
        pytest.skip("no session is bundled")
    reading = read(files[0])
    board = fold(reading.events)
    engine = RecordedEngine(reading.events, 0, timing=False)
    answers = [a for a in board.answers.values() if a.model == 0 and a.state == "answered"]
    assert answers
    for answer in answers:
        if answer.turn == 0 and answer.repeat == 0:
            asked = request(500, answer.prompt, question=answer.question)
            bodies = [b for _, b in engine.answer([asked])]
            text = "".join(b.text for b in bodies if isinstance(b, Delta) and not b.reasoning)
            assert text == answer.text and answer.figures is not None
            assert bodies[-1] == replace(answer.figures, answer=500)
