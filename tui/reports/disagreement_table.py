"""The questions on which models differ most, as a table."""

import math
from dataclasses import replace

from tui.reports.caveats import where_measured
from tui.reports.document import Cell, Table, format_figure
from tui.reports.merge import MergedSessions, QuestionRow
from tui.reports.messages import ReportMessages
from tui.scoring.disagreement import Disagreement, Results, measure
from tui.text.sanitise import collapse_line

_MAX_ROWS = 20
_NO_DIFFERENCE = ("–", "0", "0%", "×1.00")
_HEAD = ("question", "d_stars", "d_verdicts", "d_checks", "d_length", "d_time")


def disagreement_table(
    merged: MergedSessions, results: Results, say: ReportMessages
) -> Table | None:
    """The most different questions first; None where nothing differs, or for one model.
    ``results`` are those of `tui.reports.evidence.results_by_answer`."""
    rows = enumerate(merged.rows, 1)
    measured = [(number, row, _measure(merged, row, results, say)) for number, row in rows]
    found = [one for one in measured if one[2].is_compared]
    differing = [one for one in found if one[2].is_differing]
    if not differing:
        return None
    differing.sort(key=lambda one: -one[2].score)
    cells = [
        (Cell(f"{number}. {collapse_line(row.category or row.id)}"), *_cells(one, say))
        for number, row, one in differing[:_MAX_ROWS]
    ]
    kept = [
        i
        for i, key in enumerate(_HEAD)
        if key == "question" or any(row[i].text != "–" for row in cells)
    ]
    notes = [say("d_same", n=len(found) - len(differing))] if len(found) > len(differing) else []
    if cut := sum(one.all_cut for _, _, one in differing):
        notes.insert(0, say("d_cut", n=cut))
    if len(differing) > _MAX_ROWS:
        notes.append(say("and_more", n=len(differing) - _MAX_ROWS))
    return Table(
        say("d_title"),
        tuple(say(_HEAD[i]) for i in kept),
        tuple(tuple(row[i] for i in kept) for row in cells),
        notes=tuple(notes),
    )


def describe_differences(
    merged: MergedSessions, row: QuestionRow, results: Results, say: ReportMessages
) -> str:
    """How the models part on one question, in the words of the table; empty where they do not."""
    found = _measure(merged, row, results, say)
    if not found.is_differing:
        return ""
    told = zip(_HEAD[1:], _cells(found, say), strict=True)
    parts = [f"{say(key)} {cell.text}" for key, cell in told if cell.text not in _NO_DIFFERENCE]
    return say("d_here", what=say("sep").join(parts)) if parts else ""


def _measure(
    merged: MergedSessions, row: QuestionRow, results: Results, say: ReportMessages
) -> Disagreement:
    """Times only where all were taken on the same machine."""
    conversations = [row.shown_answers(column) for column in merged.columns]
    choices: list[str] = []
    for source in merged.sources:
        here = row.ids_in(source.index)
        ballots = source.board.ballots.items()
        choices += [choice for (_, _, left, right), choice in ballots if {left, right} <= here]
        judged = source.board.judged.values()
        choices += [j.choice for j in judged if {j.left, j.right} <= here]
    found = measure(conversations, choices, lambda answer: results.get(id(answer), ()))
    asked = [c for c, said in zip(merged.columns, conversations, strict=True) if said]
    is_one_place = len({where_measured(column, say) for column in asked}) < 2
    return found if is_one_place else replace(found, time=None)


def _cells(found: Disagreement, say: ReportMessages) -> tuple[Cell, ...]:
    share = "–" if found.verdicts is None else f"{found.verdicts:.0%}"
    checks = "–" if found.checks is None else f"{found.checks:.0%}"
    length = say("d_empty") if found.length == math.inf else _times(found.length)
    texts = (format_figure(found.stars), share, checks, length, _times(found.time))
    return tuple(Cell(text) for text in texts)


def _times(ratio: float | None) -> str:
    return "–" if ratio is None else f"×{format_figure(ratio)}"
