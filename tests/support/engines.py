"""An engine without weights: real threads and timing, so that scheduling can be tested."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence

from tui import events as ev
from tui.engines.base import EngineDefaults, EngineError, Request
from tui.events import Body, Loaded, TimedBody


class EchoEngine(EngineDefaults):
    """Answers with the last message, a word a token, ``token_s`` seconds each.

    ``failing_loads`` fails that many loads, ``crash_after`` loses the worker after so many
    tokens, once. What it was told is kept in ``requests``, ``threads`` and ``log``.
    """

    def __init__(
        self,
        token_s: float = 0.002,
        load_s: float = 0.0,
        failing_loads: int = 0,
        crash_after: int = 0,
        uses_local_cores: bool = True,
        watch: list[tuple[str, int, float]] | None = None,
        name: int = 0,
    ) -> None:
        self.uses_local_cores = uses_local_cores
        self.requests: list[Request] = []
        self.threads: list[int] = []
        self.loaded = False
        self.loads = 0
        self.notes: list[str] = []
        self._token_s, self._load_s, self._failing_loads = token_s, load_s, failing_loads
        self._crash_after = crash_after
        self._watch = watch if watch is not None else []
        self._name = name
        self._cancelled: set[int] = set()
        self._closed = threading.Event()

    def load(self, progress: Callable[[int, Body], None]) -> Loaded:
        self._closed.clear()
        self.loads += 1
        self._watch.append(("load", self._name, time.monotonic()))
        progress(time.monotonic_ns(), ev.Load("weights", 1, 2))
        if self._closed.wait(self._load_s):
            raise EngineError("closed", "closed while loading")
        if self._failing_loads:
            self._failing_loads -= 1
            raise EngineError("damaged", "shard 2 of 3 is cut short", "download it again")
        self.loaded = True
        return Loaded(self._load_s, private=5_000_000, mapped=7_000_000, notes=[*self.notes])

    def answer(self, requests: Sequence[Request]) -> Iterator[TimedBody]:
        assert self.loaded, "asked before it was loaded"
        for request in requests:
            self.requests.append(request)
            self._watch.append(("answer", self._name, time.monotonic()))
            yield from self._answer_one(request)
            self._watch.append(("done", self._name, time.monotonic()))

    def _answer_one(self, request: Request) -> Iterator[TimedBody]:
        id_ = request.answer
        yield time.monotonic_ns(), ev.Started(id_, prompt_tokens=3)
        for count, word in enumerate(request.messages[-1].content.split(), 1):
            if self._closed.wait(self._token_s):
                yield time.monotonic_ns(), ev.Failed("crashed", "the worker ended", "r", id_)
                return
            if id_ in self._cancelled:
                yield time.monotonic_ns(), ev.Cancelled(id_)
                return
            yield time.monotonic_ns(), ev.Delta(id_, text=f"{word} ")
            if count == self._crash_after:
                self._crash_after, self.loaded = 0, False
                yield time.monotonic_ns(), ev.Failed("crashed", "killed by signal 11", "r", id_)
                return
        yield time.monotonic_ns(), ev.Answered(id_, "stop", output_tokens=1)

    def cancel(self, answers: Sequence[int] | None = None) -> None:
        self._cancelled.update(answers or ())

    def set_threads(self, threads: int) -> None:
        self.threads.append(threads)

    def memory(self) -> tuple[int, int]:
        return (5_000_000, 7_000_000) if self.loaded else (0, 0)

    def close(self) -> None:
        self.loaded = False
        self._closed.set()
        self._watch.append(("close", self._name, time.monotonic()))
