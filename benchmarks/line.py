"""A terminal at the far end of a line: so many bits a second, so long a way.

What the program writes is read no faster than the line carries it, so that the kernel's
buffer and the program's queue fill as they would behind SSH; the emulated terminal sees it
half a round trip later, answers cursor reports, and its keys take half a round trip too.
"""

import heapq
import math
import os
import select
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.support.terminal import Terminal

_REPORT = b"\x1b[6n"
_PACKET = 1400


class Line(Terminal):
    """A `Terminal` behind ``bits`` per second with ``round_trip`` seconds."""

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        bits: float = math.inf,
        round_trip: float = 0.0,
        cwd: Path | None = None,
    ) -> None:
        super().__init__(command, env, 120, 40, cwd)
        self._rate, self._delay = bits / 8, round_trip / 2
        self._credit, self._at = float(_PACKET), time.monotonic()
        self._coming: list[tuple[float, int, bytes]] = []
        self._going: list[tuple[float, int, bytes]] = []
        self._count = 0

    def read(self, seconds: float = 0.05) -> bytes:
        """What reaches the terminal within ``seconds``."""
        before, until = len(self.raw), time.monotonic() + seconds
        while (now := time.monotonic()) < until:
            self._carry(now)
            waits = [due for due, *_ in self._coming[:1] + self._going[:1]]
            wait = max(0.0, min([until, now + 0.005, *waits]) - now)
            ready = self._credit >= 1 and select.select([self.process.fd], [], [], wait)[0]
            if not ready:
                if self._credit < 1:
                    time.sleep(min(wait, 0.002))
                continue
            try:
                data = os.read(self.process.fd, int(min(self._credit, 65536)))
            except OSError:
                break
            if not data:
                break
            self._credit -= len(data)
            self._put(self._coming, data)
            self._carry(time.monotonic())
        return bytes(self.raw[before:])

    def press(self, key: str) -> None:
        """Press a key at the terminal."""
        self._put(self._going, key.encode())

    def until(self, seen: Callable[[], bool], seconds: float = 60) -> float:
        """Seconds from now until the terminal shows something.

        Raises:
            TimeoutError: it does not come.
        """
        begun = time.monotonic()
        while not seen():
            if time.monotonic() - begun > seconds:
                raise TimeoutError(self.text())
            self.read(0.002)
        return time.monotonic() - begun

    def _put(self, queue: list[tuple[float, int, bytes]], data: bytes) -> None:
        self._count += 1
        heapq.heappush(queue, (time.monotonic() + self._delay, self._count, data))

    def _carry(self, now: float) -> None:
        full = 65536.0 if math.isinf(self._rate) else float(_PACKET)
        earned = full if math.isinf(self._rate) else (now - self._at) * self._rate
        self._credit, self._at = min(full, self._credit + earned), now
        while self._coming and self._coming[0][0] <= now:
            data = heapq.heappop(self._coming)[2]
            self.raw += data
            self._stream.feed(data)
            for _ in range(data.count(_REPORT)):
                self._put(self._going, b"\x1b[1;1R")
        while self._going and self._going[0][0] <= now:
            os.write(self.process.fd, heapq.heappop(self._going)[2])
