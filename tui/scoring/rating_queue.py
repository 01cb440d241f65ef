"""What there is to judge by hand, in which order, and under which names."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from tui.board import Answer, Board
from tui.scoring import blind


@dataclass(frozen=True, slots=True)
class Contender:
    """One model's conversation on a question. ``shown_name`` is the name to show, ``label`` the
    true one; stars go to the last answer, ``id``."""

    shown_name: str
    label: str
    answers: tuple[Answer, ...]

    @property
    def id(self) -> int:
        """The answer that stars and votes are given to."""
        return self.answers[-1].id


@dataclass(frozen=True, slots=True)
class RatingItem:
    """One question with what is to be judged, in the order in which it is shown."""

    number: int
    question: str
    category: str
    contenders: tuple[Contender, ...]

    @property
    def pairs(self) -> list[tuple[Contender, Contender]]:
        """Every two of them, for votes."""
        return list(combinations(self.contenders, 2))


@dataclass(frozen=True, slots=True)
class RatingQueue:
    """All questions; ``names`` are the words that identify a model (empty: not blind)."""

    items: tuple[RatingItem, ...]
    names: tuple[str, ...] = ()

    @property
    def is_blind(self) -> bool:
        """Whether names are hidden."""
        return bool(self.names)

    def redact(self, text: str) -> str:
        """Text as it may be shown now."""
        return blind.redact(text, self.names) if self.is_blind else text


def build_rating_queue(board: Board, seed: str | None = None) -> RatingQueue:
    """Every question with a complete last answer, blind where there is a ``seed``."""
    header = board.header
    models: Sequence[dict[str, object]] = header.models if header else ()
    items = []
    for number, question in enumerate(board.questions, 1):
        indices = list(range(len(board.models)))
        if seed is not None:
            indices = blind.shuffled_order(len(indices), question.id, seed)
        found: list[Contender] = []
        for index in indices:
            conversation = tuple(board.counting_answers(index, question.id))
            if conversation and conversation[-1].state == "answered":
                label = board.models[index].label
                shown = label if seed is None else blind.letter_of(len(found))
                found.append(Contender(shown, label, conversation))
        if found:
            items.append(RatingItem(number, question.id, question.category, tuple(found)))
    if seed is None:
        return RatingQueue(tuple(items))
    texts = [str(m.get(key, "")) for m in models for key in ("label", "name", "family")]
    return RatingQueue(tuple(items), blind.identifying_names(texts))
