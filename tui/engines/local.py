"""A checkpoint on this machine, run by a worker process of its own."""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from tui.engines.base import EngineError, Request, Timed
from tui.engines.child import Child, Lost
from tui.engines.watchdog import Watchdog, effort
from tui.events import Answered, Body, Cancelled, Failed, Load, Loaded

_LOOK_S = 0.5
"""How often a silent worker is looked at."""


class LocalEngine:
    """See `tui.engines.base.Engine`. ``checkpoint`` is a folder or a .gguf file, ``dtype``
    ``bf16``, ``fp16`` or ``fp32``, ``log`` where the worker's own output is appended,
    ``context`` a bound for prompt and answer together below the model's own,
    ``remote_code`` the SHA-256 of each Python file of the folder that a person agreed to
    run (`tui.models.inspect.python_files`)."""

    computes_here = True

    def __init__(
        self,
        checkpoint: Path,
        dtype: str,
        threads: int,
        log: Path,
        context: int | None = None,
        remote_code: Mapping[str, str] | None = None,
    ) -> None:
        self._checkpoint = checkpoint.absolute()
        self._dtype = dtype
        self._threads = threads
        self._log = log
        self._context = context
        self._remote_code = dict(remote_code or {})
        self._child: Child | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        """Start the process, so that it imports its libraries before `load` is called."""
        self._running()

    def load(self, progress: Callable[[int, Body], None]) -> Loaded:
        """See `Engine.load`; ``progress`` gets each `Load` and when it happened.

        Raises:
            EngineError: it cannot be loaded, or the worker died of it.
        """
        child = self._running()
        child.send(
            op="load",
            checkpoint=str(self._checkpoint),
            dtype=self._dtype,
            threads=self._threads,
            **({"context": self._context} if self._context else {}),
            **({"remote_code": self._remote_code} if self._remote_code else {}),
        )
        for item in _events(child, busy=False):
            match item:
                case Lost(failure=failure):
                    self._forget(child)
                    failure = failure or Failed("cancelled", "closed while it was loading")
                    raise EngineError(failure.cause, failure.message, failure.next_step)
                case _, Loaded() as loaded:
                    return loaded
                case _, Failed(answer=-1) as failure:
                    self.close()
                    raise EngineError(failure.cause, failure.message, failure.next_step)
                case t_ns, Load() as body:
                    progress(t_ns, body)
        raise AssertionError("a child's events end with Lost")

    def answer(self, requests: Sequence[Request]) -> Iterator[Timed]:
        """See `Engine.answer`. Answers that the caller stops reading are cancelled."""
        waiting = {request.answer for request in requests}
        child = self._child
        if child is None:
            for answer in sorted(waiting):
                failure = Failed("not_loaded", "the model is not loaded", "load it", answer)
                yield time.monotonic_ns(), failure
            return
        child.send(
            op="answer",
            requests=[
                {
                    "answer": request.answer,
                    "messages": [[m.role, m.content] for m in request.messages],
                    "max_new_tokens": request.max_new_tokens,
                    "sampling": asdict(request.sampling),
                }
                for request in requests
            ],
        )
        try:
            for item in _events(child, busy=True):
                if isinstance(item, Lost):
                    self._forget(child)
                    for answer in sorted(waiting):
                        yield time.monotonic_ns(), _lost(item, answer)
                    waiting.clear()
                    return
                body = item[1]
                if getattr(body, "answer", None) not in waiting:
                    continue
                if isinstance(body, Answered | Failed | Cancelled):
                    waiting.discard(body.answer)
                yield item
                if not waiting:
                    return
        finally:
            if waiting:
                self.cancel(sorted(waiting))

    def cancel(self, answers: Sequence[int] | None = None) -> None:
        """See `Engine.cancel`."""
        if child := self._child:
            child.send(op="cancel", answers=None if answers is None else list(answers))

    def set_threads(self, threads: int) -> None:
        """See `Engine.set_threads`."""
        self._threads = threads
        if child := self._child:
            child.send(op="threads", threads=threads)

    def memory(self) -> tuple[int, int]:
        """See `Engine.memory`."""
        child = self._child
        return child.memory() if child else (0, 0)

    @property
    def pid(self) -> int | None:
        """The worker's process id while there is one."""
        child = self._child
        return child.process.pid if child else None

    def close(self) -> None:
        """See `Engine.close`."""
        with self._lock:
            child, self._child = self._child, None
        if child:
            child.close()

    def _running(self) -> Child:
        with self._lock:
            if self._child is None or not self._child.alive:
                self._child = Child(self._threads, self._log)
            return self._child

    def _forget(self, child: Child) -> None:
        with self._lock:
            if self._child is child:
                self._child = None


def _events(child: Child, busy: bool) -> Iterator[Timed | Lost]:
    """What the worker tells, `Lost` last; one that hangs is killed."""
    watchdog = Watchdog()
    while True:
        try:
            item = child.inbox.get(timeout=_LOOK_S)
        except queue.Empty:
            spent = effort(child.process.pid)
            why = watchdog.hung(time.monotonic(), child.heard, child.steps, spent, busy)
            if why:
                child.kill(Failed("hung", why, "load the model again; the log has the details"))
            continue
        yield item
        if isinstance(item, Lost):
            return


def _lost(lost: Lost, answer: int) -> Body:
    if lost.failure is None:
        return Cancelled(answer)
    failure = lost.failure
    return Failed(failure.cause, failure.message, failure.next_step, answer)
