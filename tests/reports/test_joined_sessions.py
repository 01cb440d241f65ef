"""Sessions side by side, and judgements appended to them."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.support.sessions import HEADER, write_session
from tests.support.clock import Clock
from tui import events as ev
from tui.board import fold
from tui.events import RUN
from tui.host.errors import UserError
from tui.reports.joined_sessions import join_sessions
from tui.sessions.annotate import AnnotatedPlayer
from tui.sessions.journal import Journal
from tui.sessions.player import Player
from tui.sessions.reader import read


def two(folder: Path) -> tuple[Path, Path]:
    later = replace(HEADER, started="2026-12-01T10:00:00Z", models=HEADER.models[:2])
    first = write_session(folder, header=replace(HEADER, models=HEADER.models[:2]))
    return first, write_session(folder, tokens=8, header=later)


def test_every_answer_of_both_is_there_under_its_own_model(tmp_path: Path) -> None:
    readings = [read(path) for path in two(tmp_path)]
    events = join_sessions(readings)
    assert [event.seq for event in events] == list(range(len(events)))
    assert [e.t_us for e in events] == sorted(e.t_us for e in events)
    board = fold(events)
    assert len({model.label for model in board.models}) == 4
    at = 0
    for reading in readings:
        alone = fold(reading.events)
        for model in alone.models:
            for question in alone.questions:
                was = alone.conversation(model.index, question.id)
                now = board.conversation(model.index + at, question.id)
                assert [a.text for a in now] == [a.text for a in was] != []
                assert [a.figures and a.figures.output_tokens for a in now] == [
                    a.figures and a.figures.output_tokens for a in was
                ]
        at += len(alone.models)


def test_votes_follow_their_answers_and_typed_questions_their_words(tmp_path: Path) -> None:
    first, second = two(tmp_path)
    for path, text in ((first, "same words"), (second, "same words"), (second, "others")):
        journal = Journal.reopen(path)
        asked = 20 + (text == "others")
        journal.append(9_000_000, 0, ev.Asked(asked, f"free-{asked}", text))
        journal.append(9_000_000, RUN, ev.Voted("q1", 0, 1, "left"))
        journal.append(9_000_000, RUN, ev.Rated(1, "x", 4))
        journal.close()
    board = fold(join_sessions([read(first), read(second)]))
    free = [q for q in board.questions if q.is_typed]
    assert [q.turns for q in free] == [("same words",), ("others",)]
    assert len(board.votes) == 2 and set(board.votes.values()) == {"left"}
    assert sum(a.stars == {"x": 4} for a in board.answers.values()) == 2
    for _, left, right in board.votes:
        assert board.answers[left].model + 1 == board.answers[right].model


def test_other_questions_are_refused(tmp_path: Path) -> None:
    questions = {**HEADER.questions, "questions": HEADER.questions["questions"][:1]}
    other = write_session(tmp_path, header=replace(HEADER, questions=questions))
    with pytest.raises(UserError, match="different questions"):
        join_sessions([read(write_session(tmp_path)), read(other)])


def test_what_is_said_now_stands_wherever_the_replay_is(tmp_path: Path) -> None:
    path = write_session(tmp_path)
    journal = Journal.reopen(path)
    journal.append(journal.last_us, RUN, ev.Rated(0, "x", 1))
    journal.close()
    player = Player(read(path).events, Clock(), speed=float("inf"))
    judged = AnnotatedPlayer(player, path, tmp_path)
    board = fold(judged.drain()[1])
    assert board.answers[0].stars == {"x": 1}
    judged.judge(ev.Rated(0, "x", 5))
    assert fold(judged.drain()[1], board).answers[0].stars == {"x": 5}
    player.seek(0)
    reset, events = judged.drain()
    assert reset and 0 not in fold(events).answers
    player.seek(1_000_000)
    board = fold([*events, *judged.drain()[1]])
    assert board.answers[0].stars == {"x": 5}
    player.seek(player.duration_us)
    assert fold(judged.drain()[1], board).answers[0].stars == {"x": 5}
    judged.close()
    assert read(path).verdict == "complete" and fold(read(path).events).answers[0].stars["x"] == 5
