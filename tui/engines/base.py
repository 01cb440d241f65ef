"""What a model looks like from outside: one protocol for every kind of model."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from tui.events import Body, Failed, Loaded
from tui.host.errors import UserError

EXIT_CODES = {"out_of_memory": 4, "network": 3, "provider": 3}
"""Exit codes of causes that are not the command line's own mistake."""

TimedBody = tuple[int, Body]
"""When it happened (`time.monotonic_ns`, measured where it happened) and what."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation; ``role`` is ``system``, ``user`` or ``assistant``."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class SamplingOptions:
    """How to choose tokens; None leaves the model's own default.

    ``greedy`` overrides temperature, top_p and top_k, never the repetition penalty.
    """

    greedy: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    repetition_penalty: float | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One answer asked of an engine: the whole conversation so far, ending in what is asked.

    In the ``background`` nobody waits for it: others go first. ``question`` is its id, for
    engines that look answers up (pasted, recorded).
    """

    answer: int
    messages: tuple[Message, ...]
    max_new_tokens: int
    sampling: SamplingOptions = field(default_factory=SamplingOptions)
    question: str = ""
    background: bool = False


class EngineError(UserError):
    """A model could not be loaded or served: ``cause`` is a short machine-readable word
    (``not_found``, ``unsupported``, ``damaged``, ``out_of_memory``, ``crashed``,
    ``network``, ``provider``, ``missing_key``, ...), ``message`` one line for a person,
    ``next_step`` what to do about it; the exit code follows from the cause."""

    def __init__(self, cause: str, message: str, next_step: str = "") -> None:
        super().__init__(message, next_step, EXIT_CODES.get(cause))
        self.cause = cause


class Engine(Protocol):
    """A model that loads, answers and can be stopped.

    `load` and `answer` are called from the model's one thread; `cancel`, `set_threads`,
    `memory` and `close` from any.
    """

    uses_local_cores: bool
    """Whether it uses this machine's cores, so that the conductor shares them out."""

    def load(self, progress: Callable[[int, Body], None]) -> Loaded:
        """Make the model ready; again after a failure or `close` starts it anew.

        Raises:
            EngineError: it cannot be loaded.
        """
        ...

    def answer(self, requests: Sequence[Request]) -> Iterator[TimedBody]:
        """Events of the answers as they happen; each request ends in exactly one
        `Answered`, `Failed` or `Cancelled`. Never raises for what the model or the
        machine does; a lost worker fails the open requests, and `load` restarts it."""
        ...

    def cancel(self, answers: Sequence[int] | None = None) -> None:
        """Stop the given answers (all by default) as soon as possible."""
        ...

    def set_threads(self, threads: int) -> None:
        """Use this many cores from now on."""
        ...

    def memory(self) -> tuple[int, int]:
        """Private and mapped bytes right now; (0, 0) where nothing is held here."""
        ...

    def close(self) -> None:
        """Give everything back. Idempotent."""
        ...


@runtime_checkable
class Supervised(Protocol):
    """What an engine with a process of its own can also be asked, from any thread."""

    @property
    def trouble(self) -> str:
        """One line while the process does not respond, else nothing. It may come back."""
        ...

    def unexpected_exit(self) -> Failed | None:
        """Why the process is gone, where nobody ended it; None while it lives, and once
        the engine was closed."""
        ...

    def abort(self, why: Failed) -> None:
        """End the process at once; what is open, or the next look, fails with ``why``."""
        ...
