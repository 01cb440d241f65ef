"""The keys and values of a learned prefix (`tui.checkpoints.learned_prefix`), as the cache of a
model holds them.

Upstream gives a prefix no positions: its keys are not rotated, and the conversation's first token
has position 0. Here the conversation stands behind the prefix, at the positions that its place in
the cache has, as every conversation does. Rotating the prefix's keys by that same distance makes
the attention what it was, for it sees only the difference of two positions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers.models.glm.modeling_glm import apply_rotary_pos_emb

from tui.checkpoints.learned_prefix import (
    EMBEDDING,
    PREFIX_ENCODER,
    PROJECTION,
    LearnedPrefix,
)
from tui.worker.load.shards import read_tensors


@dataclass(frozen=True, slots=True)
class PrefixStates:
    """Keys and values (1, heads, tokens, head size) of each layer."""

    layers: Sequence[tuple[torch.Tensor, torch.Tensor]]
    tokens: int

    def begin(self, cache: Any) -> int:
        """Have an empty cache begin with them; how many tokens it holds then."""
        for number, (keys, values) in enumerate(self.layers):
            cache.update(keys.clone(), values.clone(), number)
        return self.tokens


@torch.inference_mode()  # type: ignore[untyped-decorator]
def prefix_states(prefix: LearnedPrefix, model: Any) -> PrefixStates:
    """What a prefix puts before the conversations of a model, in the dtype of its activations."""
    stored = {
        name.removeprefix(PREFIX_ENCODER): tensor.float()
        for file in prefix.files
        for name, tensor in read_tensors(file)
        if name.startswith(PREFIX_ENCODER)
    }
    each = stored[EMBEDDING]
    if prefix.is_projected:
        weight, bias, weight_2, bias_2 = (stored[name] for name in PROJECTION)
        each = torch.tanh(each @ weight.T + bias) @ weight_2.T + bias_2
    config = model.config
    heads, width = config.num_key_value_heads, config.head_dim
    # (2 * layers, 1, heads, tokens, width), keys and values by turns.
    parts = each.view(prefix.tokens, -1, heads, width).permute(1, 2, 0, 3)[:, None]
    places = torch.full((1, prefix.tokens), prefix.tokens, device=model.device)
    cosine, sine = model.model.rotary_emb(each.to(model.device), places)
    made = []
    for keys, values in zip(parts[::2], parts[1::2], strict=True):
        keys, values = (part.to(model.device) for part in (keys, values))
        rotated, _ = apply_rotary_pos_emb(keys, keys, cosine, sine)
        made.append((rotated.to(config.dtype).contiguous(), values.to(config.dtype).contiguous()))
    return PrefixStates(made, prefix.tokens)
