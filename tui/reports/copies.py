"""Several files of one run are one session: its answers count once, and every judgement counts."""

import json
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

from tui import events as ev
from tui.events import RUN, Event
from tui.sessions.reader import RecordedSession

_JUDGEMENTS = (ev.Rated, ev.Voted, ev.Chosen, ev.Judged)


@dataclass(frozen=True, slots=True)
class UnitedSession:
    """A run as all its files tell it; ``copies`` names those beside the one of ``recorded``."""

    recorded: RecordedSession
    copies: tuple[str, ...] = ()


def unite_copies(sessions: Sequence[RecordedSession]) -> list[UnitedSession]:
    """The runs that some files are of, in the order of the files.

    Files are of one run where it began at the same time under the same settings, and its first
    answer, of the same model, at the same microsecond. The file with most events stands for the
    run, as where one of them was gone on with. A judgement that several files hold counts once;
    where a person judged the same thing differently in two files, the one named last counts.
    """
    runs: dict[Hashable, list[RecordedSession]] = {}
    for one in sessions:
        runs.setdefault(_identity(one), []).append(one)
    return [_unite(files) for files in runs.values()]


def _identity(session: RecordedSession) -> Hashable:
    header = session.header
    for event in session.events:
        if isinstance(event.body, ev.Started) and 0 <= event.model < len(header.models):
            asked_for = json.dumps(header.settings, sort_keys=True, default=str)
            model = str(header.models[event.model].get("name"))
            return header.started, asked_for, model, event.t_us, event.body.answer
    return session.path  # nothing was answered


def _unite(files: Sequence[RecordedSession]) -> UnitedSession:
    if len(files) == 1:
        return UnitedSession(files[0])
    longest = max(files, key=lambda one: len(one.events) - len(_judgements(one)))
    kept = [event for event in longest.events if not _is_judgement(event)]
    judged: dict[str, Event] = {}
    for one in files:
        for event in _judgements(one):
            judged.setdefault(f"{event.t_us} {event.body!r}", event)
    united = replace(longest, events=[*kept, *judged.values()])
    return UnitedSession(united, tuple(one.path.name for one in files if one is not longest))


def _judgements(session: RecordedSession) -> list[Event]:
    return [event for event in session.events if _is_judgement(event)]


def _is_judgement(event: Event) -> bool:
    """What a person or a judge said of an answer, also after the end."""
    body = event.body
    by_person = isinstance(body, ev.Note) and body.source == "person"
    return event.model == RUN and (isinstance(body, _JUDGEMENTS) or by_person)
