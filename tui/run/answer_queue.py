"""What a model still has to answer, in which order."""

import heapq
from collections.abc import Container
from dataclasses import dataclass, field

INTERACTIVE, ON_VIEW, BACKGROUND = 0, 1, 2
"""Priorities: a person waits for it; it belongs to the question on view; nobody looks at it."""


@dataclass(slots=True)
class AnswerTask:
    """One answer to be made for the column ``model``. ``is_scripted``: a turn of a question set,
    which makes sense only after the turns before it. ``is_background``: nobody waits for it; known
    once it is taken from the queue."""

    answer: int
    question: str
    turn: int
    text: str
    model: int = 0
    repeat: int = 0
    is_scripted: bool = True
    is_cancelled: bool = False
    is_background: bool = False

    @property
    def conversation(self) -> tuple[int, str, int]:
        """What its turns have in common: each is asked once the one before is answered."""
        return self.model, self.question, self.repeat

    def is_among(self, answers: Container[int] | None, model: int | None = None) -> bool:
        """Whether it is one of these answers (None: any) of a column (None: of any)."""
        return (answers is None or self.answer in answers) and model in (None, self.model)


@dataclass(slots=True)
class AnswerQueue:
    """First come, first served; what a person waits for goes before the background.

    Not locked: its owner does that.
    """

    _heap: list[tuple[int, int, AnswerTask]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self._heap)

    def push(self, task: AnswerTask, priority: int) -> None:
        """Put a task in; answer ids grow, so they keep the order."""
        heapq.heappush(self._heap, (priority, task.answer, task))

    def pop(
        self,
        busy: Container[tuple[int, str, int]] = (),
        allowed: Container[int] = (INTERACTIVE, ON_VIEW, BACKGROUND),
    ) -> AnswerTask | None:
        """The next one of the ``allowed`` priorities whose conversation is not ``busy``; None
        where there is none."""
        passed: list[tuple[int, int, AnswerTask]] = []
        found: AnswerTask | None = None
        while self._heap and found is None:
            row = heapq.heappop(self._heap)
            if row[2].conversation in busy or row[0] not in allowed:
                passed.append(row)
            else:
                found = row[2]
                found.is_background = row[0] != INTERACTIVE
        for row in passed:
            heapq.heappush(self._heap, row)
        return found

    def most_urgent(self, below: int = INTERACTIVE) -> int | None:
        """The best priority in it, of those after ``below``; None where there is none."""
        return min((row[0] for row in self._heap if row[0] > below), default=None)

    @property
    def has_interactive(self) -> bool:
        """Whether a person waits for something in it."""
        return bool(self._heap) and self._heap[0][0] == INTERACTIVE

    def promote(self, question: str, model: int) -> list[int]:
        """Move what is queued of a column's question to the front; the answer ids."""
        found = {
            row[1] for row in self._heap if (row[2].model, row[2].question) == (model, question)
        }
        self._heap = [(INTERACTIVE if row[1] in found else row[0], *row[1:]) for row in self._heap]
        heapq.heapify(self._heap)
        return sorted(found)

    def view(self, question: str) -> None:
        """This is the question on view: what is queued of it goes before the background."""
        self._heap = [
            (row[0] and (ON_VIEW if row[2].question == question else BACKGROUND), *row[1:])
            for row in self._heap
        ]
        heapq.heapify(self._heap)

    def take(
        self, answers: Container[int] | None = None, model: int | None = None
    ) -> list[AnswerTask]:
        """Take these answers out, or everything, in order; only of one column with ``model``."""
        rows = sorted(self._heap, key=lambda row: row[:2])
        is_meant = [row[2].is_among(answers, model) for row in rows]
        self._heap = [row for row, meant in zip(rows, is_meant, strict=True) if not meant]
        return [row[2] for row, meant in zip(rows, is_meant, strict=True) if meant]
