"""Whether the answers of a model can be decoded together where its attention is not ours.

What a class does with its keys and values is its own affair (grouped heads, sliding windows, soft
caps, rotary parts, latent attention ...). If a row that is padded on its left gives what it gives
alone, it can share a batch; a list of class names would always be behind.
"""

from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import (
    DummyLayer,
    DynamicLayer,
    DynamicSlidingWindowLayer,
    LinearAttentionCacheLayerMixin,
)

from tui.worker.decode import kv_cache

_LENGTHS = (5, 13)
_MIN_LIKENESS = 0.999
"""Cosine of the logits: products of another shape are rounded in another way."""
SLOW_REMARK = (
    "some of its layers are no attention but a state that torch computes step by step, one answer "
    "at a time: a GGUF file of this model, where there is one, is faster"
)


def keeps_state(model: Any) -> bool:
    """Whether some layers hold a state in place of keys and values (linear attention, Mamba), or
    beside them (Falcon-H1)."""
    return any(
        isinstance(layer, LinearAttentionCacheLayerMixin)
        or not isinstance(layer, DynamicLayer | DummyLayer)
        for layer in _layers(model)
    )


@torch.inference_mode()  # type: ignore[untyped-decorator]
def can_pad(model: Any) -> bool:
    """Whether two rows of different length that are decoded together have the logits that each has
    alone."""
    known = (DynamicLayer, DynamicSlidingWindowLayer, DummyLayer)
    if any(type(layer) not in known for layer in _layers(model)):
        return False
    try:
        return _rows_agree(model)
    except Exception:  # a class of others can raise any exception
        return False


def _layers(model: Any) -> list[Any]:
    return list(DynamicCache(config=model.config).layers)


def _rows_agree(model: Any) -> bool:
    return all(
        float(torch.cosine_similarity(one.float(), both.float(), dim=-1)) >= _MIN_LIKENESS
        for one, both in row_logits(model)
    )


def row_logits(model: Any) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The logits of a next token that each of two rows of different length has alone, and those it
    has in a batch; a class of others can raise any exception."""
    device, size = model.device, min(model.config.get_text_config().vocab_size, 500)
    rows = [
        torch.tensor([[(7 * n + 11 * length) % size for n in range(length)]], device=device)
        for length in _LENGTHS
    ]
    alone: list[torch.Tensor] = []
    batch: Any = None
    for row in rows:
        caches = [DynamicCache(config=model.config) for _ in range(2)]
        for cache in caches:
            model(input_ids=row[:, :-1], past_key_values=cache, use_cache=True)
        out = model(input_ids=row[:, -1:], past_key_values=caches[0], use_cache=True)
        alone.append(out.logits[0, -1])
        batch = kv_cache.append_row(batch, caches[1])
    held = torch.tensor([[length - 1] for length in _LENGTHS], device=device)
    newest = torch.cat([row[:, -1:] for row in rows])
    more = padded_inputs(held, batch.get_seq_length() + 1)
    out = model(input_ids=newest, past_key_values=batch, use_cache=True, **more)
    return list(zip(alone, out.logits[:, -1], strict=True))


def padded_inputs(held: torch.Tensor, length: int) -> dict[str, torch.Tensor]:
    """Where rows stand that hold ``held`` (rows, 1) tokens and are padded on their left: positions,
    and which of ``length`` places are theirs."""
    seen = torch.arange(length, device=held.device)[None] >= length - 1 - held
    return {"position_ids": held, "attention_mask": seen.long()}
