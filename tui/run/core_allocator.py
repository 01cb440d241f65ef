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
class Use:
    """One model's use of the cores. ``contended``: another one computed meanwhile."""

    engine: Engine
    background: bool = False
    threads: int = 0
    contended: bool = False


class Cores:
    """Hands out ``total`` cores; where more models want to compute, the rest waits."""

    def __init__(self, total: int) -> None:
        self.total = self._free = max(1, total)
        self._changed = threading.Condition()
        self._uses: list[Use] = []
        self._waiting: deque[Use] = deque()
        self._open = True

    @contextmanager
    def use(self, engine: Engine, background: bool = False) -> Iterator[Use]:
        """Cores for the block: all of them for one alone, else a share that follows who
        else computes; who is in the ``background`` lets others go first. An engine that
        computes elsewhere takes none."""
        use = Use(engine, background)
        if not engine.computes_here:
            yield use
            return
        with self._changed:
            self._waiting.append(use)
            self._changed.wait_for(lambda: not self._open or self._may_begin(use))
            self._waiting.remove(use)
            self._uses.append(use)
            self._divide()
        try:
            yield use
        finally:
            with self._changed:
                self._uses.remove(use)
                self._divide()

    def leave(self, free: int) -> None:
        """Other programs leave so many of the cores: the models that compute divide these."""
        with self._changed:
            if (free := min(max(1, free), self.total)) != self._free:
                self._free = free
                self._divide()

    def close(self) -> None:
        """Let everybody pass: the run ends."""
        with self._changed:
            self._open = False
            self._changed.notify_all()

    def _may_begin(self, use: Use) -> bool:
        engines = self._engines()
        other = self._first_other()
        if use.engine in engines:
            # A set that goes on for ever must not keep a person's question out.
            return not use.background or other is None or other.background
        return other is use and len(engines) < self.total

    def _first_other(self) -> Use | None:
        """Who waits longest of those whose engine does not compute yet, first those for whom
        a person waits."""
        engines = self._engines()
        others = [use for use in self._waiting if use.engine not in engines]
        return next((use for use in others if not use.background), next(iter(others), None))

    def _engines(self) -> list[Engine]:
        """The engines that compute: one that makes several answers at once counts once."""
        found: list[Engine] = []
        for use in self._uses:
            if use.engine not in found:
                found.append(use.engine)
        return found

    def _divide(self) -> None:
        engines = self._engines()
        if self._open and engines:
            share, rest = divmod(self._free, len(engines))
            shares = [max(1, share + (i < rest)) for i in range(len(engines))]
            had = {id(use.engine): use.threads for use in self._uses if use.threads}
            for use in self._uses:
                use.contended = use.contended or len(engines) > 1
                use.threads = shares[engines.index(use.engine)]
            changes = [(n - had.get(id(e), 0), n, e) for n, e in zip(shares, engines, strict=True)]
            # Who gets fewer is told first, so that the sum stays within the cores.
            for change, threads, engine in sorted(changes, key=lambda row: row[0]):
                if change:
                    engine.set_threads(threads)
        self._changed.notify_all()
