"""Watch a session that another process is writing, as a replay.

It only reads: a viewer does not affect the run or its file.
"""

import math
import os
import time
from collections.abc import Callable
from pathlib import Path

from tui import events as ev
from tui.events import Event
from tui.sessions import lines, reader, storage
from tui.sessions.lines import LineError
from tui.sessions.player import Player

POLL_S = 0.1


class TailReader:
    """Gives each good line of a growing session file once.

    ``problem`` says why it cannot go on: a line that is incomplete or damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # Held open: a session that is copied elsewhere at its end leaves this place.
        self._file = os.fdopen(storage.open_regular(path), "rb")
        data = self._file.read(os.fstat(self._file.fileno()).st_size)
        scanned = reader.scan(data, path.name)
        self._unread = lines.with_real_figures(scanned.events)
        self._seq, self._offset = len(scanned.events), scanned.good_bytes
        self.problem = scanned.problem

    def read(self) -> list[Event]:
        """The events that have come since the last call."""
        found, self._unread = self._unread, []
        # From the last good line on, each time: a line cut short by a full disk is taken back
        # by the writer and written anew.
        try:
            self._file.seek(self._offset)
            data = self._file.read(lines.MAX_LINE)
        except OSError as error:
            self.problem = storage.error_text(error)
            return found
        self.problem = ""
        start = 0
        while end := data.find(b"\n", start) + 1:
            try:
                event = lines.decode_event(lines.decode_line(data[start:end]))
                if event.seq != self._seq:
                    raise LineError(f"numbered {event.seq} where {self._seq} is due")
                if self._seq == 0:
                    reader.check_header(event)
                elif isinstance(event.body, ev.Session):
                    raise LineError("a second header")
            except LineError as error:
                self.problem = str(error)
                break
            found += lines.with_real_figures([event])
            start = end
            self._seq += 1
        self._offset += start
        return found


class Follower(Player):
    """A `Player` whose session still grows. It shows all there is and stays at the end,
    until a person pauses or goes back; ``max`` speed returns to the end."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Open a session file.

        Raises:
            UserError: it cannot be read, or a newer version writes it.
        """
        super().__init__([], clock, speed=math.inf)
        self.is_live = True
        self._reader = TailReader(path)
        self._next_poll = -math.inf
        self._poll()

    @property
    def has_ended(self) -> bool:
        """Whether everything has been given and nobody is writing any more."""
        return not self.is_live and super().has_ended

    @property
    def shows_live(self) -> bool:
        """Whether a run goes on and nobody has paused or gone back."""
        return self.is_live and self.is_playing and math.isinf(self.speed)

    @property
    def next_due_s(self) -> float | None:
        """Seconds until it is worth draining again."""
        due = super().next_due_s
        return min(POLL_S, due) if due is not None else POLL_S if self.is_live else None

    def drain(self) -> tuple[bool, list[Event]]:
        """(whether to begin anew, the events that became due since the last call)."""
        if self.is_live and self._clock() >= self._next_poll:
            self._poll()
        return super().drain()

    def _poll(self) -> None:
        # Asked before reading, so that all that a writer wrote before it closed the file is read.
        self.is_live = storage.is_live(self._reader.path)
        self.extend(self._reader.read())
        self._next_poll = self._clock() + POLL_S
