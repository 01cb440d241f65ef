"""A KV cache layer for decode steps. Appending one token to tensors that hold the whole cache
copies all of it, each token, each layer: here new tokens are written to a small buffer, which is
concatenated to the main tensors only when it is full."""

from typing import Any

import torch
from transformers.cache_utils import DynamicLayer

BUFFER_TOKENS = 64
"""Tokens that the buffer holds before they are concatenated to the main tensors."""
MAX_STEP_TOKENS = 9
"""New tokens at most that go to the buffer: one, and those that were guessed after it
(`prompt_lookup.MAX_GUESSED`)."""

KeyValuePair = tuple[torch.Tensor, torch.Tensor]


class BufferedCacheLayer(DynamicLayer):  # type: ignore[misc]
    """Keys and values of one layer: ``keys`` and ``values`` are the main tensors, (batch, heads,
    tokens, width); `buffer` has room for `BUFFER_TOKENS` more tokens, of which ``buffered`` are
    used."""

    def __init__(self) -> None:
        super().__init__()
        self.buffer: KeyValuePair | None = None
        self.buffered = 0

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[Any, Any]:
        """Append; for a few new tokens returns ``(main tensor, buffer)`` for keys and for
        values."""
        count = key_states.shape[-2]
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            # They come as views across the heads. Products in bfloat16 would copy such views
            # whole, for each token.
            self.keys, self.values = key_states.contiguous(), value_states.contiguous()
            return self.keys, self.values
        if count > MAX_STEP_TOKENS:
            self.flush()
            self.keys = torch.cat((self.keys, key_states), -2)
            self.values = torch.cat((self.values, value_states), -2)
            return self.keys, self.values
        start, (keys, values) = self.reserve(count)
        keys[..., start : self.buffered, :] = key_states
        values[..., start : self.buffered, :] = value_states
        return (
            (self.keys, keys[..., : self.buffered, :]),
            (self.values, values[..., : self.buffered, :]),
        )

    def reserve(self, count: int) -> tuple[int, KeyValuePair]:
        """The buffer, and where in it ``count`` more tokens belong; a buffer without room for
        them is flushed first."""
        if self.buffered + count > BUFFER_TOKENS:
            self.flush()
        if self.buffer is None:
            batch, heads, _, width = self.keys.shape
            keys, values = (
                self.keys.new_empty((batch, heads, BUFFER_TOKENS, width)) for _ in range(2)
            )
            self.buffer = keys, values
        start = self.buffered
        self.buffered += count
        return start, self.buffer

    def crop(self, tokens_to_remove: int) -> None:
        """Forget so many of the newest tokens (a negative number), all of them in the buffer."""
        self.buffered += tokens_to_remove

    def flush(self) -> None:
        """Concatenate the buffer to the main tensors."""
        if self.buffer is not None and self.buffered:
            keys, values = (part[..., : self.buffered, :] for part in self.buffer)
            self.keys = torch.cat((self.keys, keys), -2)
            self.values = torch.cat((self.values, values), -2)
        self.buffer, self.buffered = None, 0

    def get_seq_length(self) -> int:
        """Tokens held."""
        held: int = super().get_seq_length()
        return held + self.buffered
