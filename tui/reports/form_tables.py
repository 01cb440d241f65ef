"""What the answers of each model look like, and how the models do by ability."""

import re
from collections.abc import Sequence
from statistics import median

from tui.reports import evidence
from tui.reports.document import Cell, Table, format_count
from tui.reports.merge import MergedSessions
from tui.reports.messages import ReportMessages
from tui.scoring.rank import Samples
from tui.text.sanitise import collapse_line

_FORMS = {
    "fo_lists": re.compile(
        r"^\s*(?:[-*+•]|\d{1,3}[.)、])\s*\S.*\n+\s*(?:[-*+•]|\d{1,3}[.)、])", re.M
    ),
    "fo_headings": re.compile(r"^#{1,6}\s|^\*\*[^*\n]+\*\*[:：]?$", re.M),
    "fo_code": re.compile(r"^\s*(?:```|~~~)", re.M),
    "fo_tables": re.compile(r"^\s*\|?\s*:?-{3,}:?\s*\|", re.M),
}
"""What an answer is made of beside paragraphs; a list has two items at least."""


def form_table(merged: MergedSessions, say: ReportMessages) -> Table | None:
    """How long the answers of each model are, and how many hold lists, headings, code, tables;
    None without answers."""
    rows = []
    for column in merged.columns:
        texts = [a.text for a in column.answers if a.state == "answered" and a.has_text]
        lengths = evidence.text_lengths(column, merged)
        length = median(lengths) if lengths else None
        counts = (sum(bool(form.search(text)) for text in texts) for form in _FORMS.values())
        cells = (Cell(f"{count}/{len(texts)}" if texts else "–") for count in counts)
        rows.append((Cell(collapse_line(column.label)), Cell(format_count(length)), *cells))
    if all(row[2].text == "–" for row in rows):
        return None
    head = (say("model"), say("fo_length"), *map(say, _FORMS))
    return Table(say("fo_title"), head, tuple(rows))


def ability_table(
    merged: MergedSessions, checked: evidence.Checked, say: ReportMessages
) -> Table | None:
    """The stars of each model by the category of the question, with the checks passed below; None
    where nothing was judged, or all questions are of one category."""
    groups: dict[str, list[str]] = {}
    for number, row in enumerate(merged.rows):
        if row.category:
            groups.setdefault(collapse_line(row.category), []).append(evidence.row_key(number))
    stars, checks = evidence.star_samples(merged), evidence.check_samples(merged, checked)
    if len(groups) < 2 or not (stars or checks):
        return None
    rows = []
    for category, questions in groups.items():
        cells = [
            _cell(
                _mean(stars.get(column.label, {}), questions),
                _mean(checks.get(column.label, {}), questions),
                say,
            )
            for column in merged.columns
        ]
        if any(cell.text != "–" for cell in cells):
            rows.append((Cell(category), Cell(str(len(questions))), *cells))
    if not rows:
        return None
    labels = (collapse_line(column.label) for column in merged.columns)
    return Table(say("ab_title"), (say("ability"), say("questions"), *labels), tuple(rows))


def _mean(samples: Samples, questions: Sequence[str]) -> float | None:
    return evidence.mean_stars({key: samples[key] for key in questions if key in samples})


def _cell(stars: float | None, passed: float | None, say: ReportMessages) -> Cell:
    share = "" if passed is None else say("ab_passed", share=f"{passed:.0%}")
    if stars is None:
        return Cell(share or "–")
    return Cell(f"{stars:.2f}", share)
