"""Checks and overlap for every complete answer of merged sessions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tui import board as bd
from tui.reports.merge import Merged, Row
from tui.scoring.checks import Check, CheckError, Result, parse, run_all
from tui.scoring.overlap import MAX_TEXT, Overlap, Scorer, overlap

Key = tuple[int, int]
"""Index of the session, id of the answer."""


def check_results(merged: Merged) -> tuple[dict[Key, list[Result]], list[str]]:
    """Results by answer, and one line for each question whose checks are none."""
    tasks: list[tuple[Key, Check, str]] = []
    problems = []
    for number, row in enumerate(merged.rows, 1):
        try:
            checks = parse(_tables(row.data.get("checks")))
        except CheckError as error:
            problems.append(f"{number}: {error}")
            continue
        for key, answer in _complete(merged, row) if checks else ():
            tasks += [(key, c, answer.text) for c in checks if _looks_at(c, answer, row)]
    results: dict[Key, list[Result]] = {}
    done = run_all([(check, text) for _, check, text in tasks])
    for (key, _, _), result in zip(tasks, done, strict=True):
        results.setdefault(key, []).append(result)
    return results, problems


@dataclass(frozen=True, slots=True)
class Overlaps:
    """By answer; ``encoder`` and ``layer`` say what BERTScore was computed with, if it was."""

    of: dict[Key, Overlap]
    encoder: str = ""
    layer: int = 0


def overlaps(merged: Merged, scorer: Scorer | None = None) -> Overlaps:
    """The overlap of every complete answer whose turn has a reference.

    Raises:
        UserError: ``scorer`` cannot score.
    """
    found: dict[Key, Overlap] = {}
    pairs: dict[Key, tuple[str, str]] = {}
    for row in merged.rows:
        references = _texts(row.data.get("reference"))
        for key, answer in _complete(merged, row) if references else ():
            if answer.turn < len(references) and references[answer.turn].strip():
                reference = references[answer.turn]
                found[key] = overlap(answer.text, [reference])
                pairs[key] = answer.text[:MAX_TEXT], reference[:MAX_TEXT]
    if scorer is None or not pairs:
        return Overlaps(found)
    scores = scorer(list(pairs.values()))
    for key, f1 in zip(pairs, scores.f1, strict=True):
        found[key] = replace(found[key], bert=100 * f1)
    return Overlaps(found, scores.encoder, scores.layer)


def _complete(merged: Merged, row: Row) -> list[tuple[Key, bd.Answer]]:
    return [
        ((source, answer.id), answer)
        for column in merged.columns
        for source, answer in row.entries(column)
        if answer.state == "answered"
    ]


def _looks_at(check: Check, answer: bd.Answer, row: Row) -> bool:
    return answer.turn == (len(row.turns) - 1 if check.turn is None else check.turn)


def _tables(value: Any) -> Sequence[Mapping[str, Any]]:
    """What a header holds under ``checks``, which may come from anywhere."""
    given = [value] if isinstance(value, Mapping) else value
    return [t for t in given if isinstance(t, Mapping)] if isinstance(given, list | tuple) else []


def _texts(value: Any) -> list[str]:
    given = [value] if isinstance(value, str) else value
    return [str(t) for t in given] if isinstance(given, list | tuple) else []
