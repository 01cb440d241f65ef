"""What the control thread tells the computing thread, and how a forward pass is stopped."""

import ctypes
import threading
from collections.abc import Iterable
from typing import Any


class ForwardAborted(BaseException):
    """Raised inside a forward pass to leave it. No handler for ordinary errors stops it."""


class Control:
    """Shared between the control thread, which writes, and the computing thread.

    ``steps`` counts parts of decoder layers entered (a sign of life, also during a long
    prefill), ``threads`` is a number of threads to change to, or 0. ``preempt_requested``: somebody
    waits for an answer; ``is_preemptible``: what is computed now can be begun again later.
    """

    def __init__(self) -> None:
        self._flag = ctypes.c_int(0)
        self.steps = 0
        self.threads = 0
        self.preempt_requested = self.is_preemptible = False
        self._lock = threading.Lock()
        self._open: set[int] = set()
        self._stopped: set[int] = set()
        self._current: frozenset[int] = frozenset()

    @property
    def is_stopped(self) -> bool:
        """Whether the answer being computed is to be left."""
        return bool(self._flag.value)

    def share_stop_flag(self, flag: ctypes.c_int) -> None:
        """Store ``is_stopped`` in this variable (1 or 0), which the kernels read."""
        with self._lock:
            flag.value = self._flag.value
            self._flag = flag

    def register(self, answers: Iterable[int]) -> None:
        """These answers were asked for; from now on they can be cancelled."""
        with self._lock:
            self._open.update(answers)

    def cancel(self, answers: Iterable[int] | None) -> None:
        """Stop these answers, all open ones for None; unknown ones are ignored."""
        with self._lock:
            self._stopped |= self._open if answers is None else self._open & set(answers)
            self._decide()

    def cancelled(self, answers: Iterable[int]) -> set[int]:
        """Those of the answers that are to be left."""
        with self._lock:
            return self._stopped & set(answers)

    def set_current(self, answers: Iterable[int]) -> None:
        """The computing thread turns to these answers together: only when all of them are
        cancelled is a pass that serves all of them left."""
        with self._lock:
            self._current = frozenset(answers)
            self._decide()

    def begin(self, answer: int) -> None:
        """The computing thread turns to this answer.

        Raises:
            ForwardAborted: it was cancelled while it waited.
        """
        self.set_current((answer,))
        self.check()

    def end(self, answer: int) -> None:
        """The computing thread is done with this answer."""
        with self._lock:
            self._current = frozenset()
            self._flag.value = 0
            self._open.discard(answer)
            self._stopped.discard(answer)

    def _decide(self) -> None:
        self._flag.value = bool(self._current) and self._current <= self._stopped

    def check(self) -> None:
        """Raises `ForwardAborted` where the current answer was cancelled, or gives way."""
        if self.is_stopped or (self.preempt_requested and self.is_preemptible):
            raise ForwardAborted


_FEED_FORWARD = ("mlp", "feed_forward")
_LAST_PROJECTIONS = ("down_proj", "dense_4h_to_h", "c_proj")
"""Names of a feed-forward part's last projection."""


def install_stop_hooks(model: Any, control: Control) -> None:
    """Let ``control`` stop ``model`` before every decoder layer, its feed-forward part, and that
    part's last projection: a third, 44 and 22 % of a layer's weights apart in Llama's 7B.

    A test between tokens only would wait for a whole prefill, which takes seconds. Our own
    kernels look by themselves (`build.stop_flag`), within a layer's part and in the head.
    """

    def before(_module: Any, _arguments: Any) -> None:
        control.steps += 1
        control.check()

    for layer in decoder_layers(model):
        layer.register_forward_pre_hook(before)
        for part in _named(layer, _FEED_FORWARD):
            part.register_forward_pre_hook(before)
            for projection in _named(part, _LAST_PROJECTIONS):
                projection.register_forward_pre_hook(before)


def _named(module: Any, names: Iterable[str]) -> list[Any]:
    """Those of a module's children that have one of the names."""
    return [child for name, child in module.named_children() if name in names]


def decoder_layers(model: Any) -> list[Any]:
    """The decoder layers: the longest list of modules in the model."""
    lists = [list(m) for m in model.modules() if type(m).__name__ == "ModuleList"]
    return max(lists, key=len, default=[])
