"""The lines of the library: sessions by day, or where a text was found."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from tui.app.style.appearance import Look
from tui.app.style.figures import clock
from tui.app.widgets.menu import Entry, Heading
from tui.sessions.library import Entry as Recorded
from tui.sessions.search import Hit
from tui.text.sanitise import one_line

Rows = list[Entry | Heading | None]
_BEFORE = 8
"""Characters."""


def session_words(entry: Recorded, look: Look) -> str:
    """Question set, progress, verdict and duration in one line."""
    if entry.problem:
        return one_line(entry.problem)
    wanted = entry.questions * len(entry.labels)
    parts = [
        one_line(entry.question_set),
        look.say("library.progress", done=entry.answers, wanted=max(wanted, entry.answers)),
        look.say(f"verdict.{entry.verdict}"),
        clock(int(entry.duration_s * 1e6)),
    ]
    return "  ".join(part for part in parts if part)


def by_day(entries: Iterable[Recorded], marked: Sequence[Path], look: Look) -> Rows:
    """Newest first, a heading for each day."""
    rows: Rows = []
    for day, group in groupby(entries, key=lambda entry: one_line(entry.started[:10])):
        rows += [None] if rows else []
        rows.append(Heading(day or look.say("library.unknown_day")))
        rows += [_entry(entry, session_words(entry, look), marked) for entry in group]
    return rows


def found(
    hits: Sequence[Hit],
    text: str,
    entries: Mapping[Path, Recorded],
    marked: Sequence[Path],
    look: Look,
) -> Rows:
    """Each session in which a text was found, with the best place; the best first."""
    rows: Rows = []
    seen: set[Path] = set()
    for hit in hits:
        entry = entries.get(hit.path)
        if entry is None or hit.path in seen:
            continue
        seen.add(hit.path)
        place = "  ".join(one_line(part) for part in (hit.question, hit.label) if part)
        words = _around(one_line(hit.excerpt), text)
        rows.append(_entry(entry, f"{place}: {words}" if place else words, marked, day=True))
    return [Heading(look.say("library.found", count=len(rows))), *rows]


def _around(excerpt: str, text: str) -> str:
    """The excerpt from shortly before the first word that was looked for: lines are cut."""
    word = next(iter(text.lower().split()), "")
    at = excerpt.lower().find(word)
    return f"…{excerpt[at - _BEFORE :]}" if at > _BEFORE + 2 else excerpt


def _entry(entry: Recorded, detail: str, marked: Sequence[Path], day: bool = False) -> Entry:
    started = one_line(entry.started)
    when = f"{started[:10]} {started[11:16]}" if day else started[11:16]
    labels = one_line("  ".join(entry.labels)) or one_line(entry.name)
    return Entry(f"{when}  {labels}", detail, entry, entry.path in marked)
