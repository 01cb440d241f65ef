"""Keys and values between answers: joined for a batch, taken apart, and kept for a
conversation that goes on."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers.cache_utils import DynamicLayer

from tui.worker.decode.attention import Layer, new_cache

WORTH = 8
"""A common beginning shorter than this is computed again."""


class Kept:
    """The past of the last conversation: another that begins the same need not compute
    its beginning again. Holds at most one."""

    def __init__(self) -> None:
        self._ids: list[int] = []
        self._cache: Any = None

    def put(self, ids: Sequence[int], cache: Any) -> None:
        """Keep the past of ``ids``; ``cache`` holds one row and is no longer used."""
        held = cache.get_seq_length()
        self._ids, self._cache = list(ids[:held]), cache

    def take(self, model: Any, ids: Sequence[int]) -> tuple[Any, int]:
        """A cache for a prompt and how many of its tokens it holds already; at least the
        last is left to be computed."""
        shared = common(self._ids, ids[:-1])
        if self._cache is None or shared < WORTH or not _ours(self._cache):
            return new_cache(model), 0
        return row_of(model, self._cache, 0, len(self._ids), shared), shared

    def forget(self) -> None:
        """Give the memory back."""
        self._ids, self._cache = [], None


def common(one: Sequence[int], other: Sequence[int]) -> int:
    """Tokens with which both begin."""
    most = min(len(one), len(other))
    return next((n for n in range(most) if one[n] != other[n]), most)


def joined(batch: Any, row: Any) -> Any:
    """``batch`` with the one ``row`` added: the shorter of the two gets zeros on its left,
    which the attention mask hides. Either is used up."""
    if batch is None:
        return row
    for old, new in zip(batch.layers, row.layers, strict=True):
        old.fold()
        new.fold()
        length = max(old.keys.shape[-2], new.keys.shape[-2])
        old.keys = torch.cat((_padded(old.keys, length), _padded(new.keys, length)))
        old.values = torch.cat((_padded(old.values, length), _padded(new.values, length)))
        new.keys = new.values = None
    return batch


def without(batch: Any, row: int, longest: int) -> None:
    """Remove a row, and the padding that the longest of the others does not need."""
    for layer in batch.layers:
        layer.fold()
        stay = [n for n in range(layer.keys.shape[0]) if n != row]
        layer.keys = layer.keys[stay][..., -longest:, :].contiguous()
        layer.values = layer.values[stay][..., -longest:, :].contiguous()


def row_of(model: Any, batch: Any, row: int, length: int, first: int | None = None) -> Any:
    """A copy of one row's past without padding: all ``length`` tokens, or the ``first``."""
    made = new_cache(model)
    for new, layer in zip(made.layers, batch.layers, strict=True):
        layer.fold()
        start = layer.keys.shape[-2] - length
        end = start + (length if first is None else first)
        keys, values = (
            part[row : row + 1, :, start:end].clone() for part in (layer.keys, layer.values)
        )
        new.lazy_initialization(keys, values)
        new.keys, new.values = keys, values
    return made


def can_shrink(cache: Any) -> bool:
    """Whether the newest tokens can be taken back, as guessed ones must be."""
    return all(type(layer) in (Layer, DynamicLayer) for layer in cache.layers)


def _ours(cache: Any) -> bool:
    return all(type(layer) is Layer for layer in cache.layers)


def _padded(part: torch.Tensor, length: int) -> torch.Tensor:
    return torch.nn.functional.pad(part, (0, 0, length - part.shape[-2], 0))
