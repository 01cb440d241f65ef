"""What models are compared by: stars, times, votes and verdicts, per question and part of it."""

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, combinations
from statistics import fmean
from typing import NamedTuple

from tui import board as bd
from tui import events as ev
from tui.board.judgements import DECIDING, MAX_STARS
from tui.metrics import chars_s
from tui.reports.merge import MergedSessions, ModelColumn
from tui.scoring.agreement import krippendorff_alpha, person_choice
from tui.scoring.checks import CheckResult
from tui.scoring.costs import mean, question_means
from tui.scoring.glance import reused_share
from tui.scoring.rank import Comparison, Duel, QuestionPairs, Samples, pair_samples
from tui.scoring.stars import mirrored

Checked = Mapping[tuple[int, int], Sequence[CheckResult]]
"""The results of checks by session and answer."""


def star_samples(merged: MergedSessions) -> dict[str, Samples]:
    """The stars of each model that has any, by question, turn, dimension and rater."""
    return _samples(merged, _stars_of)


def _stars_of(answer: bd.Answer) -> Iterable[tuple[Hashable, float]]:
    for (rater, dimension), stars in answer.ratings.items():
        if 1 <= stars <= MAX_STARS:
            yield (answer.turn, dimension, rater), stars


def results_by_answer(merged: MergedSessions, checked: Checked) -> dict[int, Sequence[CheckResult]]:
    """The results of checks by the identity (`id`) of their answer."""
    return {
        id(merged.sources[source].board.answers[answer]): results
        for (source, answer), results in checked.items()
    }


def check_samples(merged: MergedSessions, checked: Checked) -> dict[str, Samples]:
    """Of each model whose answers were checked: 1 for a check passed, 0 for one failed, by
    question, turn and check."""
    return _samples(merged, partial(_passed_of, results_by_answer(merged, checked)))


def _passed_of(
    results: Mapping[int, Sequence[CheckResult]], answer: bd.Answer
) -> Iterable[tuple[Hashable, float]]:
    for number, result in enumerate(results.get(id(answer), ())):
        yield (answer.turn, number), float(result.passed)


def mean_stars(samples: Samples, dimension: str | None = None) -> float | None:
    """The mean over questions of `star_samples` of one model, in a dimension or in all."""
    by_question = [
        [stars for part, stars in parts.items() if dimension in (None, _dimension(part))]
        for parts in samples.values()
    ]
    means = [fmean(found) for found in by_question if found]
    return fmean(means) if means else None


def rated_parts(samples: Samples) -> frozenset[tuple[str, Hashable]]:
    """What the values of one model are of: questions with their parts. Means are compared where
    these are the same."""
    return frozenset((question, part) for question, parts in samples.items() for part in parts)


def in_dimension(samples: Samples, dimension: str) -> Samples:
    """The part of `star_samples` of one model that is of a dimension."""
    found = {
        question: {part: stars for part, stars in parts.items() if _dimension(part) == dimension}
        for question, parts in samples.items()
    }
    return {question: parts for question, parts in found.items() if parts}


def _dimension(part: Hashable) -> Hashable:
    return part[1] if isinstance(part, tuple) else None


@dataclass(frozen=True, slots=True)
class RaterAgreement:
    """Who rated how many answers, and voted on how many pairs, and Krippendorff's alpha of stars
    (by answer and dimension) and of votes (by pair), each over ``n_*`` that several rated; None
    where it is not defined."""

    raters: Mapping[str, int]
    voters: Mapping[str, int]
    stars: float | None
    n_stars: int
    votes: float | None
    n_votes: int


def rater_agreement(merged: MergedSessions) -> RaterAgreement:
    """How far people agree with each other, over all sessions."""
    raters: Counter[str] = Counter()
    voters: Counter[str] = Counter()
    stars: dict[Hashable, list[int]] = {}
    votes: dict[Hashable, list[int]] = {}
    for source in merged.sources:
        for answer in source.board.answers.values():
            raters.update(list(dict.fromkeys(rater for rater, _ in answer.ratings)))
            for (_, dimension), given in answer.ratings.items():
                stars.setdefault((source.index, answer.id, dimension), []).append(given)
        for (rater, *pair), choice in source.board.ballots.items():
            voters[rater] += 1
            if choice in DECIDING:
                votes.setdefault((source.index, *pair), []).append(DECIDING.index(choice))
    several = [[v for v in found.values() if len(v) > 1] for found in (stars, votes)]
    return RaterAgreement(
        raters,
        voters,
        krippendorff_alpha(several[0], is_ordinal=True),
        len(several[0]),
        krippendorff_alpha(several[1], is_ordinal=False),
        len(several[1]),
    )


