"""What models are compared by: stars, times, votes and verdicts, per question and part of it."""

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import combinations
from statistics import fmean

from tui import board as bd
from tui import events as ev
from tui.reports.merge import MergedSessions, ModelColumn
from tui.scoring.dimensions import MAX_STARS
from tui.scoring.rank import Duel, QuestionPairs, Samples, pair_samples
from tui.scoring.stars import newest_verdicts

DECIDING = ("left", "right", "tie", "bad")


def star_samples(merged: MergedSessions) -> dict[str, Samples]:
    """The stars of each model that has any, by question, turn and dimension."""

    def of_answer(answer: bd.Answer) -> Iterable[tuple[Hashable, float]]:
        for dimension, stars in answer.stars.items():
            if 1 <= stars <= MAX_STARS:
                yield (answer.turn, dimension), stars

    found = {c.label: _samples_of(c, merged, of_answer) for c in merged.columns}
    return {label: samples for label, samples in found.items() if samples}


Figure = Callable[[ev.Answered], float | None]
"""A time or a speed of an answer, above 0; None where it was not measured."""


def seconds_of(figures: ev.Answered) -> float | None:
    """From the start of an answer to its end (E2E)."""
    return None if figures.e2e_ms is None else figures.e2e_ms / 1000


def text_speed_of(figures: ev.Answered) -> float | None:
    """Characters of text per second."""
    return figures.chars_s


def pair_times(merged: MergedSessions, figure: Figure) -> dict[tuple[str, str], QuestionPairs]:
    """The logarithms of a figure of every two models by question, contended answers left out.

    Answers on different numbers of threads are not compared.
    """
    found = {}
    for a, b in combinations(merged.columns, 2):
        # A service does not say how many threads it has.
        by_threads = all(_has_threads(column) for column in (a, b))
        both = (_time_samples(column, merged, figure, by_threads) for column in (a, b))
        if pairs := pair_samples(*both):
            found[a.label, b.label] = pairs
    return found


def _has_threads(column: ModelColumn) -> bool:
    return any(a.figures is not None and a.figures.threads > 0 for a in column.answers)


def _time_samples(
    column: ModelColumn, merged: MergedSessions, figure: Figure, by_threads: bool
) -> Samples:
    def of_answer(answer: bd.Answer) -> Iterable[tuple[Hashable, float]]:
        f = clean_figures(answer)
        if f is not None and (value := figure(f)) and value > 0:
            yield (answer.turn, f.threads if by_threads else 0), math.log(value)

    return _samples_of(column, merged, of_answer)


def clean_figures(answer: bd.Answer) -> ev.Answered | None:
    """The figures of an answer whose times can be compared: complete, nothing else computed."""
    f = answer.figures
    return f if answer.state == "answered" and f is not None and not f.contended else None


Values = Callable[[bd.Answer], Iterable[tuple[Hashable, float]]]
"""The values of an answer by what they are of."""


def _samples_of(column: ModelColumn, merged: MergedSessions, values: Values) -> Samples:
    by_question = {
        row_key(number): _mean_parts(row.answers(column), values)
        for number, row in enumerate(merged.rows)
    }
    return {question: parts for question, parts in by_question.items() if parts}


def row_key(number: int) -> str:
    """What a question is called in samples and duels, by its place in the report."""
    return f"{number:06}"


def _mean_parts(answers: Sequence[bd.Answer], values: Values) -> dict[Hashable, float]:
    """Each part's mean over the repeats."""
    parts: dict[Hashable, list[float]] = {}
    for answer in answers:
        for part, value in values(answer):
            parts.setdefault(part, []).append(value)
    return {part: fmean(found) for part, found in parts.items()}


def vote_duels(merged: MergedSessions) -> list[Duel]:
    """The votes of people as comparisons of columns."""
    places = _places(merged)
    return [
        duel
        for source in merged.sources
        for (_, left, right), choice in source.board.votes.items()
        for duel in _duel(places, source.index, left, right, choice)
    ]


def verdicts_by_judge(merged: MergedSessions) -> dict[str, list[tuple[int, ev.Judged]]]:
    """By judge: the newest verdicts with the index of their session."""
    found: dict[str, list[tuple[int, ev.Judged]]] = {}
    for source in merged.sources:
        judged = (e.body for e in source.recorded.events if isinstance(e.body, ev.Judged))
        for event in newest_verdicts(judged):
            found.setdefault(event.judge, []).append((source.index, event))
    return found


def judge_duels(merged: MergedSessions, found: Sequence[tuple[int, ev.Judged]]) -> list[Duel]:
    """A judge's verdicts as comparisons of columns."""
    places = _places(merged)
    return [
        duel for source, j in found for duel in _duel(places, source, j.left, j.right, j.choice)
    ]


Places = dict[tuple[int, int], tuple[str, ModelColumn]]


def _places(merged: MergedSessions) -> Places:
    """By session and answer: the question and the column that it belongs to."""
    return {
        (source, answer.id): (row_key(number), column)
        for number, row in enumerate(merged.rows)
        for column in merged.columns
        for source, answer in row.answers_by_session(column)
    }


def _duel(places: Places, source: int, left: int, right: int, choice: str) -> list[Duel]:
    a, b = places.get((source, left)), places.get((source, right))
    if a is None or b is None or choice not in DECIDING or a[1] is b[1] or a[0] != b[0]:
        return []
    return [Duel(a[0], a[1].label, b[1].label, choice)]
