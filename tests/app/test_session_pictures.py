"""Pictures of sessions: what is drawn of texts of any length."""

from tui import events as ev
from tui.app import session_pictures
from tui.events import Body, Event


def events(*bodies: Body) -> list[Event]:
    return [Event(i, i, 0, body) for i, body in enumerate(bodies)]


def text_of(found: list[Event], reasoning: bool = False) -> str:
    bodies = [event.body for event in found]
    deltas = [b for b in bodies if isinstance(b, ev.Delta) and b.reasoning == reasoning]
    return "".join(body.text for body in deltas)


def test_the_middle_of_a_very_long_text_is_left_out() -> None:
    pieces = [f"{n} " * 1000 for n in range(100)]
    given = events(
        ev.Delta(0, text="short thought", reasoning=True), *(ev.Delta(0, 7, p) for p in pieces)
    )
    found = session_pictures.without_middles(given)
    whole, shown = "".join(pieces), session_pictures._SHOWN_CHARS
    assert text_of(found) == whole[:shown] + whole[-shown:]
    assert text_of(found, reasoning=True) == "short thought"
    assert sum(e.body.n for e in found if isinstance(e.body, ev.Delta)) == 701
    one = session_pictures.without_middles(events(ev.Delta(0, text=whole)))
    assert text_of(one) == text_of(found)


def test_other_texts_stay_as_they_are() -> None:
    given = events(ev.Delta(0, text="a" * 1000), ev.Answered(0, "stop"))
    assert session_pictures.without_middles(given) == given
