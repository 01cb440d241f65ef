"""What a model looks like from outside: one protocol for every kind of model."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tui.events import Body, Failed, Loaded, TimedBody
from tui.host.errors import EXIT_MEMORY, EXIT_NETWORK, UserError

EXIT_CODES = {"out_of_memory": EXIT_MEMORY, "network": EXIT_NETWORK, "provider": EXIT_NETWORK}
"""Exit codes of causes that are not the command line's own mistake."""


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
    logprobs: int | None = None
    """Of each step so many likeliest tokens are told; no token is chosen otherwise."""


@dataclass(frozen=True, slots=True)
class Request:
    """One answer asked of an engine: the whole conversation so far, ending in what is asked.

    In the ``background`` nobody waits for it: others go first. ``question`` is its id, for
    engines that look answers up (pasted, recorded). ``prompt_tokens`` above 0 makes it a measure
    (`tui.worker_protocol.DecodeRequest`), which only an engine with `can_be_measured` takes.
    ``think`` is one of `tui.options.THINK` ("": the model's own way); a thought is ended after
    ``think_tokens`` (None: by the model), which do not count for ``max_new_tokens``. ``column``: of
    those that share an engine, the one that asks.
    """

    answer: int
    messages: tuple[Message, ...]
    max_new_tokens: int
    sampling: SamplingOptions = field(default_factory=SamplingOptions)
    question: str = ""
    background: bool = False
    prompt_tokens: int = 0
    think: str = ""
    think_tokens: int | None = None
    column: int = 0


class EngineError(UserError):
    """A model could not be loaded or served: ``cause`` is a short machine-readable word
    (``not_found``, ``unsupported``, ``damaged``, ``out_of_memory``, ``crashed``,
    ``network``, ``provider``, ``missing_key``, ...), ``message`` one line for a person,
    ``next_step`` what to do about it; the exit code follows from the cause."""

    def __init__(self, cause: str, message: str, next_step: str = "") -> None:
        super().__init__(message, next_step, EXIT_CODES.get(cause))
        self.cause = cause


class Engine(Protocol):
    """A model that loads, answers and can be stopped: all that a run uses of it.

    `load` is called by one thread at a time. `answer` is called by several threads at once, as
    many as ``concurrency`` and ``interactive_slots`` together; everything else by any thread.
    """

    uses_local_cores: bool
    """Whether it uses this machine's cores, so that the run shares them out."""

    concurrency: int
    """How many background answers it takes at once."""

    interactive_slots: int
    """How many interactive answers it takes beside those; 0: they share ``concurrency``."""

    has_process: bool
    """Whether it runs in a process of its own, which can be lost or has to be ended."""

    can_ask_elsewhere: bool
    """Whether another server can give an answer that broke off at one."""

    can_be_measured: bool
    """Whether the standard measure (`tui.engines.standard_measure`) can be taken of it."""

    @property
    def pid(self) -> int | None:
        """The id of its process while there is one."""
        ...

    @property
    def trouble(self) -> str:
        """One line while the process does not respond, else nothing. It may come back."""
        ...

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

    def pending_pastes(self) -> tuple[int, ...]:
        """The answers that a person is asked to paste, oldest first."""
        ...

    def paste(self, answer: int, text: str) -> bool:
        """Give the text of an answer that a person pasted; whether it was waited for."""
        ...

    def set_threads(self, threads: int) -> None:
        """Use this many cores from now on."""
        ...

    def memory(self) -> tuple[int, int]:
        """Private and mapped bytes right now; (0, 0) where nothing is held here."""
        ...

    def unexpected_exit(self) -> Failed | None:
        """Why the process is gone, where nobody ended it; None while it lives, and once
        the engine was closed."""
        ...

    def abort(self, why: Failed) -> None:
        """End the process at once; open answers and the next load fail with ``why``."""
        ...

    def close(self) -> None:
        """Give everything back. Idempotent."""
        ...


class EngineDefaults:
    """What `Engine` says of a model without a process of its own, that computes nothing here,
    takes one answer at a time and no pastes. A base class; ``uses_local_cores`` is for each
    engine to say."""

    concurrency: int = 1
    interactive_slots: int = 0
    has_process: bool = False
    can_ask_elsewhere: bool = False
    can_be_measured: bool = False
    pid: int | None = None
    trouble: str = ""

    def pending_pastes(self) -> tuple[int, ...]:
        """No answer is pasted."""
        return ()

    def paste(self, answer: int, text: str) -> bool:
        """No answer is pasted."""
        return False

    def set_threads(self, threads: int) -> None:
        """Nothing is computed here."""

    def memory(self) -> tuple[int, int]:
        """Nothing is held here."""
        return 0, 0

    def unexpected_exit(self) -> Failed | None:
        """There is no process."""
        return None

    def abort(self, why: Failed) -> None:
        """There is no process."""
