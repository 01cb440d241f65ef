"""The format of a local model whose reference names none."""

import functools
from importlib import metadata
from pathlib import Path

from tui.checkpoints.memory_estimate import Shape, predict
from tui.host import cpu, memory

LARGE = 1_000_000_000
"""So many weights and more are what an answer waits for on a CPU: every token reads them."""
CONTEXT = 2048
"""Tokens of prompt and answer that have to fit beside the weights."""
_FORMATS = ("bf16", "int8", "int4")
_NVIDIA = Path("/dev/nvidiactl")


def chosen(parameters: int, shape: Shape, context: int = 0) -> str:
    """bf16 on a GPU, where the CPU cannot multiply bytes (AVX-512 VNNI), and for models below
    `LARGE`, which are quick anyway and suffer most from fewer bits; else int8, which is more
    than twice as fast at a KL divergence from fp32 below 0.04 (`benchmarks/accuracy.py`).
    Where that does not fit in memory, the next smaller format that does."""
    if _computes_on_gpu():
        return "bf16"
    tokens = min(CONTEXT, context) if context else CONTEXT
    formats = _FORMATS[1:] if parameters >= LARGE and _multiplies_bytes() else _FORMATS
    room = memory.reading().room
    fitting = (f for f in formats if predict(parameters, f, shape, tokens) <= room)
    return next(fitting, formats[0])


def remark(dtype: str) -> str:
    """What a person is told of a format that was chosen for them."""
    if dtype == "bf16":
        return ""
    return f"{dtype} was chosen for this machine; @bf16 computes with the weights as published"


@functools.cache
def _multiplies_bytes() -> bool:
    return "avx512_vnni" in cpu.flags()


@functools.cache
def _computes_on_gpu() -> bool:
    """Whether there is a GPU that the installed torch was built for, without importing it."""
    try:
        return _NVIDIA.exists() and not metadata.version("torch").endswith("+cpu")
    except metadata.PackageNotFoundError:
        return False
