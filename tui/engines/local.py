"""A checkpoint on this machine, run by a worker process of its own."""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from tui.engines.base import EngineError, Request, Timed
from tui.engines.event_router import Switchboard
from tui.engines.watchdog import Disk, Watchdog, effort
from tui.engines.worker_process import Child, Lost
from tui.events import Answered, Body, Cancelled, Delta, Failed, Load, Loaded, Note, Started

_LOOK_S = 0.1
"""How often a silent worker is looked at."""
_DISK_S = 0.5
_SLACK = 512 << 20
_AGAIN = "ask again: the model is loaded anew"


@dataclass(frozen=True, slots=True)
class Allowance:
    """Bytes a worker may take: for the weights once they are loaded, and what answers may
    add to that (`tui.run.plan`)."""

    weights: int
    answers: int

    def loading(self, checkpoint_bytes: int) -> int:
        """While it loads: the files are mapped beside what is made of them, perhaps twice
        where the result is kept in a file of its own."""
        return checkpoint_bytes + int(2.3 * self.weights) + _SLACK


class LocalEngine:
    """See `tui.engines.base.Engine`. ``checkpoint`` is a folder or a .gguf file, ``dtype``
    ``bf16``, ``fp16``, ``fp32``, ``int8`` or ``int4``, ``log`` where the worker's own
    output is appended, ``context`` a bound for prompt and answer together below the model's own,
    ``remote_code`` the SHA-256 of each Python file of the folder that a person agreed to
    run (`tui.models.inspect.python_files`), ``allowance`` the memory it is held to,
    ``batch`` how many answers it decodes together at most: so many may be asked for at
    once, ``tokens`` how many tokens of their prompts and answers it holds at most (0: any),
    ``lookup`` whether tokens are guessed from the prompt
    (`tui.worker.decode.prompt_lookup`), ``remark`` a line for a person
    beside the worker's own when it is loaded. It is
    `tui.engines.base.Supervised` as well."""

    computes_here = True
    ahead = 1
    """Questions that may be asked beside those of the background: the worker leaves all else
    for them."""

    def __init__(
        self,
        checkpoint: Path,
        dtype: str,
        threads: int,
        log: Path,
        context: int | None = None,
        remote_code: Mapping[str, str] | None = None,
        allowance: Allowance | None = None,
        batch: int = 1,
        tokens: int = 0,
        lookup: bool = False,
        remark: str = "",
    ) -> None:
        self._checkpoint = checkpoint.absolute()
        self._dtype = dtype
        self._threads = threads
        self._log = log
        self._context = context
        self._remote_code = dict(remote_code or {})
        self._allowance = allowance
        self.concurrency, self._tokens = batch, tokens
        self._lookup = lookup
        self._remark = remark
        self._disk = Disk()
        self._child: Child | None = None
        self._board: Switchboard | None = None
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
        if self._board:
            self._board.wait()
        child.send(
            op="load",
            checkpoint=str(self._checkpoint),
            dtype=self._dtype,
            threads=self._threads,
            **({"context": self._context} if self._context else {}),
            **({"remote_code": self._remote_code} if self._remote_code else {}),
            **({"batch": self.concurrency, "tokens": self._tokens} if self.concurrency > 1 else {}),
            **({"lookup": True} if self._lookup else {}),
        )
        for item in _events(child, busy=False):
            match item:
                case Lost(failure=failure):
                    self._forget(child)
                    failure = failure or Failed("cancelled", "closed while it was loading")
                    raise EngineError(failure.cause, failure.message, failure.next_step)
                case _, Loaded() as loaded:
                    # What a GPU's driver takes of its process is no memory of answers.
                    if self._allowance and loaded.device == "cpu":
                        child.bound(self._allowance.answers)
                    self._disk = Disk()
                    self._board = Switchboard(partial(self._watched, child))
                    notes = [self._remark] if self._remark else []
                    return replace(loaded, notes=[*notes, *loaded.notes])
                case _, Failed(answer=-1) as failure:
                    self.close()
                    raise EngineError(failure.cause, failure.message, failure.next_step)
                case t_ns, Load() as body:
                    if self._allowance and body.stage == "weights" and not body.done:
                        child.bound(self._allowance.loading(body.total))
                    progress(t_ns, body)
        raise AssertionError("a child's events end with Lost")

    def answer(self, requests: Sequence[Request]) -> Iterator[Timed]:
        """See `Engine.answer`. Answers that the caller stops reading are cancelled."""
        waiting = {request.answer for request in requests}
        child, board = self._child, self._board
        if child is None or board is None:
            for answer in sorted(waiting):
                failure = Failed("not_loaded", "the model is not loaded", "load it", answer)
                yield time.monotonic_ns(), failure
            return
        line = board.connect(waiting)
        child.send(
            op="answer",
            requests=[
                {
                    "answer": request.answer,
                    "messages": [[m.role, m.content] for m in request.messages],
                    "max_new_tokens": request.max_new_tokens,
                    "sampling": asdict(request.sampling),
                    **({"background": True} if request.background else {}),
                }
                for request in requests
            ],
        )
        try:
            for item in line:
                if isinstance(item, Lost):
                    self._forget(child)
                    for answer in sorted(waiting):
                        yield time.monotonic_ns(), _lost(item, answer)
                    waiting.clear()
                    return
                t_ns, body = item
                if isinstance(body, Note) and body.answer < 0:
                    body = replace(body, answer=min(waiting))
                if getattr(body, "answer", None) not in waiting:
                    continue
                if isinstance(body, Answered | Failed | Cancelled):
                    waiting.discard(body.answer)
                yield t_ns, body
                if not waiting:
                    return
        finally:
            if waiting:
                self.cancel(sorted(waiting))

    def _watched(self, child: Child) -> Iterator[Timed | Lost]:
        """The worker's events while it answers, and what the disk has to do with them."""
        tokens, looked = 0, 0.0
        for item in _events(child, busy=True):
            yield item
            match item:
                case _, Started():
                    tokens = 0
                    self._disk.begin()
                case _, Delta(n=n):
                    tokens += n
            if (now := time.monotonic()) - looked >= _DISK_S:
                looked = now
                if said := self._disk.look(now, tokens, effort(child.process.pid).faults):
                    yield time.monotonic_ns(), Note(said)

    def cancel(self, answers: Sequence[int] | None = None) -> None:
        """See `Engine.cancel`. A worker that does not respond is ended."""
        child = self._child
        if child and child.trouble:
            child.kill(Failed("hung", child.trouble, _AGAIN))
        elif child:
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

    @property
    def trouble(self) -> str:
        """See `Supervised.trouble`."""
        child = self._child
        return child.trouble if child else ""

    def lost(self) -> Failed | None:
        """See `Supervised.lost`."""
        child = self._child
        return child.lost.failure if child and child.lost else None

    def abort(self, why: Failed) -> None:
        """See `Supervised.abort`."""
        if child := self._child:
            child.kill(why)

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
    """What the worker tells, `Lost` last. One that does not respond is told of in a `Note`
    of no answer, as is its coming back; one that hangs is killed."""
    watchdog = Watchdog()
    while True:
        try:
            item = child.inbox.get(timeout=_LOOK_S)
        except queue.Empty:
            spent = effort(child.process.pid)
            seen = watchdog.look(time.monotonic(), child.heard, child.steps, spent, busy)
            before, child.trouble = child.trouble, seen.trouble
            if seen.hung:
                child.kill(Failed("hung", seen.trouble, _AGAIN))
            elif seen.trouble and not before:
                yield time.monotonic_ns(), Note(f"{seen.trouble}: wait, or stop it and ask again")
            elif before and not seen.trouble:
                yield time.monotonic_ns(), Note("the worker answers again")
            continue
        child.trouble = ""
        yield item
        if isinstance(item, Lost):
            return


def _lost(lost: Lost, answer: int) -> Body:
    if lost.failure is None:
        return Cancelled(answer)
    failure = lost.failure
    return Failed(failure.cause, failure.message, failure.next_step, answer)
