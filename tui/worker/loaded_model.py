"""A model in memory and what belongs to it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tui.worker.checkpoint import Checkpoint

if TYPE_CHECKING:
    from tui.worker.load.prefix_states import PrefixStates


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model in eval mode on its device, ready to decode.

    ``context`` bounds the tokens of prompt and answer together (0: no bound), ``max_cached_tokens``
    those that all answers hold at a time (0: no bound); ``weights_bytes`` are the weights as they
    are held; ``notes`` are remarks for a person, one line each; ``kernels`` and ``kernels_note``
    are those of `tui.events.Loaded`.
    """

    checkpoint: Checkpoint
    model: Any
    device: str = "cpu"
    context: int = 0
    dtype: str = ""
    weights_bytes: int = 0
    max_cached_tokens: int = 0
    notes: tuple[str, ...] = ()
    kernels: str = ""
    kernels_note: str = ""
    can_pad: bool = False
    """Whether rows that are padded on their left can be decoded together, where the attention is
    the class's own (`tui.worker.decode.padded_batch`)."""
    prefix: "PrefixStates | None" = None
    """Keys and values with which every conversation's cache begins."""

    @property
    def prefix_tokens(self) -> int:
        """Tokens of it."""
        return self.prefix.tokens if self.prefix else 0
