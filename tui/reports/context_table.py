"""How well each model kept what was said before: the later turns of conversations."""

from collections.abc import Sequence
from statistics import fmean

from tui import board as bd
from tui.board.judgements import MAX_STARS
from tui.reports import evidence
from tui.reports.document import Cell, Table
from tui.reports.merge import MergedSessions, ModelColumn
from tui.reports.messages import ReportMessages
from tui.text.sanitise import collapse_line

BEST_MARK = 10
"""Of the mark for checks passed: reports on paper give one to ten."""


def context_table(
    merged: MergedSessions, checked: evidence.Checked, say: ReportMessages
) -> Table | None:
    """By model the turns after the first of a conversation: how many were answered, checks passed
    there (as a share and a mark to `BEST_MARK`), stars given there, and turns that no longer fitted
    the context; None where nothing was asked twice in a row."""
    results = evidence.results_by_answer(merged, checked)
    rows = []
    for column in merged.columns:
        later = [answer for answer in _counted(merged, column) if answer.turn > 0]
        passed = [one.passed for answer in later for one in results.get(id(answer), ())]
        stars = [given for a in later for given in a.ratings.values() if 1 <= given <= MAX_STARS]
        dropped = sum(answer.started.dropped_turns for answer in later if answer.started)
        answered = sum(answer.state == "answered" for answer in later)
        share = fmean(passed) if passed else None
        rows.append(
            (
                Cell(collapse_line(column.label)),
                Cell(f"{answered}/{len(later)}" if later else "–"),
                _share(share, passed),
                Cell("–" if share is None else f"{share * BEST_MARK:.1f}"),
                Cell(f"{fmean(stars):.2f}", f"n={len(stars)}") if stars else Cell("–"),
                Cell(str(dropped) if later else "–"),
            )
        )
    if all(row[1].text == "–" for row in rows):
        return None
    keys = ("model", "cx_turns", "cx_checks", "cx_mark", "st_stars", "cx_dropped")
    return Table(say("cx_title"), tuple(map(say, keys)), tuple(rows), notes=(say("cx_note"),))


def _share(share: float | None, passed: Sequence[bool]) -> Cell:
    if share is None:
        return Cell("–")
    return Cell(f"{share:.0%}", f"{sum(passed)}/{len(passed)}")


def _counted(merged: MergedSessions, column: ModelColumn) -> list[bd.Answer]:
    """One answer to each turn: what was asked again counts once."""
    return [answer for row in merged.rows for answer in row.shown_answers(column)]
