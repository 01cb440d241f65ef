"""Replay: gives a session's events when they are due, in their original timing.

A pure object with an injected clock. The position is always computed from one anchor
(a moment of the clock and a place in the session), so that it does not drift.
"""

import math
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence

from tui import events as ev
from tui.events import Event

SHORT_WAIT_S = 1.0
"""To which waits are shortened where a person watches, unless they say otherwise."""
SPEEDS = (1.0, 2.0, 4.0, 8.0, math.inf)
BACK_GRACE_US = 1_000_000
"""Stepping back within this time after a question's start goes to the one before it."""


class Player:
    """Plays events; the screen calls `drain` as often as it draws.

    ``max_gap`` (seconds) shortens longer pauses to that length; ``loop`` starts over at
    the end. Positions and durations are microseconds of the session's own time.
    """

    def __init__(
        self,
        events: Sequence[Event],
        clock: Callable[[], float] = time.monotonic,
        *,
        speed: float = 1.0,
        max_gap: float | None = None,
        loop: bool = False,
    ) -> None:
        self._clock = clock
        self._waited_us = 0.0
        """Of the time that is played, since the last event that a person waits for."""
        self._max_gap_us = math.inf if max_gap is None else max(0.0, max_gap * 1e6)
        self._loop = loop
        self._events: list[Event] = []
        self._times_us: list[int] = []
        """Times of the session, never falling."""
        self._play_times_us: list[float] = []
        """The same with long pauses shortened: the time that is played."""
        self._question_marks: list[tuple[int, str]] = []
        self._asked: dict[int, str] = {}
        self._running: set[int] = set()
        self._marked: set[tuple[str, int]] = set()
        self._epoch = 0
        self._delivered = 0
        self._reset = False
        self._playing = True
        self._speed = speed
        self._anchor = (clock(), 0.0)
        self._stop_index: int | None = None
        self.extend(sorted(events, key=lambda event: event.t_us))

    @property
    def duration_us(self) -> int:
        """The time of the last event."""
        return self._times_us[-1] if self._times_us else 0

    @property
    def position_us(self) -> int:
        """Where the replay is."""
        played = self._played()
        i = bisect_right(self._play_times_us, played) - 1
        if i < 0:
            return 0
        at = self._times_us[i] + played - self._play_times_us[i]
        return int(at if i + 1 == len(self._times_us) else min(at, self._times_us[i + 1]))

    @property
    def shows_live(self) -> bool:
        """Whether it shows the newest events of a run that is being recorded."""
        return False

    @property
    def longest_wait_s(self) -> float:
        """To how many seconds longer waits are shortened; infinity where they are not."""
        return self._max_gap_us / 1e6

    def go_to_first_token(self) -> None:
        """Go to where the first text comes: what is before is loading and waiting."""
        for event, at in zip(self._events, self._times_us, strict=True):
            if isinstance(event.body, ev.Delta):
                self.seek(max(0, at - 1))
                return

    @property
    def speed(self) -> float:
        """1, 2, 4, 8, or infinity: all at once."""
        return self._speed

    @property
    def is_playing(self) -> bool:
        """Whether time passes (also at the end, where nothing is left to come)."""
        return self._playing

    @property
    def has_ended(self) -> bool:
        """Whether everything has been given."""
        return (
            self._delivered == len(self._events)
            and not self._reset
            and self._target() == (len(self._events))
        )

    @property
    def question(self) -> str | None:
        """The id of the question that was begun last at this position."""
        i = bisect_right(self._question_marks, (self.position_us, "\U0010ffff")) - 1
        return self._question_marks[i][1] if i >= 0 else None

    @property
    def next_due_s(self) -> float | None:
        """Seconds until there is something to drain (0: now); None: not without a key."""
        target = self._target()
        if self._reset or self._delivered < target:
            return 0.0
        if not self._playing or target == len(self._events):
            return None
        return max(0.0, (self._play_times_us[target] - self._played()) / 1e6 / self._speed)

    def due_within(self, seconds: float) -> int:
        """How many events become due in the next ``seconds`` at this speed."""
        target = self._target()
        if not self._playing or math.isinf(self._speed):
            return 0
        until = self._played() + seconds * 1e6 * self._speed
        return bisect_right(self._play_times_us, until) - target

    def drain(self) -> tuple[bool, list[Event]]:
        """(whether to begin anew, the events that became due since the last call)."""
        if self._loop and self._playing and self._speed < math.inf and self.has_ended:
            self.seek(0)
        target = self._target()
        reset, self._reset = self._reset, False
        if reset:
            self._delivered = 0
        due = self._events[self._delivered : target]
        self._delivered = max(self._delivered, target)
        return reset, due

    def play(self) -> None:
        """Let time pass; from the beginning if everything was played in time."""
        if self.has_ended and not self._loop and self._speed < math.inf:
            self.seek(0)
        self._set_anchor(self._played())
        self._playing = True

    def pause(self) -> None:
        """Stop time."""
        self._set_anchor(self._played())
        self._playing = False

    def toggle(self) -> None:
        """Pause or play; at the end, play again."""
        if self.has_ended:
            self.seek(0)
            self.play()
        elif self._playing:
            self.pause()
        else:
            self.play()

    def set_speed(self, speed: float) -> None:
        """Play at ``speed`` from here on.

        Raises:
            ValueError: it is not positive.
        """
        if not speed > 0:
            raise ValueError(f"a speed of {speed}")
        self._set_anchor(self._played())
        self._speed = speed

    def seek(self, t_us: int) -> None:
        """Go to a time; going back makes the next `drain` begin anew."""
        t_us = min(max(0, t_us), self.duration_us)
        i = bisect_right(self._times_us, t_us) - 1
        if i < 0:
            return
        played = self._play_times_us[i] + (t_us - self._times_us[i])
        if i + 1 < len(self._play_times_us):
            played = min(played, self._play_times_us[i + 1])
        if self._speed == math.inf:
            # At infinite speed the position would jump back to the end.
            self._speed = 1.0
        self._set_anchor(played)
        self._reset |= self._target() < self._delivered

    def step_question(self, step: int) -> str | None:
        """Go to where the next (+1) or previous (-1) question begins; its id, if there is one."""
        now = self.position_us
        if step > 0:
            i = bisect_right(self._question_marks, (now, "\U0010ffff"))
        else:
            i = (
                bisect_left(
                    self._question_marks, (now - BACK_GRACE_US if self._playing else now, "")
                )
                - 1
            )
        if not self._question_marks or i >= len(self._question_marks):
            return None
        at, question = self._question_marks[max(0, i)]
        self.seek(at)
        return question

    def step_token(self, step: int = 1) -> None:
        """Pause, and go on to the next token, or back to before the last one (``step`` -1)."""
        given = max(self._delivered, self._target()) if not self._reset else self._target()
        tokens = range(given, len(self._events)) if step > 0 else range(given - 1, -1, -1)
        self.pause()
        for i in tokens:
            if isinstance(self._events[i].body, ev.Delta):
                stop = i + 1 if step > 0 else i
                self._set_anchor(self._play_times_us[max(0, stop - 1)])
                self._stop_index = stop
                self._reset |= stop < self._delivered
                return
        if step < 0:
            self._stop_index = given

    def extend(self, events: Iterable[Event]) -> None:
        """Add events at the end, in the order they come."""
        for event in events:
            at = max(event.t_us, self._times_us[-1] if self._times_us else 0)
            gap: float = at - self._times_us[-1] if self._times_us else 0
            gap = min(gap, self._max_gap_us - self._waited_us)
            # Memory is told while everything waits.
            self._waited_us = self._waited_us + gap if isinstance(event.body, ev.Memory) else 0
            self._play_times_us.append(
                (self._play_times_us[-1] if self._play_times_us else 0) + gap
            )
            self._times_us.append(at)
            self._events.append(event)
            self._mark(at, event.body)

    def _mark(self, at: int, body: ev.Body) -> None:
        """A question begins where work on its first answer starts; where models take
        turns, it begins again with each model, and where a person came back to it or a run
        repeats it, once nothing else is at work."""
        match body:
            case ev.Asked(answer=answer, question=question):
                self._asked[answer] = question
            case ev.Unloaded():
                self._epoch += 1
            case ev.Answered() | ev.Failed() | ev.Cancelled():
                self._running.discard(body.answer)
            case ev.Started(answer=answer) if answer in self._asked:
                question = self._asked[answer]
                mark = question, self._epoch
                back = (
                    not self._running
                    and self._question_marks
                    and self._question_marks[-1][1] != question
                )
                self._running.add(answer)
                if back or mark not in self._marked:
                    self._marked.add(mark)
                    self._question_marks.append((at, question))

    def _played(self) -> float:
        moment, place = self._anchor
        if self._playing:
            passed = self._clock() - moment
            place = math.inf if self._speed == math.inf else place + passed * 1e6 * self._speed
        return min(place, self._play_times_us[-1]) if self._play_times_us else 0.0

    def _set_anchor(self, place: float) -> None:
        self._anchor = (self._clock(), place)
        self._stop_index = None

    def _target(self) -> int:
        if self._stop_index is not None and not self._playing:
            return self._stop_index
        return bisect_right(self._play_times_us, self._played())
