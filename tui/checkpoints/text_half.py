"""Which stored tensors belong to the text model: what sees, hears, or only guesses tokens ahead
is not loaded."""

import re
from collections.abc import Iterable

from tui.checkpoints.architecture import Architecture
from tui.checkpoints.learned_prefix import PREFIX_ENCODER

_TEXT = re.compile(r"(?:model\.)?language_model\..*|lm_head\..*")
"""Names of the text half in a composite checkpoint (Gemma 3, Mistral 3, Qwen3.5 ...)."""

_PLAIN_TEXT = re.compile(r"model\.(?:layers|embed_tokens|norm)\..*|lm_head\..*")
"""The same where only the other halves have a prefix (Qwen2-VL)."""

_PREDICTION = re.compile(r"(?:model\.)?mtp\..*")
"""Layers that predict several tokens at once, by the name Qwen gives them."""

_LAYER = re.compile(r"(?:.*\.)?layers\.(\d+)\..*")


def left_out(names: Iterable[str], known: Architecture) -> dict[str, str]:
    """The tensors that the text model has no place for, and which part each belongs to:
    ``tower`` (images, video, sound), ``prediction`` (several tokens at once) or ``prefix`` (what is
    learned to stand before every conversation)."""
    every = list(names)
    text = _TEXT if any("language_model." in name for name in every) else _PLAIN_TEXT
    found = {}
    for name in every:
        layer = _LAYER.fullmatch(name)
        if _PREDICTION.fullmatch(name):
            found[name] = "prediction"
        elif known.family == "chatglm3" and name.startswith(PREFIX_ENCODER):
            found[name] = "prefix"
        elif known.is_composite and not text.fullmatch(name):
            found[name] = "tower"
        elif known.predicting_layers and layer and int(layer[1]) >= known.layers:
            found[name] = "prediction"
    return found
