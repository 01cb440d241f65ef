"""The asciicast: what stands on a real terminal emulator, and when."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pyte
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.support.sessions import HEADER, write_session
from tui import events as ev
from tui.events import Event
from tui.reports.asciicast import BODY_ROW, asciicast_lines
from tui.sessions import reader

TWO = dataclasses.replace(HEADER, models=HEADER.models[:2])


def played(lines: list[str]) -> tuple[dict[str, Any], list[tuple[int, str, str]]]:
    """(header, events with absolute microseconds), read as the format's text says."""
    head = json.loads(lines[0])
    now, events = 0.0, []
    for line in lines[1:]:
        interval, code, data = json.loads(line)
        assert interval >= 0
        now += interval
        events.append((round(now * 1e6), code, data))
    return head, events


def screen(head: dict[str, Any], events: list[tuple[int, str, str]]) -> pyte.Screen:
    made = pyte.Screen(head["term"]["cols"], head["term"]["rows"])
    stream = pyte.Stream(made)
    for _, code, data in events:
        if code == "o":
            stream.feed(data)
    return made


def column(made: pyte.Screen, left: int, width: int) -> list[str]:
    """The rows of a column; the second cell of a wide character is empty."""
    return [
        "".join(made.buffer[row][at].data for at in range(left, left + width)).rstrip()
        for row in range(BODY_ROW - 1, made.lines - 1)
    ]


@pytest.fixture
def session(tmp_path: Path) -> list[Event]:
    return reader.read(write_session(tmp_path, header=TWO)).events


def test_it_is_an_asciicast_3(session: list[Event]) -> None:
    head, events = played(list(asciicast_lines(session, max_gap=2.5)))
    assert head == {
        "version": 3,
        "term": {"cols": 120, "rows": 36, "type": "xterm-256color"},
        "title": "Two questions 两个问题",
        "timestamp": 1795336200,
        "idle_time_limit": 2.5,
    }
    assert {code for _, code, _ in events} == {"o", "m", "x"}
    assert [data for _, code, data in events if code == "m"] == ["q1", "q2"]
    assert events[-1] == (session[-1].t_us, "x", "0")


def test_every_token_is_written_at_its_time(session: list[Event]) -> None:
    _, events = played(list(asciicast_lines(session)))
    written = [(t_us, data) for t_us, code, data in events if code == "o"]
    deltas = [(e.t_us, e.body) for e in session if isinstance(e.body, ev.Delta)]
    for t_us, delta in deltas:
        assert any(t == t_us and delta.text.strip() in data for t, data in written)


def test_a_terminal_shows_the_answers_side_by_side(session: list[Event]) -> None:
    head, events = played(list(asciicast_lines(session)))
    made = screen(head, events)
    assert made.display[0].startswith("Two questions")
    assert "demo@bf16" in made.display[1]
    for model, left in ((0, 0), (1, 61)):
        text = "".join(f"答{model}.{i} " for i in range(5)).strip()
        assert column(made, left, 58)[0] == text
    assert made.display[-1].count("5 tokens · stop") == 2


def test_what_does_not_fit_is_wrapped_and_goes_on_at_the_top() -> None:
    long = "".join(chr(97 + i % 26) for i in range(300))
    bodies: list[ev.Body] = [TWO, ev.Asked(0, "q", "?"), ev.Started(0), ev.Delta(0, text=long)]
    events = [Event(i, i, -1 if i == 0 else 0, body) for i, body in enumerate(bodies)]
    made = screen(*played(list(asciicast_lines(events, cols=43, rows=10))))
    lines = [long[i : i + 20] for i in range(0, 300, 20)]
    assert column(made, 0, 20) == lines[-5:]
    assert column(made, 23, 20) == [""] * 5


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(st.characters(categories=["L", "N", "P", "Cc"]), max_size=30), max_size=8))
def test_no_text_leaves_its_column(parts: list[str]) -> None:
    bodies: list[ev.Body] = [
        TWO,
        ev.Asked(0, "q", "?"),
        ev.Started(0),
        *(ev.Delta(0, text=t) for t in parts),
    ]
    events = [Event(i, i, -1 if i == 0 else 0, body) for i, body in enumerate(bodies)]
    lines = list(asciicast_lines(events, cols=43, rows=10))
    head, outs = played(lines)
    made = screen(head, outs)
    assert column(made, 23, 20) == [""] * 5
    assert all(row[20:23].strip() == "" for row in made.display)
    assert made.display[9].strip() == ""
    for _, _, data in outs:
        assert not set(data.replace("\x1b[", "")) & set(map(chr, [*range(32), *range(127, 160)]))


def test_a_letter_with_a_million_marks_is_written_once() -> None:
    text = "a" + "\u0301" * 1_000_000
    bodies: list[tuple[int, ev.Body]] = [
        (-1, HEADER),
        (0, ev.Asked(0, "q", "?")),
        (0, ev.Started(0)),
        (0, ev.Delta(0, text=text)),
    ]
    events = [Event(i, i, model, body) for i, (model, body) in enumerate(bodies)]
    (line,) = [line for line in asciicast_lines(events) if len(line) > 1_000_000]
    assert json.loads(line)[2].endswith(text)
