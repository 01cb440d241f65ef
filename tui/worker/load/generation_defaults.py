"""A checkpoint's own sampling defaults, from its generation_config.json."""

from collections.abc import Mapping
from typing import Any

_BOUNDS = {
    "temperature": (0.0, 100.0),
    "top_p": (1e-6, 1.0),
    "top_k": (0, 1_000_000),
    "repetition_penalty": (0.01, 100.0),
    "max_new_tokens": (1, 1_000_000),
}


def sampling_defaults(generation_config: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a generation_config.json that `Checkpoint.sampling` may hold; what is
    no number within reason is left out."""
    found: dict[str, Any] = {}
    for name, (low, high) in _BOUNDS.items():
        value = generation_config.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
            found[name] = value
    if isinstance(generation_config.get("do_sample"), bool):
        found["do_sample"] = generation_config["do_sample"]
    return found
