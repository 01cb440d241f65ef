"""Several sessions of the same questions as one: their models side by side."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tui import events as ev
from tui.events import RUN, Body, Event
from tui.reports.merge import require_same_questions
from tui.sessions.reader import RecordedSession
from tui.text.unused_name import unused_name

_FIRST_SESSION_ONLY = (ev.Session, ev.Memory, ev.End, ev.Unknown)
"""Events of the run, kept from the first session only; those of the others are dropped."""


def join_sessions(sessions: Sequence[RecordedSession]) -> list[Event]:
    """The events of all sessions on one clock, every session beginning at 0.

    Models follow each other in the order of the sessions, labels that occur twice get the
    day and time of their session, answers new ids. A question that a person typed is the
    same where its words are.

    Raises:
        UserError: they asked different questions.
    """
    require_same_questions(sessions)
    found: list[tuple[int, int, Body]] = []
    models, answers = 0, 0
    free: dict[str, str] = {}
    for number, reading in enumerate(sessions):
        shift = _IdShift(reading, answers, free)
        for event in reading.events:
            if event.model == RUN and isinstance(event.body, _FIRST_SESSION_ONLY) and number:
                continue
            if isinstance(event.body, ev.Session | ev.End):
                continue
            model = RUN if event.model == RUN else event.model + models
            found.append((event.t_us, model, shift.body(event.body)))
        models += len(reading.header.models)
        answers = shift.next_answer
    found.sort(key=lambda one: one[0])
    header = replace(sessions[0].header, models=_joined_models(sessions))
    rows = [(0, RUN, header), *found]
    return [Event(seq, t_us, model, body) for seq, (t_us, model, body) in enumerate(rows)]


class _IdShift:
    """Moves the ids of one session behind those of the ones before it."""

    def __init__(self, reading: RecordedSession, answers: int, free: dict[str, str]) -> None:
        self._answers = answers
        asked = [e.body for e in reading.events if isinstance(e.body, ev.Asked)]
        self.next_answer = answers + max((a.answer for a in asked), default=-1) + 1
        listed = reading.header.listed_questions
        known = {str(q.get("id", i + 1)) for i, q in enumerate(listed)}
        self._questions: dict[str, str] = {}
        for body in asked:
            if body.question not in known and body.question not in self._questions:
                name = free.setdefault(
                    body.text, unused_name(body.question, {*free.values(), *known}, "{} ({})")
                )
                self._questions[body.question] = name

    def body(self, body: Body) -> Body:
        """The body with the ids it has among all sessions."""
        changed: dict[str, Any] = {}
        for name in ("answer", "left", "right"):
            value = getattr(body, name, -1)
            if isinstance(value, int) and value >= 0:
                changed[name] = value + self._answers
        question = getattr(body, "question", None)
        if question in self._questions:
            changed["question"] = self._questions[question]
        return replace(body, **changed) if changed else body


def _joined_models(sessions: Sequence[RecordedSession]) -> list[dict[str, Any]]:
    labels = [label for reading in sessions for label in reading.header.labels]
    made: list[dict[str, Any]] = []
    used: set[str] = set()
    for reading in sessions:
        first = len(made)
        for model, label in zip(reading.header.models, reading.header.labels, strict=True):
            if labels.count(label) > 1:
                label = f"{label} {reading.header.started[5:16].replace('T', ' ')}"
            unique = unused_name(label, used)
            used.add(unique)
            shared = model.get("weights_of")
            moved = {"weights_of": shared + first} if isinstance(shared, int) else {}
            made.append({**model, **moved, "label": unique})
    return made
