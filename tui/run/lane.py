"""One model's thread: it loads, answers what is queued, and gives its memory back.

Whatever goes wrong with one model ends here, as an event, and touches no other.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from tui import events as ev
from tui.engines.base import Engine, EngineError, Message, Request, Sampling
from tui.run.cores import Cores, Use
from tui.run.record import Record
from tui.run.residents import Residents
from tui.run.tasks import Queue, Task

_log = logging.getLogger(__name__)

MAX_CRASHES = 2
"""So many lost workers in a row, without an answer in between, and the rest is given up."""
LOST = ("crashed", "hung", "not_loaded", "out_of_memory")
"""Causes of a failed answer after which the model has to be loaded anew."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What the lanes of a run have in common. ``changed`` guards queues and residents and
    is notified whenever a lane may have something new to do."""

    record: Record
    cores: Cores
    residents: Residents
    labels: tuple[str, ...]
    compose: Callable[[int, Task], tuple[Message, ...] | ev.Failed]
    sampling: Sampling
    max_new_tokens: int
    asked_sampling: dict[str, float]
    changed: threading.Condition = field(default_factory=threading.Condition)
    closing: threading.Event = field(default_factory=threading.Event)


class Lane:
    """A model of the run and all that is asked of it."""

    def __init__(self, index: int, engine: Engine, shared: Shared) -> None:
        self.index = index
        self.engine = engine
        self.queue = Queue()
        self.shared = shared
        self._running: Task | None = None
        self._busy = False
        self._loaded = False
        self._load_wanted = True
        self._reload_wanted = False
        self._waiting_for: tuple[int, ...] | None = None
        self._crashes = 0
        self._thread = threading.Thread(target=self._run, name=f"model-{index}", daemon=True)

    def start(self) -> None:
        """Begin to load."""
        self._thread.start()

    @property
    def idle(self) -> bool:
        """Nothing queued, nothing going on. To be asked under ``changed``."""
        return not (self.queue or self._busy or self._load_wanted or self._reload_wanted)

    def cancel(self) -> None:
        """Stop the answer that runs and those queued."""
        with self.shared.changed:
            for task in self.queue.clear():
                self.shared.record.emit(self.index, ev.Cancelled(task.answer))
            running = self._running
            if running:
                running.cancelled = True
            self.shared.changed.notify_all()
        if running:
            self.engine.cancel([running.answer])

    def reload(self) -> None:
        """Stop what runs and load anew, as after a failure; what is queued stays."""
        with self.shared.changed:
            self._reload_wanted = True
            self._crashes = 0
            running = self._running
            if running:
                running.cancelled = True
            self.shared.changed.notify_all()
        if running:
            self.engine.cancel([running.answer])

    def join(self, timeout: float) -> bool:
        """Wait for the thread's end; whether it came."""
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    # What follows runs in the lane's own thread.

    def _run(self) -> None:
        while step := self._next():
            try:
                step()
            except Exception as error:
                _log.exception("model %d", self.index)
                self._give_up("internal", f"{type(error).__name__} in the program", "see the log")
            with self.shared.changed:
                self._busy = False
                self._running = None
                self.shared.changed.notify_all()

    def _next(self) -> Callable[[], None] | None:
        shared = self.shared
        with shared.changed:
            while not shared.closing.is_set():
                if self.queue or self._load_wanted or self._reload_wanted:
                    if shared.residents.enter(self.index):
                        self._busy, self._waiting_for = True, None
                        return self._choose()
                    if not self.queue and not self._reload_wanted:
                        # Loading ahead is for who finds room: nobody is put out for it.
                        self._load_wanted = False
                        shared.residents.withdraw(self.index)
                        shared.changed.notify_all()
                        continue
                    self._say_waiting()
                elif shared.residents.withdraw(self.index):
                    self._waiting_for = None
                    shared.record.emit(self.index, ev.Unloaded("nothing to answer"))
                    shared.changed.notify_all()
                elif shared.residents.must_leave(self.index):
                    self._busy = True
                    return self._leave
                shared.changed.wait()
        return None

    def _choose(self) -> Callable[[], None]:
        if self._reload_wanted:
            self._reload_wanted = self._load_wanted = False
            return self._load_anew
        if self._load_wanted or not self._loaded:
            self._load_wanted = False
            return self._load
        task = self._running = self.queue.pop()
        return lambda: self._answer(task)

    def _say_waiting(self) -> None:
        blockers = tuple(self.shared.residents.blockers(self.index))
        if self._waiting_for is None:
            names = ", ".join(self.shared.labels[i] for i in blockers) or "another model"
            self._emit(ev.Load(f"waiting for memory: after {names}"))
            # Who is in memory and idle has to hear that somebody waits.
            self.shared.changed.notify_all()
        self._waiting_for = blockers

    def _leave(self) -> None:
        self.engine.close()
        self._loaded = False
        with self.shared.changed:
            heir = self.shared.residents.next
            self.shared.residents.leave(self.index)
        name = "" if heir is None else f" for {self.shared.labels[heir]}"
        self._emit(ev.Unloaded(f"memory given back{name}"))

    def _load_anew(self) -> None:
        self._loaded = False
        self.engine.close()
        self._load()

    def _load(self) -> None:
        with self.shared.cores.use(self.engine):
            if self.shared.closing.is_set():
                return
            try:
                loaded = self.engine.load(
                    lambda t_ns, body: self.shared.record.emit(self.index, body, t_ns)
                )
            except EngineError as error:
                if self.shared.closing.is_set():
                    return
                self._give_up(error.cause, error.message, error.next_step)
                return
            self._emit(loaded)
            self._loaded = True

    def _answer(self, task: Task) -> None:
        composed = self.shared.compose(self.index, task)
        if isinstance(composed, ev.Failed):
            self._emit(composed)
            return
        with self.shared.cores.use(self.engine) as use:
            if task.cancelled or self.shared.closing.is_set():
                self._emit(ev.Cancelled(task.answer))
                return
            request = Request(
                task.answer, composed, self.shared.max_new_tokens, self.shared.sampling
            )
            last = self._stream(request, task, use)
        match last:
            case ev.Answered():
                self._crashes = 0
            case ev.Failed() if last.cause in LOST and not self.shared.closing.is_set():
                self._after_crash(last)

    def _stream(self, request: Request, task: Task, use: Use) -> ev.Body:
        told = False
        last: ev.Body | None = None
        for t_ns, body in self.engine.answer([request]):
            if isinstance(body, ev.Answered) and use.contended:
                body = replace(body, contended=True)
            self.shared.record.emit(self.index, body, t_ns)
            if isinstance(body, ev.Answered | ev.Failed | ev.Cancelled):
                last = body
            # A cancel that came before the engine knew the answer is told again.
            if task.cancelled and not told:
                told = True
                self.engine.cancel([task.answer])
        if last is None:
            last = ev.Failed("crashed", "the answer broke off", "ask again", task.answer)
            self._emit(last)
        return last

    def _after_crash(self, failed: ev.Failed) -> None:
        """The worker may be gone: the next question loads the model anew, a few times."""
        self._loaded = False
        self._crashes += 1
        if self._crashes >= MAX_CRASHES:
            self._give_up(failed.cause, failed.message, failed.next_step)

    def _give_up(self, cause: str, message: str, next_step: str) -> None:
        """The model failed: so does all that is queued; its memory goes to the next."""
        self._loaded = False
        self.engine.close()
        with self.shared.changed:
            self._crashes = 0
            running, self._running = self._running, None
            tasks = ([running] if running else []) + self.queue.clear()
            with self.shared.record.board() as board:
                still_open = {answer.id for answer in board.open_answers(self.index)}
            self._emit(ev.Failed(cause, message, next_step))
            for task in tasks:
                if task.answer in still_open:
                    self._emit(ev.Failed(cause, message, next_step, task.answer))
            self.shared.residents.leave(self.index)
            self.shared.changed.notify_all()

    def _emit(self, body: ev.Body) -> None:
        self.shared.record.emit(self.index, body, time.monotonic_ns())
