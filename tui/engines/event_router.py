"""What one worker tells, divided among those who asked: several may ask it at once."""

import logging
import queue
import threading
from collections.abc import Callable, Iterable, Iterator

from tui.engines.worker_process import WorkerExit
from tui.events import Answered, Cancelled, Failed, TimedBody, answer_of

_log = logging.getLogger(__name__)

WorkerOutput = TimedBody | WorkerExit


class Subscription:
    """One caller's share of the events, in order."""

    def __init__(self, answers: Iterable[int]) -> None:
        self.open_answers = set(answers)
        self.inbox: queue.SimpleQueue[WorkerOutput] = queue.SimpleQueue()

    def __iter__(self) -> Iterator[WorkerOutput]:
        while True:
            yield self.inbox.get()


class EventRouter:
    """``events`` are a worker's, without end until `WorkerExit`. They are taken by a thread that
    lives while any answer is open, whether or not its caller still reads."""

    def __init__(self, events: Callable[[], Iterator[WorkerOutput]]) -> None:
        self._events = events
        self._changed = threading.Condition()
        self._subscriptions: list[Subscription] = []
        self._exit: WorkerExit | None = None
        self._is_routing = False

    def subscribe(self, answers: Iterable[int]) -> Subscription:
        """Events of these answers go to the line from now on, and `WorkerExit` last."""
        line = Subscription(answers)
        with self._changed:
            if self._exit:
                line.inbox.put(self._exit)
                return line
            self._subscriptions.append(line)
            if not self._is_routing:
                self._is_routing = True
                threading.Thread(target=self._route, name="worker answers", daemon=True).start()
        return line

    def wait_until_idle(self) -> None:
        """Until every answer that was asked for has ended: then nobody takes events here."""
        with self._changed:
            self._changed.wait_for(lambda: not self._is_routing)

    def _route(self) -> None:
        for item in self._events_until_exit():
            with self._changed:
                self._deliver(item)
                if isinstance(item, WorkerExit):
                    self._exit = item
                if self._exit or not self._subscriptions:
                    self._is_routing = False
                    self._changed.notify_all()
                    return

    def _events_until_exit(self) -> Iterator[WorkerOutput]:
        """The events; an error of the program ends them as a lost worker does, so that
        nobody waits for ever."""
        try:
            yield from self._events()
        except Exception as error:
            _log.exception("the worker's events")
            said = f"{type(error).__name__} in the program"
            yield WorkerExit(Failed("internal", said, "see the log; load the model again"))

    def _deliver(self, item: WorkerOutput) -> None:
        if isinstance(item, WorkerExit):
            for line in self._subscriptions:
                line.inbox.put(item)
            self._subscriptions.clear()
            return
        body = item[1]
        answer = answer_of(body)
        for line in self._subscriptions:
            if answer in line.open_answers or answer < 0:
                line.inbox.put(item)
                if isinstance(body, Answered | Failed | Cancelled):
                    line.open_answers.discard(answer)
                    if not line.open_answers:
                        self._subscriptions.remove(line)
                return
