"""Finds an end that only repeats itself: one token, one character, or one short cycle of them."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RepetitionRule:
    """When an end counts as repeating itself: a cycle of at most ``longest_cycle`` items fills the
    last ``shortest_run`` items, and comes at least ``repeats`` times."""

    longest_cycle: int
    shortest_run: int
    repeats: int = 5

    @property
    def reach(self) -> int:
        """Items at the end that are looked at, at most."""
        return max(self.shortest_run, self.repeats * self.longest_cycle)

    def begin(self, items: Sequence[object]) -> int | None:
        """Index of the first item of the repeating end; None if the end does not repeat.

        Slices of ``items`` are compared, so lists and strings both work.
        """
        for cycle in range(1, min(self.longest_cycle, len(items) - 1) + 1):
            if items[-1] != items[-1 - cycle]:
                continue
            run = max(self.shortest_run, self.repeats * cycle)
            if len(items) < run or items[-run:-cycle] != items[len(items) - run + cycle :]:
                continue
            first = len(items) - run
            while first > 0 and items[first - 1] == items[first - 1 + cycle]:
                first -= 1
            return first
        return None


TOKENS = RepetitionRule(longest_cycle=64, shortest_run=100)
"""For tokens: a table of zeros or a drawn line is shorter, a paragraph is longer."""
CHARACTERS = RepetitionRule(longest_cycle=200, shortest_run=300)
"""For text whose tokens are not known."""
