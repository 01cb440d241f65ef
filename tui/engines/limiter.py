"""How many requests a service gets at once, and how it is spared when it says 429."""

import asyncio
import threading
import time
from collections import deque
from types import TracebackType


class Limiter:
    """A first come, first served limit that several engines, each with an event loop of its
    own, may share.

    A 429 halves the limit and pauses everyone; as many successes as the limit is high
    raise it by one (additive increase, multiplicative decrease).
    """

    def __init__(self, concurrency: int) -> None:
        self.max_limit = self.limit = concurrency
        self._held = self._successes = 0
        self._paused_until = 0.0
        self._waiting: deque[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = deque()
        self._lock = threading.Lock()

    async def __aenter__(self) -> None:
        """Wait for one's turn."""
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        with self._lock:
            self._waiting.append((loop, turn))
        self._admit_waiting()
        try:
            await turn
        except asyncio.CancelledError:
            with self._lock:
                given = (loop, turn) not in self._waiting
                if not given:
                    self._waiting.remove((loop, turn))
            if given:
                self._release()
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._release()

    def slow_down(self, seconds: float) -> None:
        """The service asked for fewer requests, and none for so long."""
        with self._lock:
            self.limit, self._successes = max(1, self.limit // 2), 0
            self._paused_until = max(self._paused_until, time.monotonic() + seconds)

    def succeeded(self) -> None:
        """A request was answered."""
        with self._lock:
            self._successes += 1
            if self.limit < self.max_limit and self._successes >= self.limit:
                self.limit, self._successes = self.limit + 1, 0
        self._admit_waiting()

    def _release(self) -> None:
        with self._lock:
            self._held -= 1
        self._admit_waiting()

    def _admit_waiting(self) -> None:
        """Give free places to those who wait longest; come back when a pause is over."""
        with self._lock:
            pause = self._paused_until - time.monotonic()
            if pause > 0:
                # Each loop that has waiters looks again: any one of them may be closed by then.
                for loop in {loop for loop, _ in self._waiting}:
                    loop.call_soon_threadsafe(loop.call_later, pause, self._admit_waiting)
                return
            while self._waiting and self._held < self.limit:
                loop, turn = self._waiting.popleft()
                self._held += 1
                loop.call_soon_threadsafe(_admit, turn)


def _admit(admission: asyncio.Future[None]) -> None:
    if not admission.done():
        admission.set_result(None)
