"""Text that turns out to be reasoning, for those who read the events one by one."""

from tests.support.bodies import text_of
from tui.events import Answered, Asked, Body, Delta, Event, Session, Started
from tui.host.secrets import Mask
from tui.reports.transcript import Transcript
from tui.sessions.masking import AnswerMask

SECRET = "sk-0123456789abcdef"
BODIES: list[Body] = [
    Asked(0, "q", "hello"),
    Started(0),
    Delta(0, 1, f"Hm {SECRET[:9]}"),
    Delta(0, 0, "", reasoning=True, recast=True),
    Delta(0, 1, f"{SECRET[9:]} hm", reasoning=True),
    Delta(0, 1, "Yes."),
    Answered(0, "stop"),
]


def test_what_was_held_back_of_it_comes_before_it_is_recast() -> None:
    mask = AnswerMask(Mask((SECRET,)))
    recorded = [part for body in BODIES for part in mask.feed(body)]
    deltas = [body for body in recorded if isinstance(body, Delta)]
    at = next(i for i, delta in enumerate(deltas) if delta.recast)
    assert all(not delta.reasoning for delta in deltas[:at])
    assert "Yes." in text_of(deltas[at:]) and SECRET not in text_of(deltas)
    assert SECRET[:9] not in text_of(deltas)


def test_a_transcript_says_where_the_thinking_ended() -> None:
    transcript = Transcript()
    header = Session(1, "x", "y", [{"name": "m", "label": "m"}], {})
    text = transcript.feed(Event(0, 0, -1, header))
    text += "".join(transcript.feed(Event(n, n, 0, body)) for n, body in enumerate(BODIES, 1))
    assert text.index("(so far it was thinking)") < text.index("Yes.")
