"""Sizes of a config.json that the weight files contradict: they belong to two models."""

from collections.abc import Sequence
from dataclasses import dataclass

from tui.checkpoints.architecture import Architecture
from tui.checkpoints.text_half import count_layers
from tui.checkpoints.weight_headers import TensorHeader


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Which size (``layers``, ``hidden size``, ``vocabulary``), and a line that says what is told
    of it."""

    what: str
    line: str


def contradicted_size(tensors: Sequence[TensorHeader], known: Architecture) -> Contradiction | None:
    """The first size that the ``tensors`` of the text model contradict; None where all agree."""
    layers = count_layers(tensor.name for tensor in tensors)
    # More layers (for predicting several tokens) are the native class's to judge.
    if 0 < layers < known.layers:
        return _contradiction("layers", known.layers, layers)
    dimensions = {n for tensor in tensors for n in tensor.shape}
    for what, size in (("hidden size", known.hidden), ("vocabulary", known.vocab)):
        if size not in dimensions:
            return _contradiction(what, size, "no tensor of that size")
    return None


def _contradiction(what: str, said: object, found: object) -> Contradiction:
    return Contradiction(what, f"config.json says {what} {said}, the weight files say {found}")
