"""Stars, votes, blind order, dimensions and agreement."""

from pathlib import Path

import pytest

from benchmarks.support.recorded_sessions import record_session, recorded_header
from tui import events as ev
from tui.board import fold
from tui.events import RUN
from tui.scoring import blind
from tui.scoring.agreement import compute_agreement
from tui.scoring.dimensions import DEFAULT_DIMENSIONS, resolve_dimensions
from tui.scoring.rating_queue import build_rating_queue
from tui.scoring.stars import (
    make_rating,
    make_vote,
)
from tui.sessions import reader
from tui.sessions.journal import Journal

LABELS = ["Qwen-7B-Chat@int4", "ChatGLM3-6B@int8", "demo@bf16"]
QUESTIONS = [{"id": f"q{i}", "category": "c", "turns": [f"question {i}"]} for i in range(6)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return record_session(
        tmp_path, recorded_header(LABELS, QUESTIONS), lambda m, q: f"I am {LABELS[m]}, answer {q}"
    )


def test_ratings_are_appended_to_a_closed_session_and_can_be_changed(path: Path) -> None:
    before = reader.read(path)
    journal = Journal.reopen(path)
    for body in (
        make_rating(0, "逻辑", 2),
        make_rating(0, "逻辑", 5),
        make_rating(1, "逻辑", 3),
        make_rating(1, "逻辑", 0),
    ):
        journal.append(journal.last_us, RUN, body)
    journal.append(journal.last_us, RUN, make_vote("q0", 6, 0, "left"))
    journal.append(journal.last_us, RUN, make_vote("q0", 0, 6, "tie"))
    journal.append(journal.last_us, RUN, ev.Judged("q0", 0, 6, "left", "demo", ["left"] * 2))
    journal.close()
    after = reader.read(path)
    assert after.verdict == "complete" and after.events[: len(before.events)] == before.events
    board = fold(after.events)
    assert board.answers[0].stars == {"逻辑": 5} and board.answers[1].stars == {}
    assert board.votes == {("q0", 0, 6): "tie"}
    assert board.answers[0].stars == {"逻辑": 5}


def test_what_is_no_rating_or_vote_is_refused() -> None:
    for stars in (-1, 6):
        with pytest.raises(ValueError, match=" stars"):
            make_rating(0, "d", stars)
    for vote in (("q", 1, 1, "left"), ("q", 1, 2, "both")):
        with pytest.raises(ValueError, match="vote "):
            make_vote(*vote)
    assert make_vote("q", 9, 2, "left") == ev.Voted("q", 2, 9, "right")


def test_blind_order_is_stable_differs_between_questions_and_is_fair() -> None:
    orders = [blind.shuffled_order(3, f"q{i}", "seed") for i in range(600)]
    assert orders == [blind.shuffled_order(3, f"q{i}", "seed") for i in range(600)]
    assert orders != [blind.shuffled_order(3, f"q{i}", "other") for i in range(600)]
    first = [sum(o[0] == model for o in orders) for model in range(3)]
    assert all(150 < n < 250 for n in first)


def test_blind_agenda_shows_no_name(path: Path) -> None:
    plan = build_rating_queue(fold(reader.read(path).events), seed="s")
    assert len(plan.items) == 6
    shown = {c.shown_name for item in plan.items for c in item.contenders}
    assert shown == {"A", "B", "C"}
    for item in plan.items:
        for contender in item.contenders:
            text = plan.redact(contender.answers[-1].text)
            assert blind.REDACTED in text
            assert not any(w in text.lower() for w in ("qwen", "chatglm", "demo", "llama"))
    open_plan = build_rating_queue(fold(reader.read(path).events))
    assert [c.shown_name for c in open_plan.items[0].contenders] == LABELS
    assert open_plan.redact("Qwen") == "Qwen"


def test_dimensions_are_data() -> None:
    assert resolve_dimensions() == DEFAULT_DIMENSIONS
    assert [d.id for d in resolve_dimensions(["甲", {"id": "乙", "en": "B"}], ["丙"])] == [
        "甲",
        "乙",
        "丙",
    ]
    assert resolve_dimensions(["甲", {"id": "乙", "en": "B"}])[1].name("en") == "B"
    assert resolve_dimensions([3, {}, ""]) == DEFAULT_DIMENSIONS
    assert len(resolve_dimensions([f"d{i}" for i in range(40)])) == 9


def test_agreement_of_stars_and_judge() -> None:
    questions = [{"id": "q", "turns": ["x"]}]
    events = [ev.Event(0, 0, RUN, recorded_header(["a", "b"], questions))]
    events += [ev.Event(1 + i, 0, i % 2, ev.Asked(i, "q", "x")) for i in range(8)]
    stars = [5, 1, 4, 2, 3, 3, 1, 5]
    events += [ev.Event(9 + i, 0, RUN, ev.Rated(i, "d", s)) for i, s in enumerate(stars)]
    board = fold(events)
    choices = ["left", "right", "tie", "right"]
    judged = [ev.Judged("q", 2 * i, 2 * i + 1, c, "j") for i, c in enumerate(choices)]
    found = compute_agreement([(board, judged)])
    assert (found.n, found.same, found.opposite) == (4, 3, 1)
    # observed 3/4; chance: left 2/4*1/4 + right 1/4*2/4 + tie 1/4*1/4 = 5/16
    assert found.kappa == pytest.approx((3 / 4 - 5 / 16) / (1 - 5 / 16))
    assert compute_agreement([(board, [])]).kappa is None
