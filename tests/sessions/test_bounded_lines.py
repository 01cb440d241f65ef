"""A session that was sent holds no line that cannot be drawn."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.support.recorded_sessions import record_session, recorded_header
from tui import events as ev
from tui.board import fold
from tui.host.errors import UserError
from tui.sessions import library, reader
from tui.sessions.follow import Follower

LONG = "x" * 100_000


def long_header() -> ev.Session:
    question = {"id": "one", "category": LONG, "turns": [LONG]}
    head = recorded_header(["a@bf16", "b@bf16"], [question], {"title": LONG}, title=LONG)
    models = [{**one, "label": LONG + one["name"], "family": LONG} for one in head.models]
    return replace(head, models=models, host={"cpu": {"model": LONG}})


def test_what_is_shown_on_one_line_is_cut(tmp_path: Path) -> None:
    """Of a label, what stands at its ends is kept; questions are no lines."""
    joined = ev.Joined(2, {"name": "c@bf16", "label": LONG, "engine": "local"})
    named = ev.Note(LONG, source="title")
    path = record_session(tmp_path, long_header(), lambda *_: "yes", [(-1, joined), (-1, named)])
    session = reader.read(path)
    follower = Follower(path)
    board = fold(session.events)
    (entry,) = library.entries(tmp_path)
    for header in (session.header, follower.drain()[1][0].body):
        assert isinstance(header, ev.Session)
        shown = [*header.labels, header.title, header.own_title]
        shown += [str(question["category"]) for question in header.listed_questions]
        assert {len(text) for text in shown} == {200}
        assert header.labels[1].endswith("b@bf16")
        assert len(header.host["cpu"]["model"]) == len(header.models[0]["family"]) == 4096
        assert header.listed_questions[0]["turns"] == [LONG]
    assert [len(model.label) for model in board.models] == [200] * 3
    assert len(board.title) == len(entry.title) == 200


def test_what_is_looked_for_is_refused(tmp_path: Path) -> None:
    head = long_header()
    models = [{**one, "name": LONG} for one in head.models]
    path = record_session(tmp_path, replace(head, models=models), lambda *_: "yes")
    with pytest.raises(UserError, match="a model's name is longer than 4096 characters"):
        reader.read(path)
