"""The child's main loop: orders come in through one thread, this one computes."""

import contextlib
import os
import queue
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui.events import Body, Load, Loaded
from tui.host.memory import trim
from tui.worker.process.control import Control
from tui.worker.process.measure import Peak, age
from tui.worker.process.wire import Channel, Message, leave

if TYPE_CHECKING:
    from tui.worker.decode.batch import Batch
    from tui.worker.decode.generate import Job

ALIVE_S = 0.2
"""Seconds between two signs of life, each with a look at the memory held."""
_PROGRESS_S = 0.1
_NICE = 3
"""Niceness of what computes; much more of it, and other programs' work is felt."""
_REST_S = 0.5
"""Seconds without an order after which memory is given back."""


class Worker:
    """One model's process: `run` imports the libraries and then obeys until the end."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._control = Control()
        self._peak = Peak()
        self._orders: queue.SimpleQueue[tuple[float, Message]] = queue.SimpleQueue()
        self._asked: deque[Job] = deque()
        self._line: deque[Job] = deque()
        self._front: Batch | None = None
        """Answers that a person waits for; while there are any, `_batch` rests."""
        self._batch: Batch | None = None
        self._room = 1
        self._import_s = 0.0
        self._idle_since = 0.0
        """When the libraries were imported, until the first load: waiting is not loading."""

    def run(self) -> None:
        """Never returns: the process ends in the control thread."""
        self._channel.listen(self._handle)
        threading.Thread(target=self._beat, name="alive", daemon=True).start()
        _give_way()
        self._channel.send(Load("import"))
        began = time.monotonic()
        _import_libraries()
        self._idle_since = time.monotonic()
        self._import_s = self._idle_since - began
        while True:
            if (found := self._next()) is None:
                self._advance()
                continue
            arrived, order = found
            if order["op"] == "load":
                self._load(arrived, order)
            else:
                self._answer(order)

    def _next(self) -> tuple[float, Message] | None:
        """The next order and when it came; None while there is something to compute."""
        with contextlib.suppress(queue.Empty):
            return self._orders.get(timeout=0.0 if self._busy else _REST_S)
        if self._busy:
            return None
        trim()
        return self._orders.get()

    @property
    def _busy(self) -> bool:
        return bool(self._asked or self._line or self._front or self._batch)

    def _handle(self, order: Message) -> None:
        """In the control thread: what cannot wait is done here and now."""
        match order["op"]:
            case "cancel":
                self._control.cancel(order.get("answers"))
            case "threads":
                self._control.threads = max(1, int(order["threads"]))
            case "close":
                leave(0)
            case "answer":
                self._control.opened(request["answer"] for request in order["requests"])
                if not all(request.get("background") for request in order["requests"]):
                    self._control.urgent = True
                self._orders.put((time.monotonic(), order))
            case "load":
                self._control.threads = max(1, int(order["threads"]))
                self._orders.put((time.monotonic(), order))
            case unknown:
                print(f"unknown order {unknown!r}", file=sys.stderr, flush=True)

    def _beat(self) -> None:
        while True:
            self._peak.look()
            self._channel.send_raw("alive", {"steps": self._control.steps})
            time.sleep(ALIVE_S)

    def _load(self, arrived: float, order: Message) -> None:
        from tui.worker.decode.generate import failed

        self._front = self._batch = None
        try:
            loaded = self._load_now(order)
        except Exception as error:
            self._channel.send(failed(error))
            return
        if self._import_s:
            waited = max(0.0, arrived - self._idle_since)
            loaded["load_s"] = age() - waited
        else:
            loaded["load_s"] = time.monotonic() - arrived
        private, mapped = self._peak.look()
        self._channel.send(
            Loaded(import_s=self._import_s, private=private, mapped=mapped, **loaded)
        )
        self._import_s = 0.0

    def _load_now(self, order: Message) -> dict[str, Any]:
        import torch

        from tui.checkpoints.memory_estimate import REDUCED
        from tui.host.paths import cache_dir
        from tui.worker.decode.attention import attach, suits
        from tui.worker.decode.batch import Batch
        from tui.worker.decode.generate import Ready
        from tui.worker.decode.kv_cache import Kept
        from tui.worker.decode.prompt_lookup import NO_GUESSES, keeps_words
        from tui.worker.decode.sampler import resolve
        from tui.worker.gguf.convert import converted, remarks
        from tui.worker.kernels import build
        from tui.worker.load.device import fault, room
        from tui.worker.load.loader import open_checkpoint
        from tui.worker.load.prepare import held_bytes, prepared
        from tui.worker.process.control import watch

        torch.set_num_threads(max(1, int(order["threads"])))
        path, notes = Path(order["checkpoint"]), []
        if path.suffix.lower() == ".gguf":
            path = converted(path, cache_dir() / "converted", self._progress("convert"))
            notes += remarks(path)
        checkpoint = open_checkpoint(path, dict(order.get("remote_code") or {}))
        if order["dtype"] not in REDUCED:
            # The parent bounds this process's memory when it hears of the weights.
            fault()
        progress = self._progress("weights")
        progress(0, checkpoint.checkpoint_bytes)
        model, device, remark = prepared(checkpoint, order["dtype"], progress)
        trim()
        watch(model, self._control)
        if (flag := build.stop_flag()) is not None:
            self._control.share(flag)
        weights_bytes = held_bytes(model)
        context = _lowest(checkpoint.context, int(order.get("context") or 0))
        if suits(model):
            attach(model)
        ready, kept = Ready(checkpoint, model, device, context), Kept()
        lookup = bool(order.get("lookup"))
        if lookup and not keeps_words(model):
            remark.append(NO_GUESSES)
        fitting = room(model, checkpoint.cached_values, device)
        tokens = _lowest(int(order.get("tokens") or 0), fitting)
        self._front, self._batch = (
            Batch(ready, self._control, self._peak, lookup, kept, tokens) for _ in range(2)
        )
        self._room = max(1, int(order.get("batch") or 1))
        most = checkpoint.sampling.get("max_new_tokens")
        return {
            "family": checkpoint.family,
            "dtype": order["dtype"],
            "device": device,
            "parameters": checkpoint.parameters,
            "checkpoint_bytes": checkpoint.checkpoint_bytes,
            "weights_bytes": weights_bytes,
            "context": context,
            "threads": torch.get_num_threads(),
            "prompt_format": checkpoint.prompt_format,
            "sampling": resolve(checkpoint.sampling, {}).to_json()
            | ({"max_new_tokens": most} if most else {}),
            "notes": [*notes, *remark, *checkpoint.notes],
        }

    def _progress(self, stage: str) -> Any:
        """A function of (done, total) that tells the parent, ten times a second at most."""
        last = 0.0

        def report(done: int, total: int) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last >= _PROGRESS_S or done in (0, total):
                last = now
                self._channel.send(Load(stage, done, total))

        return report

    def _answer(self, order: Message) -> None:
        """Put the requests in line; `_advance` answers them."""
        from tui.worker.decode.generate import Job, failed

        self._control.urgent = False
        for request in order["requests"]:
            if self._batch is None:
                error = RuntimeError("no model is loaded")
                self._channel.send(failed(error, request["answer"]))
                continue
            job = Job(
                request["answer"],
                tuple((role, content) for role, content in request["messages"]),
                int(request["max_new_tokens"]),
                dict(request.get("sampling") or {}),
                bool(request.get("background")),
            )
            (self._line if job.background else self._asked).append(job)

    def _advance(self) -> None:
        """Whoever is in line enters where there is room; everybody in gets a token. What a
        person asks goes first, and all else rests meanwhile."""
        if self._front is None or self._batch is None:
            return
        if self._asked or self._front:
            self._batch.wait()
            self._serve(self._front, self._asked)
        else:
            self._serve(self._batch, self._line)

    def _serve(self, batch: "Batch", line: "deque[Job]") -> None:
        if line and not batch.full and len(batch) < (self._room if batch.joins else 1):
            # One at a time: an order may have come meanwhile.
            self._tell(batch.enter(line.popleft()))
            if batch.left:
                line.appendleft(batch.left)
        else:
            self._tell(batch.step())

    def _tell(self, events: Iterable[tuple[int, Body]]) -> None:
        for t_ns, body in events:
            self._channel.send(body, t_ns)


def _lowest(*bounds: int) -> int:
    """The lowest of several bounds, of which 0 is none."""
    return min((bound for bound in bounds if bound), default=0)


def _give_way() -> None:
    """Have this thread, and those that it starts to compute, leave the core to whoever has
    something short to do: the control thread, the screen. Where all cores compute, a cancel is
    heard so in 1 ms instead of 5 (`benchmarks/cancel.py`)."""
    own = threading.get_native_id()
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, own, os.getpriority(os.PRIO_PROCESS, own) + _NICE)


def _import_libraries() -> None:
    """Everything heavy that any model needs, so that it is done before a load is asked."""
    import torch
    import transformers.modeling_utils  # noqa: F401

    import tui.worker.decode.batch
    import tui.worker.decode.generate
    import tui.worker.load.loader  # noqa: F401

    torch.set_grad_enabled(False)
