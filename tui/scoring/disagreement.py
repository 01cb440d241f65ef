"""Where models differ: each question measured by stars, verdicts, checks, length and time."""

import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

from tui.board import Answer, Board
from tui.board.judgements import DECIDING, MAX_STARS
from tui.scoring.checks import CheckResult

_LARGE_RATIO = 4.0
"""A ratio of lengths or times from which on a question differs as far as can be."""

FILTERS = ("all", "differing", "unrated", "failed")
"""Which questions to step through."""

Results = Mapping[int, Sequence[CheckResult]]
"""The results of checks by answer."""


@dataclass(frozen=True, slots=True)
class Disagreement:
    """How far models part on one question; None where it cannot be told.

    ``stars`` is the largest gap of two means, ``verdicts`` the share of votes
    and verdicts of judges that prefer one side, ``checks`` the gap between the shares of checks
    passed, ``length`` and ``time`` the ratio of the largest to the smallest (a length is infinite
    where one answer of several is empty). ``same_text``: all
    answers are the same, letter by letter. ``is_compared``: at least two models completed it.
    ``all_cut``: each model's were cut short, so that a limit and no model made their length.
    """

    stars: float | None = None
    verdicts: float | None = None
    checks: float | None = None
    length: float | None = None
    time: float | None = None
    same_text: bool = True
    is_compared: bool = False
    all_cut: bool = False

    @property
    def score(self) -> float:
        """All of it together, 0 (no difference) to 5."""
        found = [(self.stars or 0) / (MAX_STARS - 1), self.verdicts or 0, self.checks or 0]
        found += [_part_of_large(ratio) for ratio in (self.length, self.time)]
        return math.fsum(found)

    @property
    def is_differing(self) -> bool:
        """Whether the texts, or what was said of them, are not the same."""
        return not self.same_text or any((self.stars, self.verdicts, self.checks))


def _part_of_large(ratio: float | None) -> float:
    return min(1.0, math.log(ratio) / math.log(_LARGE_RATIO)) if ratio and ratio > 1 else 0.0


def measure(
    conversations: Sequence[Sequence[Answer]],
    choices: Iterable[str],
    results_of: Callable[[Answer], Sequence[CheckResult]],
) -> Disagreement:
    """The disagreement on a question from each model's newest answers to it (one per turn), all
    votes and verdicts on them, and the results of an answer's checks."""
    answered = [c for c in conversations if c and all(a.state == "answered" for a in c)]
    texts = [[a.text for a in conversation] for conversation in answered]
    # A verdict that nobody could read says nothing.
    said = [choice in ("left", "right") for choice in choices if choice in DECIDING]
    if len(answered) < 2:
        return Disagreement()
    all_cut = all(any(a.is_cut for a in conversation) for conversation in answered)
    return Disagreement(
        _largest_gap([_stars(conversation) for conversation in answered]),
        fmean(said) if said else None,
        _gap([_passed(conversation, results_of) for conversation in answered]),
        None if all_cut else _length_ratio([sum(map(len, text)) for text in texts]),
        _ratio([_seconds(c) for c in answered]) if _were_timed_alike(answered) else None,
        all(text == texts[0] for text in texts),
        is_compared=True,
        all_cut=all_cut,
    )


def _stars(conversation: Sequence[Answer]) -> dict[Hashable, int]:
    """By turn, rater and dimension."""
    return {
        (a.turn, *by): stars
        for a in conversation
        for by, stars in a.ratings.items()
        if 1 <= stars <= MAX_STARS
    }


def _largest_gap(rated: Sequence[Mapping[Hashable, int]]) -> float | None:
    """Between the means of two, over what the same people gave to both in the same dimension."""
    gaps = [
        abs(fmean(a[key] - b[key] for key in common))
        for a, b in combinations(rated, 2)
        if (common := a.keys() & b.keys())
    ]
    return max(gaps, default=None)


def _passed(
    conversation: Sequence[Answer], results_of: Callable[[Answer], Sequence[CheckResult]]
) -> float | None:
    found = [result.passed for a in conversation for result in results_of(a)]
    return fmean(found) if found else None


def _seconds(conversation: Sequence[Answer]) -> float | None:
    """Of all turns; None where one was not measured, or contended, or has no text."""
    clean = [a.figures for a in conversation if a.figures and not a.figures.contended]
    times = [f.e2e_ms for f in clean] if all(a.has_text for a in conversation) else []
    known = [time for time in times if time is not None]
    return sum(known) if len(known) == len(conversation) else None


def _were_timed_alike(conversations: Sequence[Sequence[Answer]]) -> bool:
    """Whether all answers had as many threads, as far as these are known (a service tells none),
    and as many beside them in a batch."""
    told = [a.figures for answers in conversations for a in answers if a.figures]
    return len({f.threads for f in told} - {0}) < 2 and len({f.batch for f in told}) < 2


def _gap(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return max(known) - min(known) if len(known) > 1 else None


def _length_ratio(lengths: Sequence[int]) -> float | None:
    if 0 in lengths:
        return math.inf if any(lengths) else None
    return _ratio([float(length) for length in lengths])


def _ratio(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    if len(known) < 2 or min(known) <= 0 or not math.isfinite(max(known)):
        return None
    return max(known) / min(known)


def of_board(board: Board, question: str, results: Results) -> Disagreement:
    """The disagreement on a question of a board."""
    conversations = [board.counting_answers(m.index, question) for m in board.models]
    ids = {answer.id for conversation in conversations for answer in conversation}
    choices = [
        choice for (_, _, left, right), choice in board.ballots.items() if {left, right} <= ids
    ]
    choices += [j.choice for j in board.judged.values() if {j.left, j.right} <= ids]
    return measure(conversations, choices, lambda answer: results.get(answer.id, ()))


def chosen_questions(
    board: Board, wanted: str, most_different_first: bool, results: Results
) -> list[str]:
    """The ids of the questions of a filter, in the order of the board or the most different
    first."""
    found = {q.id: of_board(board, q.id, results) for q in board.questions}
    kept = [id_ for id_, one in found.items() if _is_wanted(board, id_, one, wanted)]
    if most_different_first:
        kept.sort(key=lambda id_: -found[id_].score)
    return kept


def _is_wanted(board: Board, question: str, found: Disagreement, wanted: str) -> bool:
    if wanted == "differing":
        return found.is_differing
    conversations = [board.counting_answers(m.index, question) for m in board.models]
    if wanted == "failed":
        return any(c[-1].state in ("failed", "cancelled") for c in conversations if c)
    if wanted == "unrated":
        voted = any(q == question for (_, q, _, _) in board.ballots)
        done = [c for c in conversations if c and c[-1].state == "answered"]
        return bool(done) and not voted and any(not c[-1].ratings for c in done)
    return True
