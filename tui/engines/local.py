"""A checkpoint on this machine, run by a worker process of its own."""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from tui.checkpoints.llama_cpp import PUBLISHED
from tui.checkpoints.weight_files import weight_files
from tui.engines.base import EngineError, Request
from tui.engines.event_router import EventRouter
from tui.engines.watchdog import WATCHER_GAP_S, ThrashDetector, Watchdog
from tui.engines.worker_process import WorkerExit, WorkerProcess
from tui.events import (
    Answered,
    Body,
    Cancelled,
    Delta,
    Failed,
    Load,
    Loaded,
    Note,
    Started,
    TimedBody,
    answer_of,
)
from tui.host import page_cache
from tui.worker_protocol import AnswerOrder, CancelOrder, DecodeRequest, LoadOrder, ThreadsOrder

_POLL_S = 0.1
"""How often a silent worker is looked at."""
_THRASH_CHECK_S = 0.5
_LOAD_SLACK = 512 << 20
_ASK_AGAIN = "ask again: the model is loaded anew"


@dataclass(frozen=True, slots=True)
class WorkerMemoryLimits:
    """Bytes a worker may take: for the weights once they are loaded, and what answers may
    add to that."""

    weights: int
    answers: int

    def while_loading(self, checkpoint_bytes: int) -> int:
        """While it loads: the files are mapped beside what is made of them, perhaps twice
        where the result is kept in a file of its own."""
        return checkpoint_bytes + int(2.3 * self.weights) + _LOAD_SLACK


