"""Checks and overlap for every complete answer of merged sessions."""

from dataclasses import dataclass, replace
from typing import Any

from tui import board as bd
from tui.reports.merge import MergedSessions, QuestionRow
from tui.scoring.checks import (
    Check,
    CheckError,
    CheckResult,
    check_tables,
    parse_checks,
    run_keyed_checks,
)
from tui.scoring.overlap import MAX_TEXT, Overlap, Scorer, compute_overlap

AnswerKey = tuple[int, int]
"""Index of the session, id of the answer."""


def evaluate_checks(merged: MergedSessions) -> tuple[dict[AnswerKey, list[CheckResult]], list[str]]:
    """Results by answer, and one line for each question whose checks are none."""
    tasks: list[tuple[AnswerKey, Check, str]] = []
    problems = []
    for number, row in enumerate(merged.rows, 1):
        try:
            checks = parse_checks(check_tables(row.data.get("checks")))
        except CheckError as error:
            problems.append(f"{number}: {error}")
            continue
        for key, answer in _complete_answers(merged, row) if checks else ():
            tasks += [(key, c, answer.text) for c in checks if _applies_to(c, answer, row)]
    return run_keyed_checks(tasks), problems


@dataclass(frozen=True, slots=True)
class OverlapResults:
    """By answer; ``encoder`` and ``layer`` say what BERTScore was computed with, if it was."""

    by_answer: dict[AnswerKey, Overlap]
    encoder: str = ""
    layer: int = 0


def evaluate_overlaps(merged: MergedSessions, scorer: Scorer | None = None) -> OverlapResults:
    """The overlap of every complete answer whose turn has a reference.

    Raises:
        UserError: ``scorer`` cannot score.
    """
    found: dict[AnswerKey, Overlap] = {}
    pairs: dict[AnswerKey, tuple[str, str]] = {}
    for row in merged.rows:
        references = _texts(row.data.get("reference"))
        for key, answer in _complete_answers(merged, row) if references else ():
            if answer.turn < len(references) and references[answer.turn].strip():
                reference = references[answer.turn]
                found[key] = compute_overlap(answer.text, [reference])
                pairs[key] = answer.text[:MAX_TEXT], reference[:MAX_TEXT]
    if scorer is None or not pairs:
        return OverlapResults(found)
    scores = scorer(list(pairs.values()))
    for key, f1 in zip(pairs, scores.f1, strict=True):
        found[key] = replace(found[key], bert=100 * f1)
    return OverlapResults(found, scores.encoder, scores.layer)


def _complete_answers(
    merged: MergedSessions, row: QuestionRow
) -> list[tuple[AnswerKey, bd.Answer]]:
    return [
        ((source, answer.id), answer)
        for column in merged.columns
        for source, answer in row.answers_by_session(column)
        if answer.state == "answered"
    ]


def _applies_to(check: Check, answer: bd.Answer, row: QuestionRow) -> bool:
    return answer.turn == (len(row.turns) - 1 if check.turn is None else check.turn)


def _texts(value: Any) -> list[str]:
    given = [value] if isinstance(value, str) else value
    return [str(t) for t in given] if isinstance(given, list | tuple) else []
