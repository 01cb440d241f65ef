"""Which judgements of a session count: its file may hold anything."""

from collections.abc import Sequence
from dataclasses import replace

from tui.board.state import Board
from tui.events import Judged, Rated, Voted

MAX_STARS = 5
LEFT, RIGHT, TIE, NONE = "left", "right", "tie", "none"
VERDICTS = (LEFT, RIGHT, TIE, NONE)
"""Of a judge; ``none`` is one that cannot be read."""
DECIDING = (LEFT, RIGHT, TIE, "bad")
"""Choices of a vote or of a judge that say something of the two answers."""
VOTE_CHOICES = (*DECIDING, NONE)
"""Of a vote; ``none`` takes it back."""


def is_rating(rated: Rated) -> bool:
    """Whether it is a number of stars; 0 takes them back."""
    return 0 <= rated.stars <= MAX_STARS


def is_vote(board: Board, voted: Voted) -> bool:
    """Whether it is a choice between two answers to the question it names."""
    is_known = voted.choice in VOTE_CHOICES
    return is_known and _is_pair(board, voted.question, voted.left, voted.right)


def counted(board: Board, judged: Judged) -> Judged | None:
    """A judge's verdict with what its two orders agree on; None where it does not speak of two
    answers to the question it names."""
    if not _is_pair(board, judged.question, judged.left, judged.right):
        return None
    return replace(judged, choice=agreed(read_verdicts(judged.verdicts)))


def read_verdicts(said: object) -> list[str]:
    """The verdicts of a recorded event, ``none`` for what is no word that we know."""
    listed = said if isinstance(said, list) else []
    return [one if isinstance(one, str) and one in VERDICTS else NONE for one in listed]


def agreed(verdicts: Sequence[str]) -> str:
    """What both orders agree on: ``tie`` where they do not, ``none`` without two of them."""
    if len(verdicts) != 2 or NONE in verdicts:
        return NONE
    return verdicts[0] if verdicts[0] == verdicts[1] else TIE


def _is_pair(board: Board, question: str, left: int, right: int) -> bool:
    both = [board.answers.get(id_) for id_ in (left, right)]
    return left != right and all(one is not None and one.question == question for one in both)
