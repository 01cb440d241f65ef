"""Several answers of one model to one turn: asked again, or repeats of a run."""

from collections import Counter
from dataclasses import dataclass

from tui.board import Answer, Board


@dataclass(frozen=True, slots=True)
class Place:
    """Which of how many answers one is, from 1 in the order asked, how many of the complete ones
    say the same as most do (0: no two do), and whether it is the one that counts."""

    number: int
    count: int
    alike: int
    counts: bool


def repeats(board: Board, answer: Answer) -> list[Answer]:
    """All answers of its model to its turn, in the order asked."""
    ids = sorted(board.answer_ids.get((answer.model, answer.question), ()))
    return [one for one in (board.answers[id_] for id_ in ids) if one.turn == answer.turn]


def counting(board: Board, answer: Answer) -> Answer:
    """The one of `repeats` that counts now."""
    made = board.counting_answers(answer.model, answer.question)
    return next(one for one in made if one.turn == answer.turn)


def place_of(board: Board, answer: Answer) -> Place | None:
    """Where an answer stands among `repeats`; None: it is the only one. Texts are alike whatever
    their blanks."""
    if len(board.answer_ids.get((answer.model, answer.question), ())) < 2:
        return None
    found = repeats(board, answer)
    if len(found) < 2:
        return None
    texts = Counter(" ".join(one.text.split()) for one in found if one.state == "answered")
    most = max(texts.values(), default=0)
    number = [one.id for one in found].index(answer.id) + 1
    counts = counting(board, answer).id == answer.id
    return Place(number, len(found), most if most > 1 else 0, counts)