class LocalEngine:
    """See `tui.engines.base.Engine`. ``checkpoint`` is a folder or a .gguf file, ``dtype``
    ``bf16``, ``fp16``, ``fp32``, ``int8`` or ``int4``, ``log`` where the worker's own
    output is appended, ``context`` a bound for prompt and answer together below the model's own,
    ``remote_code`` the SHA-256 of each Python file of the folder that a person agreed to
    run (`tui.models.inspect.python_files`), ``memory_limits`` the memory it is held to,
    ``batch`` how many answers it decodes together at most: so many may be asked for at
    once, ``max_cached_tokens`` how many tokens of their prompts and answers it holds at most (0:
    any), ``lookup`` whether tokens are guessed from the prompt
    (`tui.worker.decode.prompt_lookup`), ``loop_stop`` whether an answer that only repeats itself
    is ended, ``chat_template`` the Jinja source in place of the checkpoint's own (empty: its own),
    ``remark`` a line for a person beside the worker's own when it is loaded, ``adapter`` the folder
    of a LoRA adapter that is merged into the weights."""

    uses_local_cores = True
    interactive_slots = 1
    has_process = True
    can_be_measured = True
    can_ask_elsewhere = False

    def __init__(
        self,
        checkpoint: Path,
        dtype: str,
        threads: int,
        log: Path,
        context: int | None = None,
        remote_code: Mapping[str, str] | None = None,
        memory_limits: WorkerMemoryLimits | None = None,
        batch: int = 1,
        max_cached_tokens: int = 0,
        lookup: bool = False,
        loop_stop: bool = False,
        chat_template: str = "",
        remark: str = "",
        adapter: Path | None = None,
    ) -> None:
        self._checkpoint = checkpoint.absolute()
        self._dtype = dtype
        self._threads = threads
        self._log = log
        self._context = context
        self._remote_code = dict(remote_code or {})
        self._memory_limits = memory_limits
        self.concurrency, self._max_cached_tokens = batch, max_cached_tokens
        self._lookup, self._loop_stop = lookup, loop_stop
        self._chat_template = chat_template
        self._remark = remark
        self._adapter = "" if adapter is None else str(adapter.absolute())
        self._thrash_detector = ThrashDetector()
        self._process: WorkerProcess | None = None
        self._router: EventRouter | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        """Start the process, so that it imports its libraries before `load` is called."""
        self._ensure_process()

    def load(self, progress: Callable[[int, Body], None]) -> Loaded:
        """See `Engine.load`; ``progress`` gets each `Load` and when it happened.

        Raises:
            EngineError: it cannot be loaded, or the worker died of it.
        """
        child = self._ensure_process()
        # While the worker starts, and before it reads.
        cached = page_cache.cached_share(weight_files(self._checkpoint, self._dtype))
        if self._router:
            self._router.wait_until_idle()
        child.send(
            LoadOrder(
                str(self._checkpoint),
                self._dtype,
                self._threads,
                context=self._context or 0,
                remote_code=self._remote_code,
                batch=self.concurrency,
                # llama.cpp takes the memory of all of them at once.
                max_cached_tokens=self._max_cached_tokens
                if self.concurrency > 1 or self._dtype == PUBLISHED
                else 0,
                lookup=self._lookup,
                loop_stop=self._loop_stop,
                chat_template=self._chat_template,
                adapter=self._adapter,
            )
        )
        for item in _supervised_events(child, busy=False):
            match item:
                case WorkerExit(failure=failure):
                    self._forget(child)
                    failure = failure or Failed("cancelled", "closed while it was loading")
                    raise EngineError(failure.cause, failure.message, failure.next_step)
                case _, Loaded() as loaded:
                    # A GPU driver's mappings count as private memory: limit the growth on the
                    # CPU only.
                    if self._memory_limits and loaded.device == "cpu":
                        child.limit_memory_growth(self._memory_limits.answers)
                    self._thrash_detector = ThrashDetector()
                    self._router = EventRouter(partial(self._events_while_answering, child))
                    notes = [self._remark] if self._remark else []
                    return replace(loaded, notes=[*notes, *loaded.notes], file_cache=cached)
                case _, Failed(answer=-1) as failure:
                    self.close()
                    raise EngineError(failure.cause, failure.message, failure.next_step)
                case t_ns, Load() as body:
                    if self._memory_limits and body.stage == "weights" and not body.done:
                        child.limit_memory_growth(self._memory_limits.while_loading(body.total))
                    progress(t_ns, body)
        raise AssertionError("a child's events end with Lost")

    def answer(self, requests: Sequence[Request]) -> Iterator[TimedBody]:
        """See `Engine.answer`. Answers that the caller stops reading are cancelled."""
        waiting = {request.answer for request in requests}
        child, board = self._process, self._router
        if child is None or board is None:
            for answer in sorted(waiting):
                failure = Failed("not_loaded", "the model is not loaded", "load it", answer)
                yield time.monotonic_ns(), failure
            return
        line = board.subscribe(waiting)
        child.send(AnswerOrder(tuple(map(_decode_request, requests))))
        try:
            for item in line:
                if isinstance(item, WorkerExit):
                    self._forget(child)
                    for answer in sorted(waiting):
                        yield time.monotonic_ns(), _end_of_answer(item, answer)
                    waiting.clear()
                    return
                t_ns, body = item
                if isinstance(body, Note) and body.answer < 0:
                    body = replace(body, answer=min(waiting))
                if answer_of(body) not in waiting:
                    continue
                if isinstance(body, Answered | Failed | Cancelled):
                    waiting.discard(body.answer)
                yield t_ns, body
                if not waiting:
                    return
        finally:
            if waiting:
                self.cancel(sorted(waiting))

    def _events_while_answering(self, child: WorkerProcess) -> Iterator[TimedBody | WorkerExit]:
        """The worker's events while it answers, and what the disk has to do with them."""
        tokens, looked = 0, 0.0
        for item in _supervised_events(child, busy=True):
            yield item
            match item:
                case _, Started():
                    tokens = 0
                    self._thrash_detector.start_answer()
                case _, Delta(n=n):
                    tokens += n
            if (now := time.monotonic()) - looked >= _THRASH_CHECK_S:
                looked = now
                if said := self._thrash_detector.check(now, tokens, child.usage().faults):
                    yield time.monotonic_ns(), Note(said)

    def cancel(self, answers: Sequence[int] | None = None) -> None:
        """See `Engine.cancel`. A worker that does not respond is ended."""
        child = self._process
        if child and child.trouble:
            child.kill(Failed("hung", child.trouble, _ASK_AGAIN))
        elif child:
            child.send(CancelOrder(None if answers is None else tuple(answers)))

    def pending_pastes(self) -> tuple[int, ...]:
        """See `Engine.pending_pastes`: none."""
        return ()

    def paste(self, answer: int, text: str) -> bool:
        """See `Engine.paste`: none was waited for."""
        return False

    def set_threads(self, threads: int) -> None:
        """See `Engine.set_threads`."""
        self._threads = threads
        if child := self._process:
            child.send(ThreadsOrder(threads))

    def memory(self) -> tuple[int, int]:
        """See `Engine.memory`."""
        child = self._process
        return child.memory() if child else (0, 0)

    @property
    def pid(self) -> int | None:
        """See `Engine.pid`."""
        child = self._process
        return child.pid if child else None

    @property
    def trouble(self) -> str:
        """See `Engine.trouble`."""
        child = self._process
        return child.trouble if child else ""

    def unexpected_exit(self) -> Failed | None:
        """See `Engine.unexpected_exit`."""
        child = self._process
        return child.exited.failure if child and child.exited else None

    def abort(self, why: Failed) -> None:
        """See `Engine.abort`."""
        if child := self._process:
            child.kill(why)

    def close(self) -> None:
        """See `Engine.close`."""
        with self._lock:
            child, self._process = self._process, None
        if child:
            child.close()

    def _ensure_process(self) -> WorkerProcess:
        with self._lock:
            if self._process is None or not self._process.is_alive:
                self._process = WorkerProcess(
                    self._threads, self._log, is_published=self._dtype == PUBLISHED
                )
            return self._process

    def _forget(self, child: WorkerProcess) -> None:
        with self._lock:
            if self._process is child:
                self._process = None


