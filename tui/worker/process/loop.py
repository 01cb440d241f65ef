"""The child's main loop: orders come in through one thread, this one computes."""

import contextlib
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui.checkpoints.llama_cpp import PUBLISHED
from tui.events import Body, Delta, Load, Logprobs
from tui.host import extras
from tui.host.memory import trim_heap
from tui.worker.checkpoint import Progress
from tui.worker.control import Control
from tui.worker.decode.answer_events import failure_event
from tui.worker.lost_cores import StopWatcher, lost_cores, read_usage
from tui.worker.measure import PeakMemory, Stopwatch
from tui.worker.process.loaded_event import LoadFigures, loaded_event
from tui.worker.process.wire import Channel, exit_process
from tui.worker_protocol import (
    SEND_TOKENS_S,
    Alive,
    AnswerOrder,
    CancelOrder,
    CloseOrder,
    DecodeRequest,
    LoadOrder,
    Order,
    ThreadsOrder,
)

if TYPE_CHECKING:
    from tui.worker.decode.batch import DecodeBatch
    from tui.worker.gguf.llama_batch import LlamaBatch

HEARTBEAT_S = 0.2
"""Seconds between two signs of life, each with a look at the memory held."""
_LOOKS_PER_HEARTBEAT = 4
"""Looks at the memory between two signs of life while a model loads: its highest use is short."""
_PROGRESS_S = 0.1
NICE = 3
"""Niceness of the computing threads; a higher value lets other programs slow decoding down."""
_TRIM_AFTER_S = 0.5
"""Seconds without an order after which memory is given back."""
_BY_TORCH, _BY_LLAMA = (f"tui.worker.process.{name}_model" for name in ("torch", "llama"))


def import_libraries() -> None:
    """Import what most models are computed by, where it is installed: an order to load needs
    not wait for it, and workers that are forked share it."""
    if not extras.missing(extras.LOCAL):
        import_module(_BY_TORCH)


def import_the_rest() -> None:
    """Import what a first model of torch brings along, for the workers that are forked."""
    if not extras.missing(extras.LOCAL):
        # Whatever fails here fails in the worker again, which says so.
        with contextlib.suppress(Exception):
            import_module("tui.worker.load.loader").import_the_rest()


def _computed_by(dtype: str) -> Any:
    """The module whose ``load`` makes a model in this format."""
    if dtype == PUBLISHED:
        return import_module(_BY_LLAMA)
    extras.require(extras.LOCAL)
    return import_module(_BY_TORCH)


