"""What decoding must know of a checkpoint, whatever its family."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

Turn = tuple[str, str]
"""(role, content); roles are ``system``, ``user`` and ``assistant``."""
Progress = Callable[[int, int], None]
"""Called with what is done and the total, in bytes."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """The exact ids a model is fed, and how many of the oldest turns did not fit."""

    ids: list[int]
    dropped_turns: int = 0


class ChatTokenizer(Protocol):
    """Text to ids and back, as the checkpoint's official code does it."""

    def encode(self, text: str) -> list[int]:
        """Ids of text as message content; never a special or control token."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids; bytes that do not (yet) make a character become U+FFFD."""
        ...

    def encode_chat(self, turns: Sequence[Turn], max_new_tokens: int = 0) -> Prompt:
        """The prompt of a conversation that ends in a user turn.

        The oldest turns are left out where prompt and ``max_new_tokens`` together
        exceed the context.

        Raises:
            CheckpointError: not even the last turn fits.
        """
        ...


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """An opened checkpoint: everything but the weights. ``family`` is the name of the module that
    reads it, ``architecture`` what the checkpoint calls itself.

    ``sampling_defaults`` holds the model's own defaults (``temperature``, ``top_p``, ``top_k``,
    ``repetition_penalty``, ``do_sample``, ``max_new_tokens`` where given);
    ``prompt_format`` is a word for people (``chatml``, ``chatglm3``, ``template``,
    ``completion``); ``split_partial`` turns the decoded answer into (reasoning, text) as a
    reader should see it, and must be monotonic: given more, it never takes back what it
    gave, except a tail that `decode` marked as unfinished. ``split_complete`` is the same for an
    answer that is complete: what `split_partial` held back in doubt is in it.
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
    model_spec: Callable[[], tuple[Any, Any, dict[str, tuple[int, ...]]]] | None = None
    """``model_spec() -> (class, its configuration, shapes of its parameters)`` without
    memory; None where the class is not of transformers."""
    split_partial: Callable[[str], tuple[str, str]] = lambda text: ("", text)
    split_complete: Callable[[str], tuple[str, str]] = lambda text: ("", text)
    sampling_defaults: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
