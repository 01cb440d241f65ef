"""Stars, votes and notes of people: the events to append, and which of them count."""

from collections.abc import Mapping

from tui.board import Answer, Board
from tui.board.judgements import MAX_STARS, VOTE_CHOICES
from tui.events import Note, Rated, Voted
from tui.scoring.dimensions import (
    Dimension,
    configured_dimensions,
    resolve_dimensions,
)

MAX_NOTE = 2000
"""Characters of a person's note; the rest is cut off."""
Stars = tuple[tuple[Dimension, int], ...]
"""Dimensions and the stars in each."""


def make_rating(answer: int, dimension: str, stars: int, rater: str = "") -> Rated:
    """The event of 1 to 5 stars for an answer; 0 takes those of the rater back.

    Raises:
        ValueError: another number of stars.
    """
    if not 0 <= stars <= MAX_STARS:
        raise ValueError(f"{stars} stars")
    return Rated(answer, dimension, stars, rater)


def make_vote(question: str, left: int, right: int, choice: str, rater: str = "") -> Voted:
    """The event of a vote on two answers, smaller id left, so that voting again on the same
    pair replaces the vote even where the answers changed sides.

    Raises:
        ValueError: no such choice, or an answer against itself.
    """
    if choice not in VOTE_CHOICES or left == right:
        raise ValueError(f"vote {choice!r} on {left} and {right}")
    if left > right:
        left, right, choice = right, left, mirrored(choice)
    return Voted(question, left, right, choice, rater)


def recorded_vote(
    votes: Mapping[tuple[str, int, int], str], question: str, left: int, right: int
) -> str:
    """The choice of a board's ``votes`` on two answers as they stand now, whichever of them
    has the smaller id; ``none`` without a vote."""
    if left <= right:
        return votes.get((question, left, right), "none")
    return mirrored(votes.get((question, right, left), "none"))


def mirrored(choice: str) -> str:
    """A choice as it reads with both sides exchanged."""
    return {"left": "right", "right": "left"}.get(choice, choice)


def make_note(answer: int, text: str) -> Note:
    """The event of a person's note on an answer."""
    return Note(text[:MAX_NOTE], answer, "person")


def stars_of(board: Board, answer: Answer) -> Stars:
    """The stars of an answer, in the order of the dimensions."""
    configured = None if board.header is None else configured_dimensions(board.header)
    ordered = resolve_dimensions(configured, answer.stars)
    return tuple((one, n) for one in ordered if (n := answer.stars.get(one.id, 0)))
