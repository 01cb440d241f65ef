"""KV caches of several answers: concatenated for a batch, split again, and kept for the next
turn of a conversation."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from tui.worker.decode.attention import new_kv_cache
from tui.worker.decode.buffered_cache import BufferedCacheLayer

MIN_SHARED_TOKENS = 8
"""A common beginning shorter than this is computed again."""


class PrefixCache:
    """Keys and values of the last conversation, so that a prompt of the same column with the same
    beginning does not compute it again. Holds at most one."""

    def __init__(self) -> None:
        self._ids: list[int] = []
        self._cache: Any = None
        self._column = 0

    def store(self, ids: Sequence[int], cache: Any, column: int) -> None:
        """Keep the cache of ``ids``; it holds one row, and the caller uses it no more."""
        held = cache.get_seq_length()
        self._ids, self._cache, self._column = list(ids[:held]), cache, column

    def restore(self, model: Any, ids: Sequence[int], column: int) -> tuple[Any, int]:
        """A cache for a prompt and how many of its tokens it holds already; at least the
        last is left to be computed."""
        known = self._ids if column == self._column else []
        shared = shared_prefix_length(known, ids[:-1])
        if self._cache is None or shared < MIN_SHARED_TOKENS or not _is_buffered(self._cache):
            return new_kv_cache(model), 0
        return extract_row(model, self._cache, 0, len(self._ids), shared), shared

    def clear(self) -> None:
        """Give the memory back."""
        self._ids, self._cache = [], None


def shared_prefix_length(one: Sequence[int], other: Sequence[int]) -> int:
    """Tokens with which both begin."""
    most = min(len(one), len(other))
    return next((n for n in range(most) if one[n] != other[n]), most)


def append_row(batch: Any, row: Any) -> Any:
    """``batch`` with the one ``row`` added: the shorter of the two gets zeros on its left,
    which the attention mask hides. Either is used up."""
    if batch is None:
        return row
    for old, new in zip(batch.layers, row.layers, strict=True):
        if not _holds(new):
            continue
        _flush(old)
        _flush(new)
        if isinstance(old, DynamicSlidingWindowLayer):
            old.cumulative_length = max(old.cumulative_length, new.cumulative_length)
        length = max(old.keys.shape[-2], new.keys.shape[-2])
        old.keys = torch.cat((_pad_left(old.keys, length), _pad_left(new.keys, length)))
        old.values = torch.cat((_pad_left(old.values, length), _pad_left(new.values, length)))
        new.keys = new.values = None
    return batch


def remove_row(batch: Any, row: int, longest: int) -> None:
    """Remove a row, and the padding that the longest of the others does not need."""
    for layer in batch.layers:
        if not _holds(layer):
            continue
        _flush(layer)
        if isinstance(layer, DynamicSlidingWindowLayer):
            layer.cumulative_length = longest
        stay = [n for n in range(layer.keys.shape[0]) if n != row]
        layer.keys = layer.keys[stay][..., -longest:, :].contiguous()
        layer.values = layer.values[stay][..., -longest:, :].contiguous()


def extract_row(
    model: Any, batch: Any, row: int, length: int, prefix_length: int | None = None
) -> Any:
    """A copy of one row's cache without padding: ``length`` tokens, or the first
    ``prefix_length`` of them."""
    made = new_kv_cache(model)
    for new, layer in zip(made.layers, batch.layers, strict=True):
        layer.flush()
        start = layer.keys.shape[-2] - length
        end = start + (length if prefix_length is None else prefix_length)
        keys, values = (
            part[row : row + 1, :, start:end].clone() for part in (layer.keys, layer.values)
        )
        new.lazy_initialization(keys, values)
        new.keys, new.values = keys, values
    return made


def can_crop(cache: Any) -> bool:
    """Whether the newest tokens can be taken back, as guessed ones must be."""
    return all(type(layer) in (BufferedCacheLayer, DynamicLayer) for layer in cache.layers)


def _holds(layer: Any) -> bool:
    """Whether a layer has keys and values of its own: it may share those of another, or be none of
    attention."""
    return layer.is_initialized and layer.keys is not None


def _flush(layer: Any) -> None:
    if isinstance(layer, BufferedCacheLayer):
        layer.flush()


def _is_buffered(cache: Any) -> bool:
    return all(type(layer) is BufferedCacheLayer for layer in cache.layers)


def _pad_left(part: torch.Tensor, length: int) -> torch.Tensor:
    return torch.nn.functional.pad(part, (0, 0, length - part.shape[-2], 0))
