"""Events: their JSON form is exact both ways and refuses what is not an event."""

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui import events as ev
from tui.events import Event, json_form

EXAMPLES = [
    ev.Session(1, "0.1.0", "2026-11-22T00:00:00Z", [{"name": "demo"}], {"name": "q"}),
    ev.Load("weights", 1, 2),
    ev.Loaded(1.5, family="llama", notes=["a"]),
    ev.Measuring(),
    ev.Asked(0, "q1", "你好"),
    ev.Started(0, prompt_tokens=3),
    ev.Delta(0, text="\u2028<\t>\\"),
    ev.Answered(0, "stop", ttft_ms=1.25, contended=True),
    ev.Failed("crashed", "it died", "press r", answer=3),
    ev.Cancelled(0),
    ev.Memory(private=1, mapped=2),
    ev.Rated(0, "幽默感", 5),
    ev.Voted("q1", 0, 1, "tie"),
    ev.Note("hm", answer=0, source="person"),
    ev.Joined(2, {"name": "demo@int8"}),
    ev.Unloaded("turn"),
    ev.End("done", 3, 1, "00000000"),
    ev.Unknown("later", {"x": [1, {"y": None}]}),
]


@pytest.mark.parametrize("body", EXAMPLES, ids=lambda b: b.kind)
def test_every_kind_survives_the_file(body: ev.Body) -> None:
    event = Event(7, 12_345_678, 0, body)
    line = json_form.encode(event)
    assert "\n" not in line
    assert json_form.decode(line) == event
    assert json_form.encode(json_form.decode(line)) == line


def test_the_line_is_short_and_leaves_defaults_out() -> None:
    line = json_form.encode(Event(3, 5, 0, ev.Delta(1, text="你")))
    assert line == '[3,5,0,"delta",{"answer":1,"text":"你"}]'


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{}",
        "[1,2,3]",
        '["0",0,0,"delta",{"answer":1}]',
        '[0,0,0,"delta",{}]',
        '[0,0,0,"delta",{"answer":"1"}]',
        '[0,0,0,"delta",{"answer":true}]',
        '[0,0,0,"delta",{"answer":1,"text":null}]',
        '[0,0,0,"answered",{"answer":1,"finish":"stop","ttft_ms":"fast"}]',
        '[0,0,0,"loaded",{"load_s":1,"notes":{}}]',
        "[" * 100_000,
    ],
)
def test_what_is_no_event_is_refused(line: str) -> None:
    with pytest.raises(json_form.EventError):
        json_form.decode(line)


def test_fields_of_a_later_version_are_dropped_and_kinds_kept() -> None:
    assert json_form.decode('[0,0,0,"delta",{"answer":1,"colour":"red"}]').body == ev.Delta(1)
    assert json_form.decode('[0,0,0,"later",{"a":1}]').body == ev.Unknown("later", {"a": 1})


def test_whole_numbers_stand_where_figures_are_expected() -> None:
    body = json_form.decode('[0,0,0,"answered",{"answer":1,"finish":"stop","ttft_ms":12}]').body
    assert isinstance(body, ev.Answered) and body.ttft_ms == 12


def test_what_is_not_a_number_never_reaches_the_file() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        json_form.encode(Event(0, 0, 0, ev.Answered(0, "stop", ttft_ms=math.nan)))


@given(st.text(), st.integers(0, 2**53), st.booleans())
def test_any_text_survives(text: str, t_us: int, reasoning: bool) -> None:
    event = Event(1, t_us, 2, ev.Delta(9, text=text, reasoning=reasoning))
    assert json_form.decode(json_form.encode(event)) == event


@given(st.text(alphabet='[]{},:"0123456789.-eaflsrnu dt\\', max_size=80))
def test_any_line_is_an_event_or_one_typed_error(line: str) -> None:
    with contextlib.suppress(json_form.EventError):
        json_form.decode(line)


def test_a_header_says_its_labels_title_and_questions() -> None:
    models = [{"name": "demo", "label": "Demo"}, {"name": "other"}, {}]
    questions = {"name": "q", "title": "Q", "questions": [{"id": "a"}, {"id": "b"}]}
    header = ev.Session(1, "0.1.0", "2026-11-22T00:00:00Z", models, questions)
    assert header.labels == ["Demo", "other", "?"]
    assert header.title == "Q"
    assert header.listed_questions == [{"id": "a"}, {"id": "b"}]
    assert "labels" not in json_form.payload(header)
    bare = ev.Session(1, "0.1.0", "", [], {"name": "q", "questions": "none"})
    assert (bare.labels, bare.title, bare.listed_questions) == ([], "q", [])


def test_the_answer_an_event_is_about() -> None:
    assert ev.answer_of(ev.Delta(4)) == 4
    assert ev.answer_of(ev.Note("hm")) == -1
    assert ev.answer_of(ev.Unloaded()) == ev.answer_of(ev.Unknown("later", {"answer": 3})) == -1