_KNOWN_PROMPT = 0.9
"""The share of a prompt from which on it counts as computed before."""
Figure = Callable[[bd.Answer], float | None]
"""A time or a speed of a complete answer, above 0; None where it was not measured."""


def seconds_of(answer: bd.Answer) -> float | None:
    """From the start of an answer to its end (E2E)."""
    e2e_ms = answer.figures.e2e_ms if answer.figures else None
    return None if e2e_ms is None else e2e_ms / 1000


def text_speed_of(answer: bd.Answer) -> float | None:
    """Characters of text per second."""
    e2e_ms = answer.figures.e2e_ms if answer.figures else None
    return None if e2e_ms is None else chars_s(len(answer.text), e2e_ms)


def text_lengths(column: ModelColumn, merged: MergedSessions) -> list[float]:
    """Characters of the complete answers of a column that say anything, one value of each
    question."""
    return question_means(
        ((number, a.turn), float(len(a.text)))
        for number, row in enumerate(merged.rows)
        for a in row.answers(column)
        if a.state == "answered" and a.has_text
    )


def pair_times(merged: MergedSessions, figure: Figure) -> dict[tuple[str, str], QuestionPairs]:
    """The logarithms of a figure of every two models by question, contended answers left out: of
    several answers to a question the logarithm of their mean.

    Answers on different numbers of threads are not compared, nor is one whose prompt had just been
    computed for another with one whose prompt was not.
    """
    found = {}
    for a, b in combinations(merged.columns, 2):
        by_threads = _is_by_threads(a, b)
        both = (time_samples(column, merged, figure, by_threads) for column in (a, b))
        if pairs := pair_samples(*both):
            found[a.label, b.label] = {
                question: (math.log(x), math.log(y)) for question, (x, y) in pairs.items()
            }
    return found


def compared_answers(
    merged: MergedSessions, found: Comparison
) -> tuple[list[bd.Answer], list[bd.Answer]]:
    """The answers of both models that a comparison of their times (`pair_times`) is about."""
    columns = merged.labelled(found.left), merged.labelled(found.right)
    by_threads = _is_by_threads(*columns)
    both: tuple[list[bd.Answer], list[bd.Answer]] = ([], [])
    for number, row in enumerate(merged.rows):
        if row_key(number) not in found.questions:
            continue
        timed = [
            [a for a in row.scored_answers(c) if clean_figures(a) and a.has_text] for c in columns
        ]
        parts = [{_timed_part(a, by_threads) for a in answers} for answers in timed]
        for side, answers in zip(both, timed, strict=True):
            side += [a for a in answers if _timed_part(a, by_threads) in parts[0] & parts[1]]
    return both


def _is_by_threads(a: ModelColumn, b: ModelColumn) -> bool:
    """Whether only answers on equal threads are compared: a service does not say how many it
    has."""
    return _has_threads(a) and _has_threads(b)


def _timed_part(answer: bd.Answer, by_threads: bool) -> Hashable:
    threads = answer.figures.threads if answer.figures else 0
    return answer.turn, _had_its_prompt(answer), threads if by_threads else 0


def _had_its_prompt(answer: bd.Answer) -> bool:
    """Whether nearly all of a first prompt was computed before, as of a question that was asked
    twice. Later turns always have what went before."""
    f = answer.figures
    return f is not None and not answer.turn and reused_share([f]) >= _KNOWN_PROMPT


def _has_threads(column: ModelColumn) -> bool:
    return any(a.figures is not None and a.figures.threads > 0 for a in column.answers)


def time_samples(
    column: ModelColumn, merged: MergedSessions, figure: Figure, by_threads: bool = False
) -> Samples:
    """A figure of the undisturbed answers of a column; ``by_threads``: each number of threads is a
    part of its own."""
    return _samples_of(column, merged, partial(_time_of, figure, by_threads))


def _time_of(
    figure: Figure, by_threads: bool, answer: bd.Answer
) -> Iterable[tuple[Hashable, float]]:
    if clean_figures(answer) and answer.has_text and (value := figure(answer)) and value > 0:
        yield _timed_part(answer, by_threads), value


