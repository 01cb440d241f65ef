"""Attention of one new token over a long past, and the keys and values it needs.

For a single query torch's fused attention is several times slower on a CPU than two
matrix products with a softmax between them. And appending one token to tensors that hold
the whole past copies all of it, each token, each layer: here new tokens gather in a short
tail, and only a full tail is joined to the past.
"""

from typing import Any

import torch
from transformers import AttentionInterface, DynamicCache
from transformers.cache_utils import DynamicLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

NAME = "duibi"
TAIL = 64
"""Tokens that gather before they are joined to the past."""
_PLAIN = ("LlamaForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM", "GlmForCausalLM")
"""Classes whose attention hands keys and values from the cache straight to the attention
function and sees the whole past in every layer."""

Pair = tuple[torch.Tensor, torch.Tensor]


class Layer(DynamicLayer):  # type: ignore[misc]
    """Keys and values of one layer: ``keys`` and ``values`` are the past, and a tail
    beside them, (batch, heads, tokens, width) all of them."""

    def __init__(self) -> None:
        super().__init__()
        self.tail: Pair | None = None

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[Any, Any]:
        """Append; for one new token gives ``(past, tail)`` in the place of each."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.keys, self.values = key_states, value_states
            return self.keys, self.values
        if key_states.shape[-2] > 1:
            self.fold()
            self.keys = torch.cat((self.keys, key_states), -2)
            self.values = torch.cat((self.values, value_states), -2)
            return self.keys, self.values
        if self.tail is None:
            self.tail = key_states, value_states
        else:
            self.tail = (
                torch.cat((self.tail[0], key_states), -2),
                torch.cat((self.tail[1], value_states), -2),
            )
        given = (self.keys, self.tail[0]), (self.values, self.tail[1])
        if self.tail[0].shape[-2] >= TAIL:
            self.fold()
        return given

    def fold(self) -> None:
        """Join the tail to the past."""
        if self.tail is not None:
            self.keys = torch.cat((self.keys, self.tail[0]), -2)
            self.values = torch.cat((self.values, self.tail[1]), -2)
            self.tail = None

    def get_seq_length(self) -> int:
        """Tokens held."""
        held: int = super().get_seq_length()
        return held + (0 if self.tail is None else int(self.tail[0].shape[-2]))


def suits(model: Any) -> bool:
    """Whether a model's attention can be ours, and its answers decoded as a batch."""
    return type(model).__name__ in _PLAIN and not getattr(model.config, "sliding_window", None)


def attach(model: Any) -> None:
    """Have a model that `suits` use this attention."""
    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    model.set_attn_implementation(NAME)


def new_cache(model: Any) -> Any:
    """An empty cache for a model, ours where its attention is."""
    made = DynamicCache(config=model.config)
    if model.config._attn_implementation == NAME:
        made.layers = [Layer() for _ in made.layers]
    return made


def attend(
    module: Any,
    query: torch.Tensor,
    key: Any,
    value: Any,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **more: Any,
) -> tuple[torch.Tensor, None]:
    """softmax(q k / sqrt(width)) v, for one query token over a past and a tail; anything
    else goes to torch's own."""
    if not isinstance(key, tuple):
        found: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **more
        )
        return found
    batch, heads, _, width = query.shape
    groups = key[0].shape[1]
    grouped = (query * (scaling or width**-0.5)).reshape(batch, groups, heads // groups, width)
    scores = torch.cat([grouped @ part.transpose(-1, -2) for part in key], -1).float()
    if attention_mask is not None:
        scores = scores.masked_fill(~attention_mask, -torch.inf)
    weights = scores.softmax(-1).to(query.dtype)
    split = key[0].shape[-2]
    out = weights[..., :split] @ value[0] + weights[..., split:] @ value[1]
    return out.reshape(batch, 1, heads, width), None
