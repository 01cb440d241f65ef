"""Appends each event to the journal, folds it into the board and queues it for the screen, in
this order."""

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tui.board import Board, fold
from tui.events import (
    RUN,
    Answered,
    Body,
    Cancelled,
    Delta,
    Event,
    Failed,
    Session,
    Started,
)
from tui.host.secrets import environment_mask
from tui.sessions.journal import Journal, SaveState
from tui.sessions.masking import AnswerMask


class Recorder:
    """What happened so far. Any thread may emit; one reader drains.

    An event is in the journal before it can be drained, and events are drained in the
    order of their numbers. An answer ends once: what comes of it later, as from a worker that
    is still to hear of the end, is not taken. Nor is anything once the record is closed.
    """

    def __init__(
        self, journal: Journal, header: Session, earlier_events: list[Event] | None = None
    ) -> None:
        earlier_events = earlier_events or [Event(0, 0, RUN, header)]
        self.header = header
        self._journal = journal
        self._lock = threading.Lock()
        self._board = fold(earlier_events)
        self._undrained: deque[Event] = deque(earlier_events)
        # A session that goes on continues its clock where it stopped.
        self._origin_ns = time.monotonic_ns() - earlier_events[-1].t_us * 1000
        self._closed = False
        self._answer_mask = AnswerMask(environment_mask())

    @contextmanager
    def board(self) -> Iterator[Board]:
        """The board as of now, to be read only, and only within the block."""
        with self._lock:
            yield self._board

    @property
    def path(self) -> Path:
        """The session's file: it may move, from a local disk to where it was wanted."""
        return self._journal.path

    @property
    def save_state(self) -> SaveState:
        """Whether everything is on disk."""
        return self._journal.state

    def save_to(self, folder: Path) -> Path:
        """Go on in another folder, as `Journal.save_to`."""
        return self._journal.save_to(folder)

    def emit(self, model: int, body: Body, t_ns: int | None = None) -> None:
        """Record that ``body`` happened, at ``t_ns`` of the monotonic clock (now by default)."""
        t_us = ((time.monotonic_ns() if t_ns is None else t_ns) - self._origin_ns) // 1000
        with self._lock:
            if self._closed or self._is_over(body):
                return
            for part in self._answer_mask.feed(body):
                event = self._journal.append(max(0, t_us), model, part)
                fold((event,), self._board)
                self._undrained.append(event)

    def _is_over(self, body: Body) -> bool:
        if not isinstance(body, Started | Delta | Answered | Failed | Cancelled):
            return False
        answer = self._board.answers.get(body.answer)
        return answer is not None and not answer.is_open

    def drain(self) -> list[Event]:
        """The events since the last call."""
        with self._lock:
            events = list(self._undrained)
            self._undrained.clear()
        return events

    def close(self, status: str) -> None:
        """Write the end. Idempotent."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._journal.close(status)
                if (end := self._journal.end) is not None:
                    fold((end,), self._board)
                    self._undrained.append(end)
