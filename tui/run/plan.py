"""Who can be in memory together, predicted before anything is read."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tui.host.errors import UserError
from tui.host.memory import Reading
from tui.models.memory import BASE, BYTES_PER_WEIGHT, RESERVE, Shape, kv_cache, predict
from tui.models.recognise import architecture
from tui.models.resolve import Resolved
from tui.models.weights import WeightsError, read_json

PROMPT_TOKENS = 1536
"""Room for the conversation that is planned for, on top of the new tokens."""
_GGUF_BITS = 4.5
"""Of a weight in the smallest common GGUF layout (Q4_0: 18 bytes for 32 weights), for a
file whose header is not parsed here; larger layouts are overestimated."""


@dataclass(frozen=True, slots=True)
class Need:
    """Predicted bytes of a loaded model (`tui.models.memory.predict`) and its large parts."""

    label: str
    weights: int
    cache: int
    total: int

    def __str__(self) -> str:
        parts = f"{_gb(self.weights)} weights + {_gb(self.cache)} KV cache + {_gb(BASE)} base"
        return f"{self.label} needs {_gb(self.total)} GB ({parts} + {RESERVE:.0%})"


def need(model: Resolved, max_new_tokens: int, dtype: str = "") -> Need:
    """What a model will take in ``dtype`` (its own by default) for a conversation of
    common length."""
    dtype = dtype or model.dtype
    parameters = model.parameters or int(model.checkpoint_bytes * 8 / _GGUF_BITS)
    tokens = PROMPT_TOKENS + max_new_tokens
    if model.context:
        tokens = min(tokens, model.context)
    shape = _shape(model.checkpoint)
    return Need(
        model.label,
        int(parameters * BYTES_PER_WEIGHT[dtype]),
        kv_cache(dtype, shape, tokens),
        predict(parameters, dtype, shape.layers, shape.kv_heads, shape.head_dim, tokens),
    )


def check(
    models: Sequence[Resolved], needs: Sequence[Need], memory: Reading, max_new_tokens: int
) -> None:
    """Refuse what does not fit even alone.

    Raises:
        UserError: exit code 4, with the arithmetic.
    """
    for model, needed in zip(models, needs, strict=True):
        if needed.total <= memory.free:
            continue
        free = f"{_gb(memory.free)} of {_gb(memory.limit)} GB are free ({memory.source})"
        raise UserError(
            f"{needed}; {free}", _smallest_change(model, max_new_tokens, memory.free), 4
        )


def fits_together(needs: Sequence[Need], memory: Reading) -> bool:
    """Whether all can be in memory at the same time."""
    return sum(needed.total for needed in needs) <= memory.free


def _smallest_change(model: Resolved, max_new_tokens: int, free: int) -> str:
    if model.dtype == "fp32":
        half = need(model, max_new_tokens, "bf16").total
        if half <= free:
            return f"`@bf16` needs {_gb(half)} GB"
    return "stop other programs, or take a smaller model; --together loads it all the same"


def _shape(checkpoint: Path) -> Shape:
    """Zeros for a .gguf, whose header is not parsed here: the reserve covers the cache."""
    try:
        found = architecture(read_json(checkpoint / "config.json"))
    except (OSError, WeightsError):
        return Shape()
    return Shape(found.layers, found.kv_heads, found.head_dim)


def _gb(size: float) -> str:
    return f"{size / 1e9:.1f}"
