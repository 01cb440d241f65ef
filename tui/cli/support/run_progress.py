"""How far a run is, from its events: what is asked, what has ended, and when the rest will."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from tui.events import Answered, Asked, Cancelled, Event, Failed, Started
from tui.text.units import format_duration

_WINDOW_US = 120_000_000
"""The pace is that of the last two minutes."""
_LEAST_ENDED = 5
"""Ends that a pace is told from."""

Place = tuple[int, str, int, int]
"""Model, question, turn, repeat: what one answer is wanted to."""


@dataclass(slots=True)
class RunProgress:
    """Counts of answers; one that is asked again counts once."""

    _place_of: dict[int, Place] = field(default_factory=dict)
    """Of each answer that is open."""
    _open: dict[Place, int] = field(default_factory=dict)
    _seen: set[Place] = field(default_factory=set)
    _ends: deque[tuple[int, int]] = field(default_factory=deque)
    """Session time of the beginning or the latest ends, and how many had ended by then."""
    _ended: int = 0

    def feed(self, events: Iterable[Event]) -> None:
        """Take what happened."""
        for event in events:
            body = event.body
            if isinstance(body, Asked):
                place = (event.model, body.question, body.turn, body.repeat)
                self._place_of[body.answer] = place
                self._seen.add(place)
                self._open[place] = body.answer
            elif isinstance(body, Answered | Failed | Cancelled):
                place_ = self._place_of.pop(body.answer, None)
                if place_ is None:
                    continue
                if self._open.get(place_) == body.answer:
                    del self._open[place_]
                self._ended += 1
                self._ends.append((event.t_us, self._ended))
                # What ended last before the window stays: a batch may take longer than it.
                while len(self._ends) > 1 and event.t_us - self._ends[1][0] > _WINDOW_US:
                    self._ends.popleft()
            elif isinstance(body, Started) and not self._ends:
                self._ends.append((event.t_us, 0))

    @property
    def total(self) -> int:
        """Answers that are wanted."""
        return len(self._seen)

    @property
    def done(self) -> int:
        """Those of which nothing more is to come."""
        return len(self._seen) - len(self._open)

    @property
    def seconds_left(self) -> float | None:
        """Until the last one ends, at the pace of late; None while no pace is known."""
        if len(self._ends) <= _LEAST_ENDED or not self._open:
            return None
        (first_us, first), (last_us, last) = self._ends[0], self._ends[-1]
        return len(self._open) * (last_us - first_us) / 1e6 / max(1, last - first)

    def __str__(self) -> str:
        """``40/200``, and the time that the rest takes."""
        left = self.seconds_left
        return f"{self.done}/{self.total}" + (
            f" {format_duration(left)} left" if left and left >= 1 else ""
        )
