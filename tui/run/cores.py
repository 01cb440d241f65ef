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
    threads: int = 0
    contended: bool = False


class Cores:
    """Hands out ``total`` cores; where more models want to compute, the rest waits."""

    def __init__(self, total: int) -> None:
        self.total = max(1, total)
        self._changed = threading.Condition()
        self._uses: list[Use] = []
        self._waiting: deque[Use] = deque()
        self._open = True

    @contextmanager
    def use(self, engine: Engine) -> Iterator[Use]:
        """Cores for the block: all of them for one alone, else a share that follows who
        else computes. An engine that computes elsewhere takes none."""
        use = Use(engine)
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

    def close(self) -> None:
        """Let everybody pass: the run ends."""
        with self._changed:
            self._open = False
            self._changed.notify_all()

    def _may_begin(self, use: Use) -> bool:
        return self._waiting[0] is use and len(self._uses) < self.total

    def _divide(self) -> None:
        if self._open and self._uses:
            share, rest = divmod(self.total, len(self._uses))
            # Who gets fewer is told first, so that the sum stays within the cores.
            shares = [(max(1, share + (i < rest)), use) for i, use in enumerate(self._uses)]
            for threads, use in sorted(shares, key=lambda row: row[0] - row[1].threads):
                use.contended = use.contended or len(self._uses) > 1
                if threads != use.threads:
                    use.threads = threads
                    use.engine.set_threads(threads)
        self._changed.notify_all()
