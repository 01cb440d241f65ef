"""Which models are in memory together, and whose turn is next."""

from collections import deque
from collections.abc import Mapping, Sequence


class MemoryScheduler:
    """Room for models by their predicted bytes, each by its number. Not locked: its owner does
    that.

    A model that needs no bytes is always admitted and blocks nobody. ``budget`` None
    holds everything at once; ``max_resident`` bounds how many are held together.
    Who waits is let in first come, first served, so that a large model is never passed
    over by small ones for ever.
    """

    def __init__(
        self, needs: Mapping[int, int], budget: int | None, max_resident: int | None = None
    ) -> None:
        self._needs = dict(needs)
        self._budget = budget
        self._max_resident = max_resident
        self._resident: list[int] = []
        self._unloading: set[int] = set()
        self._waiting: deque[int] = deque()

    def add(self, model: int, need: int) -> None:
        """One more model, which needs so many bytes."""
        self._needs[model] = need

    def admit(self, model: int) -> bool:
        """Whether the model may be (or is) in memory now; if not, it waits in line."""
        if not self._needs[model] or model in self._resident:
            return True
        if model not in self._waiting:
            self._waiting.append(model)
        if self._waiting[0] != model or not self._fits(model, self._resident):
            return False
        self._waiting.popleft()
        self._resident.append(model)
        return True

    def is_admitted(self, model: int) -> bool:
        """Whether it may be (or is) in memory, without asking for that."""
        return not self._needs[model] or model in self._resident

    def stop_waiting(self, model: int) -> bool:
        """Stop waiting; whether it waited."""
        if model not in self._waiting:
            return False
        self._waiting.remove(model)
        return True

    def must_unload(self, model: int) -> bool:
        """Whether an idle model should give its memory back to the next in line. Having
        said so once, it counts as leaving."""
        if model not in self._resident or not self._waiting:
            return False
        staying = [m for m in self._resident if m not in self._unloading]
        if model in staying and self._fits(self._waiting[0], staying):
            return False
        self._unloading.add(model)
        return True

    def release(self, model: int) -> None:
        """Its memory is given back."""
        if model in self._resident:
            self._resident.remove(model)
        self._unloading.discard(model)

    def blockers(self, model: int) -> list[int]:
        """The models in memory while this one waits."""
        return [m for m in self._resident if m != model]

    @property
    def next_waiting(self) -> int | None:
        """Who waits longest."""
        return self._waiting[0] if self._waiting else None

    def _fits(self, model: int, inside: Sequence[int]) -> bool:
        if self._max_resident is not None and len(inside) >= self._max_resident:
            return False
        total = self._needs[model] + sum(self._needs[m] for m in inside)
        # A model admitted to the run may always load when no other is resident.
        return self._budget is None or not inside or total <= self._budget
