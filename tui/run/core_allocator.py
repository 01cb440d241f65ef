"""The cores, divided among the models that compute at the time.

Two OpenMP jobs on the same cores slow each other down far more than twofold: the
threads of all workers together never exceed the cores.
"""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tui.engines.base import Engine


@dataclass(slots=True, eq=False)
class CoreAllocation:
    """One model's use of the cores. ``contended``: another one computed meanwhile."""

    engine: Engine
    is_background: bool = False
    threads: int = 0
    contended: bool = False


class CoreAllocator:
    """Hands out ``total`` cores; where more models want to compute, the rest waits."""

    def __init__(self, total: int) -> None:
        self.total = self._available = max(1, total)
        self._changed = threading.Condition()
        self._allocations: list[CoreAllocation] = []
        self._waiting: deque[CoreAllocation] = deque()
        self._is_open = True

    @contextmanager
    def allocate(self, engine: Engine, background: bool = False) -> Iterator[CoreAllocation]:
        """Cores for the block: all of them for one alone, else a share that follows who
        else computes; who is in the ``is_background`` lets others go first. An engine that
        computes elsewhere takes none."""
        use = CoreAllocation(engine, background)
        if not engine.uses_local_cores:
            yield use
            return
        with self._changed:
            self._waiting.append(use)
            self._changed.wait_for(lambda: not self._is_open or self._may_begin(use))
            self._waiting.remove(use)
            self._allocations.append(use)
            self._divide()
        try:
            yield use
        finally:
            with self._changed:
                self._allocations.remove(use)
                self._divide()

    def set_available(self, cores: int) -> None:
        """Other programs leave so many of the cores: the models that compute divide these."""
        with self._changed:
            if (cores := min(max(1, cores), self.total)) != self._available:
                self._available = cores
                self._divide()

    def close(self) -> None:
        """Stop allocating and wake all waiters: the run ends."""
        with self._changed:
            self._is_open = False
            self._changed.notify_all()

    def _may_begin(self, use: CoreAllocation) -> bool:
        engines = self._computing_engines()
        other = self._next_waiting()
        if use.engine in engines:
            # Background answers wait while another model has an interactive one.
            return not use.is_background or other is None or other.is_background
        return other is use and len(engines) < self.total

    def _next_waiting(self) -> CoreAllocation | None:
        """The longest waiting use of an engine that does not compute yet; interactive ones
        first."""
        engines = self._computing_engines()
        others = [use for use in self._waiting if use.engine not in engines]
        return next((use for use in others if not use.is_background), next(iter(others), None))

    def _computing_engines(self) -> list[Engine]:
        """The engines that compute: one that makes several answers at once counts once."""
        found: list[Engine] = []
        for use in self._allocations:
            if use.engine not in found:
                found.append(use.engine)
        return found

    def _divide(self) -> None:
        engines = self._computing_engines()
        if self._is_open and engines:
            share, rest = divmod(self._available, len(engines))
            shares = [max(1, share + (i < rest)) for i in range(len(engines))]
            had = {id(use.engine): use.threads for use in self._allocations if use.threads}
            for use in self._allocations:
                use.contended = use.contended or len(engines) > 1
                use.threads = shares[engines.index(use.engine)]
            changes = [(n - had.get(id(e), 0), n, e) for n, e in zip(shares, engines, strict=True)]
            # Shrink first, so that the total never exceeds the cores.
            for change, threads, engine in sorted(changes, key=lambda row: row[0]):
                if change:
                    engine.set_threads(threads)
        self._changed.notify_all()
