"""Where a model computes: the GPU if there is one and it has room, else the CPU."""

from typing import Any

import torch


def placed(model: Any) -> tuple[Any, str, list[str]]:
    """The model, the device it is on now, and remarks for a person."""
    if not torch.cuda.is_available():
        return model, "cpu", []
    try:
        moved = model.to("cuda")
    except torch.OutOfMemoryError:
        back = model.to("cpu")
        torch.cuda.empty_cache()
        return back, "cpu", ["the GPU has too little memory for it: the CPU computes"]
    return moved, "cuda", [f"computed by the GPU ({torch.cuda.get_device_name()})"]
