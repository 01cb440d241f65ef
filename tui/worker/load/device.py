"""Where a model computes: the GPU if there is one and it has room, else the CPU."""

import functools
from typing import Any

import torch

from tui.host.errors import first_line

_KV_CACHE_SHARE = 0.8
"""Share of a GPU's free memory for keys and values; the rest is for activations, and for the
copy of one layer that is made when two parts of a cache are concatenated."""


@functools.cache
def gpu_failure() -> str | None:
    """Why the GPU cannot compute, tried once: "" if it can, None if there is none. The driver takes
    memory of this process the first time, so call this before that memory is limited."""
    if not torch.cuda.is_available():
        return None
    try:
        ones = torch.ones(2, 2, device="cuda")
        float((ones @ ones).sum())
    except RuntimeError as error:
        return first_line(error)
    return ""


def gpu_remarks() -> list[str]:
    """What a person is told of a GPU that is of no use."""
    why = gpu_failure()
    return [f"the GPU cannot be used ({why}): the CPU computes"] if why else []


def place_model(model: Any) -> tuple[Any, str, list[str]]:
    """The model, the device it is on now, and remarks for a person."""
    if gpu_failure() != "":
        return model, "cpu", gpu_remarks()
    try:
        moved = model.to("cuda")
    except torch.OutOfMemoryError:
        back = model.to("cpu")
        torch.cuda.empty_cache()
        return back, "cpu", ["the GPU has too little memory for it: the CPU computes"]
    return moved, "cuda", [f"computed by the GPU ({torch.cuda.get_device_name()})"]


def kv_cache_capacity(model: Any, values_per_token: int, device: str) -> int:
    """Tokens whose keys and values, so many ``values_per_token`` each, fit beside a model on its
    GPU, one conversation that is kept for its next turn among them; 0 (any) on a CPU, whose memory
    the plan knows."""
    if device != "cuda":
        return 0
    free, _ = torch.cuda.mem_get_info()
    return max(1, int(free * _KV_CACHE_SHARE) // (values_per_token * int(model.dtype.itemsize)))
