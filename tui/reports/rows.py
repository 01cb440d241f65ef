"""A report's data, one row per answer: CSV for spreadsheets, JSON lines for programs."""

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, fields
from statistics import fmean
from typing import Any

from tui import board as bd
from tui.events import Measured
from tui.reports.merge import (
    MergedSessions,
    ModelColumn,
    QuestionRow,
    SourceSession,
    dimensions_of,
)
from tui.scoring.charges import price_of, to_row
from tui.scoring.dimensions import Dimension
from tui.text.sanitise import clean
from tui.text.translation import translate

_FIGURES = (
    *("finish", "prompt_tokens", "output_tokens", "token_source", "ttft_ms", "tpot_ms", "e2e_ms"),
    *("prefill_tok_s", "decode_tok_s", "chars_s", "peak_private", "peak_mapped", "majflt"),
    *("contended", "threads", "batch", "guessed", "accepted", "reused"),
    *("waited_ms", "lost", "contended_by", "answer_ttft_ms", "thought_tokens", "thought_cut"),
)
_FORMULA = re.compile(r"\s*['=+\-@＝＋－＠\t\r]")
"""Beginnings that a spreadsheet takes for a formula, full-width forms too, and the quote, so
that a cell that begins with one differs from a cell that was quoted."""


def answer_rows(merged: MergedSessions, lang: str = "en") -> Iterator[dict[str, Any]]:
    """One object per answer, in the order of the report; figures as they were measured, the
    program's notes in a language."""
    for row in merged.rows:
        for column in merged.columns:
            for source, answer in row.answers_by_session(column):
                yield _object(merged.sources[source], row, column, answer, lang)


def _object(
    source: SourceSession, row: QuestionRow, column: ModelColumn, answer: bd.Answer, lang: str
) -> dict[str, Any]:
    head = source.recorded.header.models[answer.model]
    figures = {name: getattr(answer.figures, name) if answer.figures else None for name in _FIGURES}
    return {
        "session": source.name,
        "model": column.label,
        "reference": head.get("name", ""),
        "dtype": head.get("dtype", ""),
        "question": row.id,
        "category": row.category,
        "turn": answer.turn,
        "repeat": answer.repeat,
        "prompt": answer.prompt,
        "state": answer.state,
        "failure": answer.failure.message if answer.failure else "",
        "text": answer.text,
        "reasoning": "".join(answer.reasoning),
        "chars": len(answer.text),
        **figures,
        **to_row(answer, price_of(head)),
        "measured": _measured(source.board.models[answer.model]),
        "stars": _mean_stars(answer),
        "notes": [
            note.text if note.source == "person" else translate(note.text, lang)
            for note in answer.notes
        ],
    }


def _mean_stars(answer: bd.Answer) -> dict[str, float]:
    """By dimension the stars, of several raters their mean."""
    found: dict[str, list[int]] = {}
    for (_, dimension), stars in answer.ratings.items():
        found.setdefault(dimension, []).append(stars)
    return {d: given[0] if len(given) == 1 else fmean(given) for d, given in found.items()}


def _measured(model: bd.Model) -> dict[str, Any] | None:
    """The standard measure of an answer's model."""
    return asdict(model.measured) if model.measured else None


def to_jsonl(merged: MergedSessions) -> str:
    """One JSON object a line. Characters that `clean` would change are written as escapes, so
    that nothing is lost and a terminal can show the file."""
    lines = (json.dumps(row, ensure_ascii=False, allow_nan=False) for row in answer_rows(merged))
    return "".join(f"{_escaped(line)}\n" for line in lines)


def _escaped(line: str) -> str:
    if clean(line) == line:
        return line
    return "".join(c if clean(c) == c else json.dumps(c)[1:-1] for c in line)


def to_csv(merged: MergedSessions, lang: str = "en") -> str:
    """A table with a column per figure of the standard measure and per dimension of stars; its
    head and the program's own words are in a language. Text that a spreadsheet would take for a
    formula begins with an apostrophe."""
    listed = list(answer_rows(merged, lang))
    rated = {d for row in listed for d in row["stars"]}
    known = [one for one in dimensions_of(merged) if one.id in rated]
    others = sorted(rated - {one.id for one in known})
    dimensions = [*known, *map(Dimension, others)]
    apart = ("measured", "stars", "notes")
    names = [name for name in (listed[0] if listed else {}) if name not in apart]
    measures = [f.name for f in fields(Measured)] if any(r["measured"] for r in listed) else []
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    heads = [_head(name, lang) for name in names]
    heads += [_head(f"measured: {_head(name, lang)}", lang) for name in measures]
    heads += [_head(f"stars: {one.name(lang)}", lang) for one in dimensions]
    writer.writerow([csv_cell(head) for head in (*heads, _head("notes", lang))])
    for row in listed:
        values = [_in_words(name, row[name], lang) for name in names]
        values += [(row["measured"] or {}).get(name) for name in measures]
        values += [row["stars"].get(one.id) for one in dimensions]
        writer.writerow([csv_cell(v) for v in (*values, " / ".join(row["notes"]))])
    return out.getvalue()


def _head(name: str, lang: str) -> str:
    """What a column is headed with."""
    return translate(f"column {name}", lang).removeprefix("column ")


def _in_words(name: str, value: Any, lang: str) -> Any:
    """What the program says of an answer in a language; what others said as it is."""
    if name in ("contended_by", "token_source") and value:
        return translate(f"{name} {value}", lang).removeprefix(f"{name} ")
    return translate(value, lang) if name in ("state", "failure", "finish") and value else value


def csv_cell(value: Any) -> str:
    """A value as a spreadsheet's cell: numbers as they are, text never as a formula."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    text = clean(str(value))
    return f"'{text}" if _FORMULA.match(text) else text