class Worker:
    """One model's process: `run` handles orders until the process exits. ``import_s``: seconds
    that the imports of its libraries took, here or in the process that it was forked from; they
    count as part of its first load."""

    def __init__(self, channel: Channel, import_s: float) -> None:
        self._channel = channel
        self._import_s = import_s
        self._control = Control()
        self._peak, self._watcher = PeakMemory(), StopWatcher()
        self._orders: queue.SimpleQueue[tuple[float, LoadOrder | AnswerOrder]] = queue.SimpleQueue()
        self._interactive_queue: deque[DecodeRequest] = deque()
        self._background_queue: deque[DecodeRequest] = deque()
        self._interactive_batch: DecodeBatch | LlamaBatch | None = None
        """Answers that a person waits for; while there are any, `_background_batch` waits."""
        self._background_batch: DecodeBatch | LlamaBatch | None = None
        self._max_batch_size = 1
        self._is_loading = False

    def run(self) -> None:
        """Never returns: the process ends in the control thread."""
        self._channel.listen(self._handle_order)
        threading.Thread(target=self._send_heartbeats, name="alive", daemon=True).start()
        _lower_priority()
        while True:
            if (found := self._next_order()) is None:
                self._advance()
                continue
            arrived, order = found
            if isinstance(order, LoadOrder):
                self._load(arrived, order)
            else:
                self._queue_requests(order)

    def _next_order(self) -> tuple[float, LoadOrder | AnswerOrder] | None:
        """The next order and when it came; None while there is something to compute."""
        with contextlib.suppress(queue.Empty):
            return self._orders.get(timeout=0.0 if self._has_work else _TRIM_AFTER_S)
        if self._has_work:
            return None
        trim_heap()
        return self._orders.get()

    @property
    def _has_work(self) -> bool:
        return bool(
            self._interactive_queue
            or self._background_queue
            or self._interactive_batch
            or self._background_batch
        )

    def _handle_order(self, order: Order) -> None:
        """Called in the control thread; only loading and answering wait for the computing one."""
        match order:
            case CancelOrder(answers):
                self._control.cancel(answers)
                self._wake()
            case ThreadsOrder(threads):
                self._control.threads = threads
            case CloseOrder():
                exit_process(0)
            case AnswerOrder(requests):
                self._control.register(request.answer for request in requests)
                if not all(request.background for request in requests):
                    self._control.preempt_requested = True
                self._orders.put((time.monotonic(), order))
                self._wake()
            case LoadOrder():
                self._control.threads = order.threads
                self._orders.put((time.monotonic(), order))
                self._wake()

    def _wake(self) -> None:
        """End a step that only waits: there is something to hear."""
        if (batch := self._interactive_batch) is not None:
            batch.wake()

    def _send_heartbeats(self) -> None:
        looks = 0
        while True:
            self._peak.sample()
            self._watcher.beat()
            if looks % _LOOKS_PER_HEARTBEAT == 0 or not self._is_loading:
                self._channel.send(Alive(self._control.steps))
            looks += 1
            time.sleep(HEARTBEAT_S / (_LOOKS_PER_HEARTBEAT if self._is_loading else 1))

    def _load(self, arrived: float, order: LoadOrder) -> None:
        self._interactive_batch = self._background_batch = None
        self._peak.reset()
        self._is_loading, usage = True, read_usage(self._watcher.beat())
        try:
            reading, began = Stopwatch(), time.monotonic()
            loaded, self._interactive_batch, self._background_batch = _computed_by(
                order.dtype
            ).load(order, self._control, self._peak, self._watcher, self._progress, reading)
            self._max_batch_size = order.batch
            memory, now = self._peak.sample(), time.monotonic()
            figures = LoadFigures(
                load_s=self._import_s + now - arrived,
                import_s=self._import_s,
                read_s=reading.seconds,
                prepare_s=now - began - reading.seconds,
                memory=memory,
                peak=(self._peak.private, self._peak.mapped),
                lost=lost_cores(usage, read_usage(self._watcher.beat()), order.threads),
                threads=order.threads,
            )
            event = loaded_event(loaded, Path(order.checkpoint), figures)
        except Exception as error:
            self._interactive_batch = self._background_batch = None
            self._channel.send(failure_event(error))
            return
        finally:
            self._is_loading = False
        self._channel.send(event)
        self._import_s = 0.0

    def _progress(self, stage: str) -> Progress:
        """A function of (done, total) that tells the parent, ten times a second at most."""
        last = 0.0

        def report(done: int, total: int) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last >= _PROGRESS_S or done in (0, total):
                last = now
                self._channel.send(Load(stage, done, total))

        return report

    def _queue_requests(self, order: AnswerOrder) -> None:
        """Put the requests in line; `_advance` answers them."""
        self._control.preempt_requested = False
        for request in order.requests:
            if self._background_batch is None:
                error = RuntimeError("no model is loaded")
                self._channel.send(failure_event(error, request.answer))
            elif request.background:
                self._background_queue.append(request)
            else:
                self._interactive_queue.append(request)

    def _advance(self) -> None:
        """Admit a waiting request where the batch has room, else decode one token for each row;
        interactive requests go before background ones."""
        if self._interactive_batch is None or self._background_batch is None:
            return
        size = self._max_batch_size
        if self._interactive_batch is self._background_batch:
            # Of one batch for both a person has a place that nobody else takes.
            is_asked = bool(self._interactive_queue)
            line = self._interactive_queue if is_asked else self._background_queue
            self._serve(self._interactive_batch, line, size + is_asked)
        elif self._interactive_queue or self._interactive_batch:
            self._background_batch.mark_contended()
            self._serve(self._interactive_batch, self._interactive_queue, size)
        else:
            self._serve(self._background_batch, self._background_queue, size)

    def _serve(
        self, batch: "DecodeBatch | LlamaBatch", line: deque[DecodeRequest], size: int
    ) -> None:
        if line and not batch.is_full and len(batch) < (size if batch.can_batch else 1):
            # One at a time: an order may have come meanwhile.
            self._send_events(batch.admit(line.popleft()))
            if batch.deferred:
                line.appendleft(batch.deferred)
        else:
            self._send_events(batch.step())

    def _send_events(self, events: Iterable[tuple[int, Body]]) -> None:
        """Tokens are sent at most every `SEND_TOKENS_S`: each time the parent is woken, the
        threads that compute wait for the core that it takes."""
        for t_ns, body in events:
            self._channel.hold(body, t_ns)
            if not isinstance(body, Delta | Logprobs):
                self._channel.flush()
        if self._channel.held_s >= SEND_TOKENS_S:
            self._channel.flush()


def _lower_priority() -> None:
    """Lower the priority of this thread and of the OpenMP threads it starts, so that the control
    thread runs at once: a cancel is heard in 1 ms instead of 5 (`benchmarks/cancel.py`)."""
    own = threading.get_native_id()
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, own, os.getpriority(os.PRIO_PROCESS, own) + NICE)
