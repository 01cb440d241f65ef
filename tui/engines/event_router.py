"""What one worker tells, divided among those who asked: several may ask it at once."""

import logging
import queue
import threading
from collections.abc import Callable, Iterable, Iterator

from tui.engines.base import Timed
from tui.engines.worker_process import Lost
from tui.events import Answered, Cancelled, Failed

_log = logging.getLogger(__name__)

Item = Timed | Lost


class Line:
    """One caller's share of the events, in order."""

    def __init__(self, answers: Iterable[int]) -> None:
        self.open = set(answers)
        self.inbox: queue.SimpleQueue[Item] = queue.SimpleQueue()

    def __iter__(self) -> Iterator[Item]:
        while True:
            yield self.inbox.get()


class Switchboard:
    """``events`` are a worker's, without end until `Lost`. They are taken by a thread that
    lives while any answer is open, whether or not its caller still reads."""

    def __init__(self, events: Callable[[], Iterator[Item]]) -> None:
        self._events = events
        self._changed = threading.Condition()
        self._lines: list[Line] = []
        self._lost: Lost | None = None
        self._taking = False

    def connect(self, answers: Iterable[int]) -> Line:
        """Events of these answers go to the line from now on, and `Lost` last."""
        line = Line(answers)
        with self._changed:
            if self._lost:
                line.inbox.put(self._lost)
                return line
            self._lines.append(line)
            if not self._taking:
                self._taking = True
                threading.Thread(target=self._take, name="worker answers", daemon=True).start()
        return line

    def wait(self) -> None:
        """Until every answer that was asked for has ended: then nobody takes events here."""
        with self._changed:
            self._changed.wait_for(lambda: not self._taking)

    def _take(self) -> None:
        for item in self._until_lost():
            with self._changed:
                self._deliver(item)
                if isinstance(item, Lost):
                    self._lost = item
                if self._lost or not self._lines:
                    self._taking = False
                    self._changed.notify_all()
                    return

    def _until_lost(self) -> Iterator[Item]:
        """The events; an error of the program ends them as a lost worker does, so that
        nobody waits for ever."""
        try:
            yield from self._events()
        except Exception as error:
            _log.exception("the worker's events")
            said = f"{type(error).__name__} in the program"
            yield Lost(Failed("internal", said, "see the log; load the model again"))

    def _deliver(self, item: Item) -> None:
        if isinstance(item, Lost):
            for line in self._lines:
                line.inbox.put(item)
            self._lines.clear()
            return
        body = item[1]
        answer = getattr(body, "answer", -1)
        for line in self._lines:
            if answer in line.open or answer < 0:
                line.inbox.put(item)
                if isinstance(body, Answered | Failed | Cancelled):
                    line.open.discard(answer)
                    if not line.open:
                        self._lines.remove(line)
                return