def _supervised_events(child: WorkerProcess, busy: bool) -> Iterator[TimedBody | WorkerExit]:
    """What the worker tells, `WorkerExit` last. One that does not respond is told of in a `Note`
    of no answer, as is its coming back; one that hangs is killed."""
    watchdog, looked = Watchdog(), time.monotonic()
    signs_in_trouble = (0.0, 0)
    while True:
        last_look, looked = looked, time.monotonic()
        try:
            item = child.inbox.get(timeout=_POLL_S)
        except queue.Empty:
            now, spent = time.monotonic(), child.usage()
            if now - last_look > WATCHER_GAP_S:
                watchdog.restart(now, child.last_heard, spent)
            seen = watchdog.check(now, child.last_heard, child.steps, spent, busy)
            signs = child.last_heard, child.steps
            if seen.is_hung:
                child.trouble = seen.trouble
                child.kill(Failed("hung", seen.trouble, _ASK_AGAIN))
            elif seen.trouble and not child.trouble:
                child.trouble, signs_in_trouble = seen.trouble, signs
                yield time.monotonic_ns(), Note(f"{seen.trouble}: wait, or stop it and ask again")
            elif seen.trouble:
                child.trouble = seen.trouble
            # A watchdog that was started anew knows of no trouble: only the worker ends it.
            elif child.trouble and signs != signs_in_trouble:
                child.trouble = ""
                yield time.monotonic_ns(), Note("the worker answers again")
            continue
        child.trouble = ""
        yield item
        if isinstance(item, WorkerExit):
            return


def _decode_request(request: Request) -> DecodeRequest:
    return DecodeRequest(
        request.answer,
        tuple((message.role, message.content) for message in request.messages),
        request.max_new_tokens,
        asdict(request.sampling),
        request.background,
        request.prompt_tokens,
        request.think,
        request.think_tokens,
        request.column,
    )


def _end_of_answer(lost: WorkerExit, answer: int) -> Body:
    if lost.failure is None:
        return Cancelled(answer)
    failure = lost.failure
    return Failed(failure.cause, failure.message, failure.next_step, answer)
