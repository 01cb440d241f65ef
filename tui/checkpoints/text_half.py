"""Which stored tensors belong to the text model: what sees, hears, or only guesses tokens ahead
is not loaded."""

import re
from collections.abc import Iterable

from tui.checkpoints.architecture import Architecture
from tui.checkpoints.learned_prefix import PREFIX_ENCODER

_TEXT = re.compile(r"(?:model\.)?(?:language|text)_model\..*|lm_head\..*")
"""Names of the text half in a composite checkpoint (Gemma 3, Mistral 3, Qwen3.5, Emu3 ...)."""

_PLAIN_TEXT = re.compile(r"(?:thinker\.)?(?:model\.(?:layers|embed_tokens|norm)|lm_head)\..*")
"""The same where only the other halves have a prefix (Qwen2-VL), or what thinks beside what speaks
(Qwen-Omni)."""

_PREDICTION = re.compile(r"(?:model\.)?mtp\..*")
"""Layers that predict several tokens at once, by the name Qwen gives them."""

_LAYER = re.compile(r"(?:.*\.)?layers\.(\d+)\..*")

_NUMBERED = re.compile(r".*?\.(?:layers|h|blocks|layer)\.(\d+)\.")
"""The beginning of the name of a layer's tensor, in any family."""


def left_out(names: Iterable[str], known: Architecture) -> dict[str, str]:
    """The tensors that the text model has no place for, and which part each belongs to:
    ``tower`` (images, video, sound), ``prediction`` (several tokens at once) or ``prefix`` (what is
    learned to stand before every conversation)."""
    every = list(names)
    has_prefix = any(_TEXT.fullmatch(name) and not name.startswith("lm_head") for name in every)
    text = _TEXT if has_prefix else _PLAIN_TEXT
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


def count_layers(names: Iterable[str]) -> int:
    """How many numbered layers tensors belong to; 0 where none has a number."""
    return len({found[1] for name in names if (found := _NUMBERED.match(name))})
