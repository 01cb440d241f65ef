"""Prompt lookup: guessing what comes next from what stands in the prompt and the answer.

Where the last few tokens occurred before, what followed them then may follow again. The
model checks all guessed tokens in one pass and only what it would have chosen itself is
taken, so that the text is the same. (Saxena 2023, "Prompt Lookup Decoding".)
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from tui.worker.decode.attention import ATTENTION_NAME
from tui.worker.decode.fused_layers import LANES
from tui.worker.kernels import build
from tui.worker.quant import fused_linear, torch_linear

MAX_GUESSED = 8
"""Tokens guessed at most: a pass over so many rows still costs about what one row costs."""
_NGRAM = 3
"""Tokens in a row that must have occurred before."""
_FIRST, _REST = 4, 4
_LONGEST_REST = 128
_ROW_DEPENDENT_LAYERS = (
    nn.Linear,
    torch_linear.TorchBf16Linear,
    torch_linear.TorchInt8Linear,
    torch_linear.WidenedInt8Linear,
    torch_linear.TorchInt4Linear,
)
"""Linear layers that round several rows otherwise than one."""
_ROUNDING_FEW_ROWS = (torch_linear.WidenedBf16Linear, torch_linear.WidenedInt8Linear)

LOOKUP_OFF_REMARK = "--lookup guesses nothing: here several tokens at once are rounded unlike one"
"""The remark where guesses could change the text."""


def rounds_rows_alike(model: Any) -> bool:
    """Whether a pass over several tokens chooses the words that passes over one token choose.

    In float32 it does: its rounding is far below what lies between two words. In less it does
    where our kernels compute all of it, each row as if it were alone; torch's take another
    order of sums for another number of rows.
    """
    modules = list(model.modules())
    layers = [fused_linear.unsliced(module) for module in modules]
    if model.config.dtype == torch.float32:
        # That of the activations: products of a few rows may be rounded to less.
        return not any(isinstance(layer, _ROUNDING_FEW_ROWS) for layer in layers)
    if build.unavailable_reason() or model.device.type != "cpu":
        return False
    if model.config._attn_implementation != ATTENTION_NAME:
        return False
    return not any(isinstance(layer, _ROW_DEPENDENT_LAYERS) for layer in layers) and all(
        getattr(module, "head_dim", LANES) % LANES == 0 for module in modules
    )


class PromptLookup:
    """Guesses for one answer. After right guesses the next ones are longer; after wrong ones it
    pauses, each time longer, because a wrong guess only makes a pass slower."""

    def __init__(self, prompt: Sequence[int]) -> None:
        self._ids: list[int] = []
        self._positions_after: dict[tuple[int, ...], int] = {}
        self._length, self._pause, self._paused_for = _FIRST, _REST, 0
        self.guessed = self.accepted = 0
        for token in prompt:
            self.push(token)

    def push(self, token: int) -> None:
        """One more token is certain."""
        pattern = tuple(self._ids[-_NGRAM:])
        if len(pattern) == _NGRAM:
            self._positions_after[pattern] = len(self._ids)
        self._ids.append(token)
        self._paused_for = max(0, self._paused_for - 1)

    def guess(self, max_tokens: int) -> list[int]:
        """What may come next, at most ``max_tokens`` tokens; often nothing."""
        found = None if self._paused_for else self._positions_after.get(tuple(self._ids[-_NGRAM:]))
        if found is None or max_tokens < 1:
            return []
        return self._ids[found : found + min(self._length, max_tokens)]

    def record_result(self, guessed: int, accepted: int) -> None:
        """How many of the guessed tokens were right, in a pass that guessed any."""
        self.guessed += guessed
        self.accepted += accepted
        if accepted == guessed:
            self._length = min(MAX_GUESSED, self._length * 2)
        elif accepted * 2 < guessed:
            self._length = _FIRST
        if accepted:
            self._pause = _REST
        else:
            self._paused_for = self._pause
            self._pause = min(_LONGEST_REST, self._pause * 2)
