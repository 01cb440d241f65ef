"""One model's threads: they load it, answer what is queued, and give its memory back.

Whatever goes wrong with one model ends here, as an event, and touches no other.
"""

import logging
import threading
import time
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, replace
from functools import partial

from tui import events as ev
from tui.engines.base import Engine, EngineError, Request
from tui.engines.standard_measure import StopSwitch
from tui.host.errors import UserError
from tui.run.answer_queue import BACKGROUND, INTERACTIVE, ON_VIEW, AnswerQueue, AnswerTask
from tui.run.measuring import take_measure
from tui.run.shared_state import SharedState
from tui.run.stream_answer import stream_answer
from tui.run.turns import PRELOAD
from tui.text.thought import already_said

_log = logging.getLogger(__name__)

MAX_CRASHES = 2
"""So many lost workers in a row, without an answer in between, and the rest is given up."""
RELOAD_CAUSES = ("crashed", "hung", "not_loaded", "out_of_memory")
"""Causes of a failed answer after which the model has to be loaded anew."""


@dataclass(frozen=True, slots=True)
class WorkItem:
    """What a thread of a lane does next: answer ``task``, or (None) what is done alone."""

    run: Callable[[], None]
    task: AnswerTask | None = None


class Lane:
    """One model's weights and all that is asked of its columns.

    As many answers are asked for at once as the engine's ``concurrency`` and
    ``interactive_slots`` say, each by a thread of its own; loading and unloading are done
    alone. Where the engine has interactive slots, an interactive question never waits for a
    background one.
    """

    def __init__(
        self,
        columns: Sequence[int],
        engine: Engine,
        shared: SharedState,
        measure: bool = False,
        preload: bool = True,
    ) -> None:
        """``columns``: the models of the run that it answers for, by number. ``measure``: take the
        standard measure once, if that can be done. ``preload``: load before anything is asked."""
        self.columns = list(columns)
        self.engine = engine
        self.queue = AnswerQueue()
        self.shared = shared
        self._running: dict[int, AnswerTask] = {}
        self._is_exclusive = False
        self._is_loaded = False
        self._loaded: ev.Loaded | None = None
        self._measure_wanted = measure and engine.can_be_measured
        self._measuring: StopSwitch | None = None
        self._load_wanted = preload
        self._reload_wanted = False
        self._waiting_for: tuple[int, ...] | None = None
        self._crashes = 0
        self._background_slots = engine.concurrency
        self._interactive_slots = engine.interactive_slots
        self._threads = [
            threading.Thread(target=self._run, name=f"model-{self.index}-{n}", daemon=True)
            for n in range(self._background_slots + self._interactive_slots)
        ]
        shared.turns.takers.append(self)

    @property
    def index(self) -> int:
        """The number of its first column, which stands for it where memory is shared out."""
        return self.columns[0]

    def add_column(self, index: int) -> None:
        """Answer for one more column, with the weights that are there. To be called under
        ``changed``."""
        self.columns.append(index)
        if self._is_loaded and self._loaded:
            self.shared.recorder.emit(index, self._told_to(index, self._loaded))

    def start(self) -> None:
        """Begin to load."""
        for thread in self._threads:
            thread.start()

    @property
    def is_idle(self) -> bool:
        """Nothing queued, nothing going on. To be asked under ``changed``."""
        wanted = self._load_wanted or self._reload_wanted or self._can_measure
        return not (self.queue or self._running or self._is_exclusive or wanted)

    @property
    def _can_measure(self) -> bool:
        return self._measure_wanted and self._is_loaded and not self._running

    @property
    def urgency(self) -> int | None:
        """See `tui.run.turns.TurnTaker`."""
        if not (self.engine.uses_local_cores and self.is_admitted) or self._is_exclusive:
            return None
        if (waiting := self.queue.most_urgent()) is not None:
            return waiting
        if self.queue or self._running:
            return None
        if self._load_wanted or self._reload_wanted:
            return PRELOAD
        return self.shared.turns.measure_urgency if self._can_measure else None

    @property
    def computes(self) -> bool:
        """See `tui.run.turns.TurnTaker`."""
        behind = any(task.is_background for task in self._running.values())
        return self.engine.uses_local_cores and (self._is_exclusive or behind)

    @property
    def is_awaited(self) -> bool:
        """See `tui.run.turns.TurnTaker`."""
        asked = any(not task.is_background for task in self._running.values())
        return self.engine.uses_local_cores and (asked or self.queue.has_interactive)

    @property
    def is_admitted(self) -> bool:
        """See `tui.run.turns.TurnTaker`."""
        return self.shared.memory_scheduler.is_admitted(self.index)

    def give_way(self) -> None:
        """Leave the standard measure, which is taken again later: somebody asks something."""
        if switch := self._measuring:
            switch.stop()

    def cancel(self, answers: Container[int] | None = None, model: int | None = None) -> None:
        """Cancel these answers, or all that run or are queued, of the column ``model`` (None: of
        all). `Cancelled` is recorded at once, unless the worker does not respond: then when the
        answer ends."""
        with self.shared.changed:
            ended = self.queue.take(answers, model)
            running = self._stop_running(answers, model)
            for task in ended if self.is_stuck else [*running, *ended]:
                self._emit(ev.Cancelled(task.answer), task)
        self._cancel_running(running)

    @property
    def is_stuck(self) -> bool:
        """Whether the worker does not respond to anything at the moment."""
        return bool(self.engine.trouble)

    def reload(self) -> None:
        """Stop what runs and load anew, as after a failure; what is queued stays."""
        with self.shared.changed:
            self._reload_wanted = True
            self._crashes = 0
            self.give_way()
            running = self._stop_running()
        self._cancel_running(running)

    def _stop_running(
        self, answers: Container[int] | None = None, model: int | None = None
    ) -> list[AnswerTask]:
        """Mark these of what runs, or all, as cancelled; which. To be asked under ``changed``."""
        found = [task for task in self._running.values() if task.is_among(answers, model)]
        for task in found:
            task.is_cancelled = True
        self.shared.changed.notify_all()
        return found

    def _cancel_running(self, running: Sequence[AnswerTask]) -> None:
        if running:
            self.engine.cancel([task.answer for task in running])

    def join(self, timeout: float) -> bool:
        """Wait for the threads' end; whether it came."""
        until = time.monotonic() + timeout
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    # What follows runs in the lane's own threads.

    def _run(self) -> None:
        while step := self._wait_for_work():
            try:
                step.run()
            except UserError as error:
                self._fail_model(ev.Failed("session", error.message, error.next_step), step.task)
            except Exception as error:
                _log.exception("model %d", self.index)
                said = f"{type(error).__name__} in the program"
                self._fail_model(ev.Failed("internal", said, "see the log"), step.task)
            with self.shared.changed:
                if step.task is None:
                    self._is_exclusive = False
                else:
                    self._running.pop(step.task.answer, None)
                self.shared.changed.notify_all()

    def _wait_for_work(self) -> WorkItem | None:
        shared = self.shared
        with shared.changed:
            while not shared.closing.is_set():
                if self._is_exclusive:
                    pass
                elif (
                    self._is_loaded
                    and not self._running
                    and (gone := self.engine.unexpected_exit())
                ):
                    self._is_exclusive = True
                    return WorkItem(partial(self._after_idle_exit, gone))
                elif self.queue or self._load_wanted or self._reload_wanted:
                    if shared.memory_scheduler.admit(self.index):
                        self._waiting_for = None
                        if step := self._take_work():
                            return step
                    elif not self.queue and not self._reload_wanted:
                        # A model preloaded without a question never evicts another: if there is no
                        # room, it stops waiting.
                        self._load_wanted = False
                        shared.memory_scheduler.stop_waiting(self.index)
                        shared.changed.notify_all()
                        continue
                    else:
                        self._report_waiting()
                elif self._can_measure and shared.turns.may_measure(self):
                    self._is_exclusive = True
                    self._measuring = StopSwitch(self.engine)
                    return WorkItem(self._measure)
                elif shared.memory_scheduler.stop_waiting(self.index):
                    self._waiting_for = None
                    self._emit(ev.Unloaded("nothing to answer"))
                    shared.changed.notify_all()
                elif not self._running and shared.memory_scheduler.must_unload(self.index):
                    self._is_exclusive = True
                    return WorkItem(self._unload)
                shared.changed.wait()
        return None

    def _take_work(self) -> WorkItem | None:
        """The next step; None while others have to end first."""
        if self._reload_wanted or self._load_wanted or not self._is_loaded:
            if self._running:
                return None
            if self._needs_turn and not self.queue.has_interactive:
                return None
            load = self._reload if self._reload_wanted else self._load
            self._reload_wanted = self._load_wanted = False
            self._is_exclusive = True
            return WorkItem(load)
        busy = {running.conversation for running in self._running.values()}
        allowed = self._allowed_priorities()
        if self._needs_turn:
            allowed = tuple(priority for priority in allowed if priority == INTERACTIVE)
        task = self.queue.pop(busy, allowed)
        if task is None:
            return None
        self._running[task.answer] = task
        return WorkItem(partial(self._answer, task), task)

    @property
    def _needs_turn(self) -> bool:
        """Whether it has to wait for its turn with all that no person waits for."""
        return self.engine.uses_local_cores and not self.shared.turns.may_begin(self)

    def _allowed_priorities(self) -> tuple[int, ...]:
        """Priorities of which one more may be answered now."""
        if not self._interactive_slots:
            return INTERACTIVE, ON_VIEW, BACKGROUND
        behind = sum(task.is_background for task in self._running.values())
        asked = (INTERACTIVE,) if len(self._running) - behind < self._interactive_slots else ()
        return (*asked, ON_VIEW, BACKGROUND) if behind < self._background_slots else asked

    def _report_waiting(self) -> None:
        blockers = tuple(self.shared.memory_scheduler.blockers(self.index))
        if self._waiting_for is None:
            names = ", ".join(self._label(i) for i in blockers) or "another model"
            self._emit(ev.Load(f"waiting for memory: after {names}"))
            # Wake idle lanes so that they can unload.
            self.shared.changed.notify_all()
        self._waiting_for = blockers

    def _unload(self) -> None:
        self.engine.close()
        self._is_loaded = False
        with self.shared.changed:
            heir = self.shared.memory_scheduler.next_waiting
            self.shared.memory_scheduler.release(self.index)
        name = "" if heir is None else f" for {self._label(heir)}"
        self._emit(ev.Unloaded(f"memory given back{name}"))

    def _after_idle_exit(self, failed: ev.Failed) -> None:
        """The worker died while nothing was asked of it. What was asked since loads it anew."""
        if self.queue:
            self._is_loaded = False
        else:
            self._fail_model(failed)

    def _reload(self) -> None:
        self._is_loaded = False
        self.engine.close()
        self._load()

    def _load(self) -> None:
        with self.shared.cores.allocate(self.engine) as use:
            if self.shared.closing.is_set():
                return
            try:
                loaded = self.engine.load(lambda t_ns, body: self._emit(body, t_ns=t_ns))
            except EngineError as error:
                if self.shared.closing.is_set():
                    return
                self._fail_model(ev.Failed(error.cause, error.message, error.next_step))
                return
            if use.contended:
                loaded = replace(loaded, contended=True, contended_by="model")
            self._emit(loaded)
            self._is_loaded, self._loaded = True, loaded

    def _measure(self) -> None:
        """Take the standard measure, again later where it was stopped."""
        assert self._measuring
        self._emit(ev.Measuring())
        try:
            found = take_measure(self.engine, self._loaded, self._measuring, self.shared)
            if found is not None:
                self._measure_wanted = False
                # A worker that was lost is started anew by the next question.
                self._is_loaded = self.engine.unexpected_exit() is None
                self._emit(found)
        finally:
            self._measuring = None

    def _answer(self, task: AnswerTask) -> None:
        composed = self.shared.build_messages(task.model, task)
        if isinstance(composed, ev.Failed):
            self._emit(composed, task)
            return
        shared = self.shared
        column = shared.columns[task.model]
        request = Request(
            *(task.answer, composed, column.max_new_tokens, column.sampling),
            *(task.question, task.is_background),
            think=column.think,
            think_tokens=column.think_tokens,
            column=task.model,
        )
        if refusal := shared.budget.hold(task.model, request, partial(self._is_stopped, task)):
            self._emit(refusal, task)
            return
        last: ev.Body | None = None
        with shared.cores.allocate(self.engine, task.is_background) as use:
            if self._is_stopped(task):
                self._emit(ev.Cancelled(task.answer), task)
            else:
                last = stream_answer(self.engine, request, task, use, self._emit)
        with shared.recorder.board() as board:
            answer = board.answers[task.answer]
        shared.budget.settle(task.model, answer)
        match last:
            case ev.Answered():
                self._crashes = 0
            case ev.Failed() if last.cause in RELOAD_CAUSES and not self.shared.closing.is_set():
                self._after_crash(last, task)

    def _is_stopped(self, task: AnswerTask) -> bool:
        return task.is_cancelled or self.shared.closing.is_set()

    def _after_crash(self, failed: ev.Failed, task: AnswerTask) -> None:
        """The worker may be gone: the next question loads the model anew, a few times."""
        self._is_loaded = False
        self._crashes += 1
        if self._crashes >= MAX_CRASHES:
            self._fail_model(replace(failed, answer=-1), task)

    def _fail_model(self, failed: ev.Failed, task: AnswerTask | None = None) -> None:
        """The model failed: so do the ``task`` it failed at and all that is queued; its
        memory goes to the next. Other answers that run end by themselves."""
        self._is_loaded = False
        self.engine.close()
        with self.shared.changed:
            self._crashes = 0
            tasks = ([task] if task else []) + self.queue.take()
            with self.shared.recorder.board() as board:
                still_open = {answer.id for answer in board.open_answers()}
            self._emit(failed)
            for each in tasks:
                if each.answer in still_open:
                    self._emit(replace(failed, answer=each.answer), each)
            self.shared.memory_scheduler.release(self.index)
            self.shared.changed.notify_all()

    def _label(self, column: int) -> str:
        return self.shared.columns[column].label

    def _emit(self, body: ev.Body, task: AnswerTask | None = None, t_ns: int | None = None) -> None:
        """Record what happened to a task, or (None) to the model, which all its columns show."""
        for column in [task.model] if task else list(self.columns):
            told = self._told_to(column, body) if isinstance(body, ev.Loaded) else body
            self.shared.recorder.emit(column, told, t_ns or time.monotonic_ns())

    def _told_to(self, column: int, loaded: ev.Loaded) -> ev.Loaded:
        """What is said of the weights to a column that may have said some of it itself."""
        own = self.shared.columns[column]
        needless = already_said(own.think, own.think_tokens)
        return replace(loaded, notes=[one for one in loaded.notes if one not in needless])
