"""How many requests each address of a service gets at once, and which address is next."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from statistics import median

LONGEST_REST_S = 60.0
"""A lost address is asked again after 1, 2, 4 ... seconds, and at the latest after this."""
_SLOW = 3.0
"""So many times its shortest wait for the first token, and an address has too many requests."""
_SLOW_S = 0.1
"""What a wait may be longer in any case."""


@dataclass(slots=True)
class Place:
    """One address: how many requests it may have (``limit``, from ``least`` to ``most`` as long as
    it does not refuse any) and has (``held``). Nothing is asked there before ``rests_until``; after
    ``failures`` in a row to reach it one request at a time is."""

    url: str
    limit: int
    least: int
    most: int
    held: int = 0
    rests_until: float = 0.0
    failures: int = 0
    shortest_wait_s: float | None = None
    waits_s: list[float] = field(default_factory=list)
    """Of the answers since the limit changed."""

    @property
    def room(self) -> int:
        """How many requests more it may have now."""
        return (1 if self.failures else self.limit) - self.held

    @property
    def load(self) -> float:
        """The share of its limit that it has."""
        return self.held / self.limit


class Limiter:
    """First come, first served at the least busy of several addresses; shared by engines, each with
    an event loop of its own.

    An address that has too many requests (HTTP 429 or 503) gets half as many, and none for a while;
    one that answers each of as many as it may have gets one more, up to ``most``, unless its first
    tokens come much later than they did (additive increase, multiplicative decrease).
    """

    def __init__(
        self, concurrency: int, most: int | None = None, urls: Sequence[str] = ("",)
    ) -> None:
        most = concurrency if most is None else most
        least = min(concurrency, most)
        self.places = tuple(Place(url, least, least, most) for url in urls)
        self._waiting: deque[tuple[asyncio.AbstractEventLoop, asyncio.Future[Place]]] = deque()
        self._wakes: dict[asyncio.AbstractEventLoop, float] = {}
        """When a loop looks again for a place that rests."""
        self._lock = threading.Lock()

    @property
    def limit(self) -> int:
        """Requests that all addresses together get at once, now."""
        return sum(place.limit for place in self.places)

    @property
    def most(self) -> int:
        """Requests that they get at once at most."""
        return sum(place.most for place in self.places)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Place]:
        """Wait for a place, and give it back."""
        place = await self.take()
        try:
            yield place
        finally:
            self.give_back(place)

    async def take(self, first: bool = False) -> Place:
        """Wait for a place, with ``first`` before all that wait."""
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[Place] = loop.create_future()
        with self._lock:
            (self._waiting.appendleft if first else self._waiting.append)((loop, turn))
        self._admit_waiting()
        try:
            return await turn
        except asyncio.CancelledError:
            with self._lock, suppress(ValueError):
                self._waiting.remove((loop, turn))
            if turn.done() and not turn.cancelled():
                self.give_back(turn.result())
            raise

    def give_back(self, place: Place) -> None:
        """The request has ended, however."""
        with self._lock:
            place.held -= 1
        self._admit_waiting()

    def slow_down(self, place: Place, seconds: float) -> None:
        """The address asked for fewer requests, and none for so long."""
        with self._lock:
            place.limit = max(1, place.limit // 2)
            place.waits_s.clear()
            place.rests_until = max(place.rests_until, time.monotonic() + seconds)

    def succeeded(self, place: Place, wait_s: float = 0.0) -> None:
        """A request was answered; its first token came after ``wait_s``."""
        with self._lock:
            place.failures = 0
            place.waits_s.append(wait_s)
            if len(place.waits_s) >= place.limit:
                self._change_limit(place)
        self._admit_waiting()

    def leave(self, place: Place) -> None:
        """The address cannot be reached: others are asked for a while, where there are any."""
        if len(self.places) > 1:
            with self._lock:
                rest = min(LONGEST_REST_S, 2.0 ** min(place.failures, 10))
                place.failures += 1
                place.rests_until = max(place.rests_until, time.monotonic() + rest)

    def has_other(self, place: Place) -> bool:
        """Whether another address can be asked now."""
        now = time.monotonic()
        return any(one is not place and one.rests_until <= now for one in self.places)

    def _change_limit(self, place: Place) -> None:
        wait = median(place.waits_s)
        place.waits_s.clear()
        shortest = wait if place.shortest_wait_s is None else min(wait, place.shortest_wait_s)
        place.shortest_wait_s = shortest
        if wait > _SLOW * shortest + _SLOW_S:
            place.limit = max(min(place.least, place.limit), place.limit * 3 // 4)
        elif place.limit < place.most:
            place.limit += 1

    def _admit_waiting(self) -> None:
        """Give free places to those who wait longest; come back when a rest is over."""
        with self._lock:
            now = time.monotonic()
            while self._waiting:
                free = [p for p in self.places if p.room > 0 and p.rests_until <= now]
                if not free:
                    self._wake_later(now)
                    return
                place = min(free, key=lambda one: one.load)
                loop, turn = self._waiting.popleft()
                place.held += 1
                loop.call_soon_threadsafe(self._admit, turn, place)

    def _wake_later(self, now: float) -> None:
        resting = [p.rests_until for p in self.places if p.room > 0 and p.rests_until > now]
        if not resting:
            return  # whoever gives a place back looks again
        at = min(resting)
        # Each loop that has waiters looks again: any one of them may be closed by then.
        for loop in {loop for loop, _ in self._waiting}:
            if not now < self._wakes.get(loop, 0.0) <= at:
                self._wakes[loop] = at
                loop.call_soon_threadsafe(loop.call_later, at - now, self._admit_waiting)

    def _admit(self, turn: "asyncio.Future[Place]", place: Place) -> None:
        if turn.done():  # whoever waited has left
            self.give_back(place)
        else:
            turn.set_result(place)
