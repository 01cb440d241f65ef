"""Where a format changes the answer: the first token at which two formats of one model part."""

from itertools import combinations

from tui.board import Answer
from tui.reports.caveats import asked_settings
from tui.reports.document import Cell, Table
from tui.reports.merge import MergedSessions, ModelColumn
from tui.reports.messages import ReportMessages
from tui.reports.run_tables import model_size
from tui.scoring.parting import describe_step, find_parting
from tui.text.sanitise import collapse_line

_BEFORE = 24
"""Characters of the common beginning that are shown."""


def parting_table(merged: MergedSessions, say: ReportMessages) -> Table | None:
    """One line per question on which two formats of the same checkpoint part, with the likeliest
    tokens of both; None without recorded probabilities, and where none part."""
    rows, drawn = [], False
    for a, b in combinations(merged.columns, 2):
        if not _is_other_format(a, b):
            continue
        for number, row in enumerate(merged.rows, 1):
            both = {x.turn: x for x in row.shown_answers(a)}, row.shown_answers(b)
            pairs = [(both[0][y.turn], y) for y in both[1] if y.turn in both[0]]
            for one, other in pairs:
                if (at := find_parting(one.logprobs, other.logprobs)) is not None:
                    title = row.category or row.id
                    rows.append(_row(number, title, (a, b), (one, other), at, say))
                    drawn |= any(column.sampling.get("greedy") is not True for column in (a, b))
                    break
    if not rows:
        return None
    keys = ("question", "part_token", "part_before", "model", "part_top", "model", "part_top")
    notes = (say("part_drawn"),) if drawn else ()
    return Table(say("parting"), tuple(map(say, keys)), tuple(rows), left=len(keys), notes=notes)


def _row(
    number: int,
    title: str,
    columns: tuple[ModelColumn, ModelColumn],
    answers: tuple[Answer, Answer],
    at: int,
    say: ReportMessages,
) -> tuple[Cell, ...]:
    before = collapse_line("".join(said.token for said in answers[0].logprobs[:at]))
    cells = [Cell(f"{number}. {collapse_line(title)}"), Cell(str(at + 1))]
    cells.append(Cell(f"…{before[-_BEFORE:]}" if len(before) > _BEFORE else before))
    for column, answer in zip(columns, answers, strict=True):
        step = describe_step(answer.logprobs[at], say("part_nothing"))
        chosen = "" if step.is_first else say("part_chosen", token=step.chosen)
        cells += [Cell(collapse_line(column.label)), Cell(step.likeliest or step.chosen, chosen)]
    return tuple(cells)


def _is_other_format(a: ModelColumn, b: ModelColumn) -> bool:
    """Whether they are the same checkpoint in two formats, and were asked in the same way."""
    return (
        _checkpoint(a) == _checkpoint(b)
        and model_size(a).dtype != model_size(b).dtype
        and (asked_settings(a), a.sampling) == (asked_settings(b), b.sampling)
    )


def _checkpoint(column: ModelColumn) -> str:
    """What its weights were made from: the same for all formats of it."""
    head = column.parts[0].head
    name = str(head.get("name", ""))
    return str(head.get("checkpoint") or name.rpartition("@")[0] or name)
