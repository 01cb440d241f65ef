"""The lines of the library: sessions by day, or where a text was found."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from tui.app.style.appearance import Appearance
from tui.app.widgets.menu import MenuHeading, MenuItem, MenuRows
from tui.sessions.library import SessionEntry
from tui.sessions.search import SearchHit
from tui.text.sanitise import one_line
from tui.text.units import format_clock

_CONTEXT_CHARS = 8
"""Characters."""


def session_text(entry: SessionEntry, appearance: Appearance) -> str:
    """Question set, progress, verdict and duration in one line."""
    if entry.problem:
        return one_line(entry.problem)
    parts = [
        one_line("  ".join(entry.labels)) if entry.title else "",
        one_line(entry.question_set),
        appearance.say(
            "library.progress", done=entry.answers, wanted=max(entry.expected, entry.answers)
        ),
        verdict_text(entry, appearance),
        format_clock(int(entry.duration_s * 1e6)),
    ]
    return "  ".join(part for part in parts if part)


def verdict_text(entry: SessionEntry, appearance: Appearance) -> str:
    """How the run of a session ended."""
    return appearance.say(f"verdict.{entry.outcome.replace(' ', '_')}")


def session_title(entry: SessionEntry) -> str:
    """What a session is listed as: its title, else its models, else its file's name."""
    return one_line(entry.title or "  ".join(entry.labels)) or one_line(entry.name)


def rows_by_day(
    entries: Iterable[SessionEntry], marked: Sequence[Path], appearance: Appearance
) -> MenuRows:
    """Newest first, a heading for each day."""
    rows: MenuRows = []
    for day, group in groupby(entries, key=lambda entry: one_line(entry.started[:10])):
        rows += [None] if rows else []
        rows.append(MenuHeading(day or appearance.say("library.unknown_day")))
        rows += [_session_item(entry, session_text(entry, appearance), marked) for entry in group]
    return rows


def rows_of_hits(
    hits: Sequence[SearchHit],
    text: str,
    entries: Mapping[Path, SessionEntry],
    marked: Sequence[Path],
    appearance: Appearance,
) -> MenuRows:
    """Each session in which a text was found, with the best place; the best first."""
    rows: MenuRows = []
    seen: set[Path] = set()
    for hit in hits:
        entry = entries.get(hit.path)
        if entry is None or hit.path in seen:
            continue
        seen.add(hit.path)
        place = "  ".join(one_line(part) for part in (hit.question, hit.label) if part)
        words = _trim_excerpt(one_line(hit.excerpt), text)
        rows.append(_session_item(entry, f"{place}: {words}" if place else words, marked, day=True))
    return [MenuHeading(appearance.say("library.found", count=len(rows))), *rows]


def _trim_excerpt(excerpt: str, text: str) -> str:
    """The excerpt from shortly before the first word that was looked for: lines are cut."""
    word = next(iter(text.lower().split()), "")
    at = excerpt.lower().find(word)
    return f"…{excerpt[at - _CONTEXT_CHARS :]}" if at > _CONTEXT_CHARS + 2 else excerpt


def _session_item(
    entry: SessionEntry, detail: str, marked: Sequence[Path], day: bool = False
) -> MenuItem:
    started = one_line(entry.started)
    when = f"{started[:10]} {started[11:16]}" if day else started[11:16]
    return MenuItem(f"{when}  {session_title(entry)}", detail, entry, entry.path in marked)
