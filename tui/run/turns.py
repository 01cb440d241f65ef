"""Whose turn it is to compute: one local model answers with all cores, then the next.

Two models on the same cores take as long as one after the other, and the times of neither can be
used. Only what a person asks goes ahead of its turn, side by side with whoever computes.
"""

from typing import Protocol

from tui.run.answer_queue import BACKGROUND

PRELOAD, MEASURE = BACKGROUND + 1, BACKGROUND + 2
"""Urgencies after those of questions (`tui.run.answer_queue`): loading a model that is asked
nothing, and the standard measure where it comes last."""


class TurnTaker(Protocol):
    """A model as the turns see it (`tui.run.lane.Lane`). To be asked under ``changed``."""

    @property
    def urgency(self) -> int | None:
        """Of the most urgent thing that it could do on our cores in its turn; None: nothing."""
        ...

    @property
    def computes(self) -> bool:
        """Whether it does something in its turn, on our cores."""
        ...

    @property
    def is_awaited(self) -> bool:
        """Whether a person waits for an answer of it, computed on our cores."""
        ...

    @property
    def is_admitted(self) -> bool:
        """Whether it may be in memory now."""
        ...


class ComputingTurns:
    """Turns of ``takers``, in their order. With ``together`` all may compute at any time, and
    only the standard measure is taken alone. Not locked: its owner does that."""

    def __init__(self, together: bool = False, measures_early: bool = False) -> None:
        """``measures_early``: a model is measured when it has answered all it was asked, before
        others go on."""
        self.takers: list[TurnTaker] = []
        self.measure_urgency = BACKGROUND if measures_early and not together else MEASURE
        self._together = together

    def may_begin(self, taker: TurnTaker) -> bool:
        """Whether it may begin with the most urgent thing that needs a turn."""
        urgency = taker.urgency
        if urgency is None:
            return False
        if self._together and urgency < MEASURE:
            return True
        if any(one.computes for one in self.takers if one is not taker):
            return False
        if any(one.is_awaited and one.is_admitted for one in self.takers):
            return False
        wishes = [(one.urgency, number) for number, one in enumerate(self.takers)]
        first = min((wish, number) for wish, number in wishes if wish is not None)
        return self.takers[first[1]] is taker

    def may_measure(self, taker: TurnTaker) -> bool:
        """Whether its standard measure may be taken now: no person waits, not even for the memory
        that it holds."""
        return not any(one.is_awaited for one in self.takers) and self.may_begin(taker)
