"""Who can be in memory together, predicted before anything is read."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui.host.errors import UserError
from tui.host.memory import Reading
from tui.models.resolve import Resolved

BASE = 240_000_000
"""Bytes of a worker with its libraries and no model."""
BYTES = {"fp32": 4.0, "bf16": 2.0, "fp16": 2.0}
MARGIN = 1.1
"""Measured peaks are within 6 to 10 % of the prediction."""
PROMPT_TOKENS = 1536
"""Room for the prompt that is planned for, on top of the new tokens."""
_GGUF_BITS = 4.5
"""Of a weight in the smallest common GGUF layout (Q4_0: 18 bytes for 32 weights), for a
file whose header is not parsed here; larger layouts are overestimated."""


@dataclass(frozen=True, slots=True)
class Need:
    """Predicted bytes of a loaded model: weights, KV cache, libraries, and 10 %."""

    label: str
    weights: int
    kv: int

    @property
    def total(self) -> int:
        """The prediction."""
        return int((BASE + self.weights + self.kv) * MARGIN)

    def __str__(self) -> str:
        parts = f"{_gb(self.weights)} weights + {_gb(self.kv)} KV + {_gb(BASE)} base + 10 %"
        return f"{self.label} needs {_gb(self.total)} GB ({parts})"


def need(model: Resolved, max_new_tokens: int, dtype: str | None = None) -> Need:
    """What a model will take, for a conversation of common length.

    KV cache: 2 * layers * kv heads * head dimension * bytes * tokens.
    """
    parameters = model.parameters or int(model.checkpoint_bytes * 8 / _GGUF_BITS)
    each = BYTES.get(dtype or model.dtype, 4.0)
    tokens = PROMPT_TOKENS + max_new_tokens
    if model.context:
        tokens = min(tokens, model.context)
    kv = 2 * _kv_width(model.checkpoint) * each * tokens
    return Need(model.label, int(parameters * each), int(kv))


def check(models: Sequence[Resolved], needs: Sequence[Need], memory: Reading) -> None:
    """Refuse what does not fit even alone.

    Raises:
        UserError: exit code 4, with the arithmetic.
    """
    for model, needed in zip(models, needs, strict=True):
        if needed.total <= memory.free:
            continue
        free = f"{_gb(memory.free)} of {_gb(memory.limit)} GB are free ({memory.source})"
        raise UserError(f"{needed}; {free}", _smallest_change(model, needed, memory.free), 4)


def fits_together(needs: Sequence[Need], memory: Reading) -> bool:
    """Whether all can be in memory at the same time."""
    return sum(needed.total for needed in needs) <= memory.free


def _smallest_change(model: Resolved, needed: Need, free: int) -> str:
    if model.dtype == "fp32":
        half = need(model, 512, "bf16").total
        if half <= free:
            return f"`@bf16` needs {_gb(half)} GB"
    return "stop other programs, or take a smaller model; --together loads it all the same"


def _kv_width(checkpoint: Path) -> int:
    """layers * kv heads * head dimension, from config.json in any of the families'
    spellings; 0 where there is none (the 10 % cover small models)."""
    try:
        config: dict[str, Any] = json.loads((checkpoint / "config.json").read_bytes())
    except (OSError, ValueError):
        return 0
    layers = _first(config, "num_hidden_layers", "num_layers", "n_layer")
    heads = _first(config, "num_attention_heads", "n_head")
    hidden = _first(config, "hidden_size", "n_embd")
    dimension = _first(config, "head_dim", "kv_channels") or (hidden // heads if heads else 0)
    kv_heads = _first(config, "num_key_value_heads", "multi_query_group_num") or heads
    return layers * kv_heads * dimension


def _first(config: dict[str, Any], *names: str) -> int:
    found = (config.get(name) for name in names)
    return next((v for v in found if isinstance(v, int) and 0 < v < 1 << 24), 0)


def _gb(size: float) -> str:
    return f"{size / 1e9:.1f}"