def clean_figures(answer: bd.Answer) -> ev.Answered | None:
    """The figures of an answer whose times can be compared: complete, nothing else computed."""
    f = answer.figures
    return f if answer.state == "answered" and f is not None and not f.contended else None


Values = Callable[[bd.Answer], Iterable[tuple[Hashable, float]]]
"""The values of an answer by what they are of."""


def _samples(merged: MergedSessions, values: Values) -> dict[str, Samples]:
    """Those of each model that has any."""
    found = {column.label: _samples_of(column, merged, values) for column in merged.columns}
    return {label: samples for label, samples in found.items() if samples}


def _samples_of(column: ModelColumn, merged: MergedSessions, values: Values) -> Samples:
    by_question = {
        row_key(number): _mean_parts(row.scored_answers(column), values)
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
    return {part: mean(found) for part, found in parts.items()}


def vote_duels(merged: MergedSessions) -> list[Duel]:
    """The votes of people as comparisons of columns."""
    places = places_of(merged)
    return [
        duel
        for source in merged.sources
        for (_, _, left, right), choice in source.board.ballots.items()
        for duel in _duel(places, source.index, left, right, choice)
    ]


class JudgeKey(NamedTuple):
    """A judge, and whether it was shown the answers without their Markdown."""

    judge: str
    plain_text: bool

    @property
    def label(self) -> str:
        """The judge's name, and how it was shown the answers, for a terminal and JSON."""
        return self.judge + (", without Markdown" if self.plain_text else "")


JudgeVerdicts = Sequence[tuple[int, ev.Judged]]
"""Verdicts with the index of their session."""


def verdicts_by_judge(merged: MergedSessions) -> dict[JudgeKey, list[tuple[int, ev.Judged]]]:
    """The newest verdicts by judge."""
    found: dict[JudgeKey, list[tuple[int, ev.Judged]]] = {}
    for source in merged.sources:
        for event in source.board.judged.values():
            key = JudgeKey(event.judge, event.plain_text)
            found.setdefault(key, []).append((source.index, event))
    return found


def judge_duels(
    merged: MergedSessions,
    found: JudgeVerdicts,
    choice: Callable[[ev.Judged], str] = lambda event: event.choice,
) -> list[Duel]:
    """A judge's verdicts as comparisons of columns; ``choice`` says which one of an event."""
    places = places_of(merged)
    return [
        duel for source, j in found for duel in _duel(places, source, j.left, j.right, choice(j))
    ]


def people_duels(merged: MergedSessions, found: JudgeVerdicts) -> list[Duel]:
    """What people said of the pairs that a judge judged."""
    places = places_of(merged)
    return [
        duel
        for source, j in found
        for duel in _duel(
            places,
            source,
            j.left,
            j.right,
            person_choice(merged.sources[source].board, j.left, j.right),
        )
    ]


def panel_of(
    by_judge: Mapping[JudgeKey, JudgeVerdicts],
) -> dict[JudgeKey, JudgeVerdicts]:
    """The judges that were shown the answers in the same way and could be read, where there are
    several."""
    read = {k: v for k, v in by_judge.items() if any(j.choice in DECIDING for _, j in v)}
    groups = [{k: v for k, v in read.items() if k.plain_text is form} for form in (False, True)]
    largest = max(groups, key=len)
    return largest if len(largest) > 1 else {}


def panel_duels(merged: MergedSessions, by_judge: Mapping[JudgeKey, JudgeVerdicts]) -> list[Duel]:
    """The majority of `panel_of` on each pair that more than one judged; a tie where there is
    none."""
    said: dict[tuple[int, int, int], list[str]] = {}
    for source, j in chain.from_iterable(panel_of(by_judge).values()):
        low, high = sorted((j.left, j.right))
        choice = j.choice if j.left == low else mirrored(j.choice)
        if choice in DECIDING:
            said.setdefault((source, low, high), []).append(choice)
    places = places_of(merged)
    several = [(pair, choices) for pair, choices in said.items() if len(choices) > 1]
    duels = (_duel(places, *pair, _majority(choices)) for pair, choices in several)
    return list(chain.from_iterable(duels))


def _majority(choices: Sequence[str]) -> str:
    (first, count), *_ = Counter(choices).most_common()
    return first if 2 * count > len(choices) else "tie"


Places = dict[tuple[int, int], tuple[str, ModelColumn]]


def places_of(merged: MergedSessions) -> Places:
    """By session and answer: the question (`row_key`) and the column that it belongs to."""
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
