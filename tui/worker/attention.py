"""Attention of a few new tokens over a long past, and the keys and values it needs.

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

from tui.worker import between, native

NAME = "duibi"
TAIL = 64
"""Tokens that gather before they are joined to the past."""
FEW = 9
"""New tokens at most that join the tail: one, and those that were guessed after it."""
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
        """Append; for a few new tokens gives ``(past, tail)`` in the place of each."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            # As they come they are views across the heads, and products in bfloat16 copy such
            # views whole: for each token, all that was said before.
            self.keys, self.values = key_states.contiguous(), value_states.contiguous()
            return self.keys, self.values
        if not self.room:
            self.fold()
        if key_states.shape[-2] > min(FEW, self.room):
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
        return (self.keys, self.tail[0]), (self.values, self.tail[1])

    @property
    def room(self) -> int:
        """Tokens that the tail can still take."""
        return TAIL - (0 if self.tail is None else int(self.tail[0].shape[-2]))

    def crop(self, tokens_to_remove: int) -> None:
        """Forget so many of the newest tokens (a negative number), all of them in the tail."""
        if tokens_to_remove and self.tail is not None:
            keys, values = self.tail
            self.tail = keys[..., :tokens_to_remove, :], values[..., :tokens_to_remove, :]

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
    """Have a model that `suits` use this attention, and our norms and gates."""
    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    model.set_attn_implementation(NAME)
    between.attach(model)


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
    """softmax(q k / sqrt(width)) v, for a few query tokens over a past and a tail; anything
    else goes to torch's own. Every row is computed as it would be alone."""
    if not isinstance(key, tuple):
        found: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **more
        )
        return found
    batch, heads, count, width = query.shape
    if between.takes(query, width) and not native.missing():
        return _by_kernel(query, key, value, attention_mask, scaling or width**-0.5), None
    groups = key[0].shape[1]
    shared = heads // groups * count
    grouped = (query * (scaling or width**-0.5)).reshape(batch, groups, shared, width)
    scores = torch.cat([grouped @ part.transpose(-1, -2) for part in key], -1).float()
    if attention_mask is None and count > 1:
        length = scores.shape[-1]
        seen = torch.arange(length, device=scores.device)
        attention_mask = (seen <= seen[-count:, None])[None, None]
    if attention_mask is not None:
        each = scores.view(batch, groups, -1, count, scores.shape[-1])
        scores = each.masked_fill(~attention_mask[:, :, None], -torch.inf).view(scores.shape)
    weights = scores.softmax(-1).to(query.dtype)
    split = key[0].shape[-2]
    out = weights[..., :split] @ value[0] + weights[..., split:] @ value[1]
    return out.reshape(batch, heads, count, width).transpose(1, 2), None


def _by_kernel(
    query: torch.Tensor,
    key: Pair,
    value: Pair,
    mask: torch.Tensor | None,
    scaling: float,
) -> torch.Tensor:
    batch, heads, count, width = query.shape
    asked = query.transpose(1, 2).contiguous()
    found = torch.empty_like(asked)
    parts = [part.contiguous() for part in (*key, *value)]
    _, groups, tokens, _ = key[0].shape
    late = key[1].shape[-2]
    if mask is not None:
        mask = mask.expand(batch, 1, count, tokens + late).contiguous()
    if native.library().duibi_attend(
        *(asked.data_ptr(), batch, count, heads, groups, width),
        *(part.data_ptr() for part in parts),
        *(tokens, late, None if mask is None else mask.data_ptr(), scaling),
        *(found.data_ptr(), between.half(query)),
    ):
        raise MemoryError("not enough memory for the attention of a layer")
    return found
