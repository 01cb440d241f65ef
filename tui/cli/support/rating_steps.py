"""What is asked in a sitting of `duibi rate`, step by step, and by which keys."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tui.app.style.key_names import key_name
from tui.board import Board
from tui.events import Note, Rated, Voted
from tui.scoring.dimensions import Dimension
from tui.scoring.rating_queue import Contender, RatingItem, RatingQueue
from tui.scoring.stars import make_note, make_rating, make_vote, recorded_vote

Judgement = Rated | Voted | Note

KEYS = {
    **{f"stars.{number}": str(number) for number in range(6)},
    "stars.next": "right,enter",
    "stars.previous": "left",
    "votes.left": "l,left",
    "votes.right": "r,right",
    "votes.tie": "t,equals_sign",
    "votes.bad": "b,x",
    "votes.none": "0",
    "votes.next": "enter",
    "votes.previous": "backspace",
    "judge.undo": "u",
    "judge.note": "c",
    "judge.leave": "escape",
    "pane.raw": "w",
    "question.next": "n",
    "question.previous": "p",
}
"""The keys of the same actions on the screen, by the ids of their bindings there."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that is asked: the stars of a contender in a dimension, or the vote on a pair."""

    item: RatingItem
    contenders: tuple[Contender, ...]
    dimension: Dimension | None = None

    @property
    def group(self) -> str:
        """Whose keys count: ``stars`` or ``votes``."""
        return "stars" if self.dimension else "votes"

    def judged(self, board: Board, rater: str) -> str:
        """How a rater judged it: a number of stars, or a choice; "" where nothing stands."""
        if self.dimension:
            stars = board.answers[self.contenders[0].id].stars_of(rater).get(self.dimension.id, 0)
            return str(stars) if stars else ""
        left, right = self.contenders
        choice = recorded_vote(board.votes_of(rater), self.item.question, left.id, right.id)
        return "" if choice == "none" else choice

    def judgement(self, choice: str, rater: str) -> Judgement:
        """The event of a choice; "" takes back what stands."""
        if self.dimension:
            return make_rating(self.contenders[0].id, self.dimension.id, int(choice or "0"), rater)
        left, right = self.contenders
        return make_vote(self.item.question, left.id, right.id, choice or "none", rater)


def make_steps(queue: RatingQueue, dimensions: Sequence[Dimension]) -> list[Step]:
    """Question by question the stars of each contender, then the vote on each pair."""
    return [
        step
        for item in queue.items
        for step in (
            *(Step(item, (one,), dimension) for one in item.contenders for dimension in dimensions),
            *(Step(item, pair) for pair in item.pairs),
        )
    ]


class KeyTable:
    """The actions of keys, with the keys that a person's settings give them."""

    def __init__(self, wanted: Mapping[str, str]) -> None:
        self._names = {
            id_: [key_name(key.strip() or key) for key in wanted.get(id_, keys).split(",")]
            for id_, keys in KEYS.items()
        }

    def action(self, pressed: str, group: str) -> str:
        """The id of what a key does while there are ``stars`` or ``votes`` to give; "" for
        nothing."""
        name = key_name({" ": "space"}.get(pressed, pressed))
        other = "votes." if group == "stars" else "stars."
        found = (i for i, names in self._names.items() if name in names and not i.startswith(other))
        return next(found, "")

    def __getitem__(self, id_: str) -> str:
        """The first key of an action, as a person reads it."""
        return self._names[id_][0]


def make_undone(board: Board, step: Step, body: Judgement, rater: str) -> Judgement:
    """What brings back how things stood before ``body``."""
    if isinstance(body, Note):
        return make_note(body.answer, board.answers[body.answer].person_note)
    return step.judgement(step.judged(board, rater), rater)
