"""What decoding must know of a checkpoint, whatever its family."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tui.checkpoints.learned_prefix import LearnedPrefix
from tui.text.thought import AnswerSplitter, ThoughtFormat

Turn = tuple[str, str]
"""(role, content); roles are ``system``, ``user`` and ``assistant``."""
Progress = Callable[[int, int], None]
"""Called with what is done and the total, in bytes."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """The exact ids a model is fed, and how many of the oldest turns did not fit."""

    ids: list[int]
    dropped_turns: int = 0
    opens_thought: bool = False
    """Whether it ends in the mark that opens a thought: the answer begins with one."""
    note: str = ""
    """What of the thinking that was asked for could not be told; one line."""


class ChatTokenizer(Protocol):
    """Text to ids and back, as the checkpoint's official code does it."""

    def encode(self, text: str) -> list[int]:
        """Ids of text as message content; never a special or control token."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids; bytes that do not (yet) make a character become U+FFFD."""
        ...

    def encode_chat(
        self, turns: Sequence[Turn], max_new_tokens: int = 0, think: str = ""
    ) -> Prompt:
        """The prompt of a conversation that ends in a user turn.

        The oldest turns are left out where prompt and ``max_new_tokens`` together
        exceed the context. ``think`` is one of `tui.options.THINK`, or "" for the model's own
        way.

        Raises:
            CheckpointError: not even the last turn fits.
        """
        ...


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A class of transformers, its configuration, the shapes of its parameters, and ``empty``, a
    model of it without memory. ``tied`` are the names of the output head and of the table of words
    that it is in the files; an adapter may separate them (``config.tie_word_embeddings``)."""

    model_class: Any
    config: Any
    shapes: dict[str, tuple[int, ...]]
    empty: Any
    tied: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """An opened checkpoint: everything but the weights. ``family`` is the name of the module that
    reads it, ``architecture`` what the checkpoint calls itself.

    ``sampling_defaults`` holds the model's own defaults (``temperature``, ``top_p``, ``top_k``,
    ``repetition_penalty``, ``do_sample``, ``max_new_tokens`` where given);
    ``prompt_format`` is a word for people (``chatml``, ``chatglm3``, ``template``,
    ``completion``); ``new_splitter(opens_thought)`` makes what tells thought and answer apart in
    one decoded answer; ``thought`` is how a thought is written (None: there is none), and
    ``thought_ending`` the ids that end one early.
    """

    path: Path
    family: str
    architecture: str
    tokenizer: ChatTokenizer
    stop_ids: frozenset[int]
    context: int
    prompt_format: str
    parameters: int
    checkpoint_bytes: int
    kv_values_per_token: int
    """Values that a token adds to the keys and values of all layers."""
    build: Callable[[str, Progress], Any]
    """``build(dtype, progress) -> torch.nn.Module`` in eval mode on the CPU; dtype is
    ``bf16``, ``fp16`` or ``fp32``; ``progress(done, total)`` counts bytes."""
    build_deferred: Callable[[str, Progress], Any]
    """The same as a `tui.worker.load.deferred.DeferredModel`: experts, and what the files hold
    reduced, are not read yet."""
    stored: str = "bf16"
    """What the files hold most of their weights as: ``bf16``, ``fp16``, ``fp32``, or the label of
    a `StoredQuantisation`."""
    plain_dtype: str = "bf16"
    """What the files hold most of those weights as that are not reduced: in it these stay views
    of the mapped files."""
    model_spec: Callable[[], ModelSpec] | None = None
    """What the model is before it has weights; None where the class is not of transformers."""
    new_splitter: Callable[[bool], AnswerSplitter] = lambda _: AnswerSplitter()
    thought: ThoughtFormat | None = None
    thought_ending: tuple[int, ...] = ()
    sampling_defaults: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    adapter: Path | None = None
    """The folder of a LoRA adapter that is merged into the weights."""
    prefix: LearnedPrefix | None = None
    """What is learned to stand before every conversation."""
