"""Stars, votes and notes: events to append, and what they add up to."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean

from tui.board import Answer
from tui.events import Judged, Note, Rated, Voted
from tui.scoring.dimensions import MAX_STARS

VOTE_CHOICES = ("left", "right", "tie", "bad", "none")
"""Of a vote; ``none`` takes it back."""
MAX_NOTE = 2000
"""Characters of a person's note; the rest is cut off."""


def make_rating(answer: int, dimension: str, stars: int) -> Rated:
    """The event of 1 to 5 stars for an answer; 0 takes them back.

    Raises:
        ValueError: another number of stars.
    """
    if not 0 <= stars <= MAX_STARS:
        raise ValueError(f"{stars} stars")
    return Rated(answer, dimension, stars)


def make_vote(question: str, left: int, right: int, choice: str) -> Voted:
    """The event of a vote on two answers, smaller id left, so that voting again on the same
    pair replaces the vote even where the answers changed sides.

    Raises:
        ValueError: no such choice, or an answer against itself.
    """
    if choice not in VOTE_CHOICES or left == right:
        raise ValueError(f"vote {choice!r} on {left} and {right}")
    if left > right:
        left, right, choice = right, left, _mirrored(choice)
    return Voted(question, left, right, choice)


def recorded_vote(
    votes: Mapping[tuple[str, int, int], str], question: str, left: int, right: int
) -> str:
    """The choice of a board's ``votes`` on two answers as they stand now, whichever of them
    has the smaller id; ``none`` without a vote."""
    if left <= right:
        return votes.get((question, left, right), "none")
    return _mirrored(votes.get((question, right, left), "none"))


def _mirrored(choice: str) -> str:
    return {"left": "right", "right": "left"}.get(choice, choice)


def make_note(answer: int, text: str) -> Note:
    """The event of a person's note on an answer."""
    return Note(text[:MAX_NOTE], answer, "person")


@dataclass(frozen=True, slots=True)
class MeanStars:
    """The mean of ``n`` ratings, None without any."""

    n: int
    mean: float | None


def average_stars(answers: Iterable[Answer], dimension: str | None = None) -> MeanStars:
    """The mean stars of answers in a dimension, or in all."""
    found = [
        stars
        for answer in answers
        for d, stars in answer.stars.items()
        if dimension in (None, d) and 1 <= stars <= MAX_STARS
    ]
    return MeanStars(len(found), fmean(found) if found else None)


def newest_verdicts(judged: Iterable[Judged]) -> list[Judged]:
    """The last verdict of each judge on each pair."""
    found: dict[tuple[str, str, int, int], Judged] = {}
    for event in judged:
        low, high = sorted((event.left, event.right))
        found[event.judge, event.question, low, high] = event
    return list(found.values())


def mean_stars_by_question(answers: Mapping[str, Iterable[Answer]]) -> dict[str, float]:
    """The mean stars of each question that has any; for comparing two models question by
    question."""
    means = {question: average_stars(found).mean for question, found in answers.items()}
    return {question: mean for question, mean in means.items() if mean is not None}
