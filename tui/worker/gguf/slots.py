"""Which of llama.cpp's slots computes an answer.

llama.cpp itself takes the one that was used the longest ago, so that one answer after another fills
all of them; and each token looks over the cells of all, up to the last that is in use.
"""

from collections.abc import Collection, Sequence

_ALIKE = 0.1
"""Share of a prompt that a slot must hold to be chosen for that; llama.cpp has the same."""


class Slots:
    """The slots of a server, by what they hold of prompts."""

    def __init__(self, count: int) -> None:
        self._held: list[Sequence[int]] = [()] * count
        self._columns = [0] * count
        self._used = [0] * count
        self._turn = 0

    def take(
        self, ids: Sequence[int], busy: Collection[int], is_kept: bool, column: int = 0
    ) -> tuple[int, bool]:
        """The slot for a prompt, of those that are not ``busy``, and whether what it holds may be
        used: not what was computed for another ``column``. -1: none, llama.cpp waits for one.

        Of a prompt that is not to be kept (``is_kept``) nothing is looked for, and nothing of it
        will be: it takes the first, and the others keep what they hold.
        """
        free = [number for number in range(len(self._held)) if number not in busy]
        if not free:
            return -1, False
        chosen = free[0]
        if is_kept:
            mine = [number for number in free if self._columns[number] == column]
            alike = dict.fromkeys(free, 0)
            alike |= {number: _shared(self._held[number], ids) for number in mine}
            chosen = max(free, key=lambda number: alike[number])
            if alike[chosen] <= _ALIKE * len(ids):
                chosen = min(free, key=lambda number: self._used[number])
        self._turn += 1
        may_use = is_kept and self._columns[chosen] == column
        self._held[chosen], self._used[chosen] = ids if is_kept else (), self._turn
        self._columns[chosen] = column
        return chosen, may_use


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """How many ids two prompts begin with in common."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(one), len(other)))
