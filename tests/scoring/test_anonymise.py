"""Hidden names: no cut of a stream lets one through, and answers keep their ids."""

import random
from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.support.sessions import HEADER, write_session
from tui import events as ev
from tui.board import fold
from tui.events import Event
from tui.scoring import blind
from tui.scoring.anonymise import Anonymiser
from tui.sessions.reader import read

NAMES = ("Qwen-7B-Chat", "Qwen", "demo@bf16", "demo")


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from([*NAMES, "qw", "EN", "de", "m", "İ", " 我是 ", "-7B", "x"])), st.data()
)
def test_pieces_are_redacted_like_the_whole(parts: list[str], data: st.DataObject) -> None:
    text = "".join(parts)
    redactor = blind.Redactor(NAMES)
    shown, at = "", 0
    while at < len(text):
        size = data.draw(st.integers(1, 5))
        shown += redactor.feed(text[at : at + size])
        assert not any(name.lower() in shown.lower() for name in NAMES)
        at += size
    shown += redactor.finish()
    assert shown == blind.redact(text, sorted(NAMES, key=len, reverse=True))


def test_streaming_and_looking_back_show_the_same(tmp_path: Path) -> None:
    events = read(write_session(tmp_path, models=4)).events
    assert isinstance(events[0].body, ev.Session)
    for cut in (1, 15, 40, len(events)):
        live = Anonymiser(events[0].body)
        shown = live.anonymise_board(fold(events[:cut]))
        live.feed(events[cut:], shown)
        for id_, answer in fold(events).answers.items():
            there = shown.answers[id_]
            assert (there.text, there.state, there.turn) == (answer.text, answer.state, 0)
            assert live.model_order(answer.question)[there.model] == answer.model


def test_no_name_and_no_figure_is_left_on_the_board(tmp_path: Path) -> None:
    events = read(write_session(tmp_path)).events
    told = ev.Failed("network", "demo@fp32 did not answer", "look at demo@fp32", 1)
    events.append(Event(len(events), 9_000_000, 1, told))
    disguise = Anonymiser(HEADER)
    shown = disguise.anonymise_board(fold(events))
    assert "demo" not in repr(shown) and "bf16" not in repr(shown)
    assert all(a.ttft_ms is None and a.decode_tok_s is None for a in shown.answers.values())
    assert all(model.private == 0 for model in shown.models)


def test_orders_differ_between_questions_and_sessions() -> None:
    orders = {tuple(Anonymiser(HEADER).model_order(f"q{n}")) for n in range(20)}
    assert len(orders) > 5
    days = [replace(HEADER, started=f"2026-11-{day:02}T00:00:00Z") for day in range(1, 21)]
    random.shuffle(days)
    assert len({tuple(Anonymiser(day).model_order("q1")) for day in days}) > 5
