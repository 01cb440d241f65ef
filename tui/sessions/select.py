"""The events of one question, for a replay of it alone."""

from collections.abc import Sequence
from dataclasses import replace

from tui import events as ev
from tui.events import Event
from tui.host.errors import UserError


def select_question(events: Sequence[Event], question: str) -> list[Event]:
    """The events without those of other questions' answers.

    Time begins where the question was first asked: what came before is there at once.

    Raises:
        UserError: the session holds no answer to this question.
    """
    asked = {e.body.answer: e.body.question for e in events if isinstance(e.body, ev.Asked)}
    if question not in asked.values():
        known = list(dict.fromkeys(asked.values()))
        listed = ", ".join(known[:8]) + (", ..." if len(known) > 8 else "")
        raise UserError(f"no answer to question {question!r}", f"the session has: {listed}")
    kept = [e for e in events if _question_of(e.body, asked) in (None, question)]
    own = [e.t_us for e in kept if _question_of(e.body, asked) == question]
    begun = min(own)
    return [replace(e, t_us=max(0, min(e.t_us, max(own)) - begun)) for e in kept]


def _question_of(body: ev.Body, asked: dict[int, str]) -> str | None:
    return asked.get(ev.answer_of(body))
