"""Transfer rate over the last 10 s, and the time left."""

import time
from collections import deque
from collections.abc import Callable

_WINDOW_S = 10.0
_MIN_SPAN_S = 0.5


class TransferRate:
    """The speed of the last seconds: a mean from the beginning would hide that a line has
    become slow, and what was there before a resumed download would count as speed."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: deque[tuple[float, int]] = deque()

    def update(self, done: int, total: int) -> tuple[float, float | None]:
        """``(bytes a second, seconds left)`` at ``done`` of ``total`` bytes; 0 and None as
        long as that cannot be told."""
        now = self._clock()
        seen = self._seen
        if seen and done < seen[-1][1]:
            seen.clear()
        seen.append((now, done))
        while len(seen) > 2 and now - seen[1][0] >= _WINDOW_S:
            seen.popleft()
        seconds, came = now - seen[0][0], done - seen[0][1]
        if seconds < _MIN_SPAN_S or came <= 0:
            return 0.0, None
        speed = came / seconds
        return speed, max(0, total - done) / speed
