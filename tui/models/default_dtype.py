"""The format of a local model whose reference names none."""

import functools
from importlib import metadata
from pathlib import Path

from tui.checkpoints.memory_estimate import QUANTISED_DTYPES, MemoryShape, predict_peak
from tui.host import cpu, memory

LARGE_MODEL = 1_000_000_000
"""From this size on, decoding on a CPU is bound by reading the weights."""
CONTEXT = 2048
"""Tokens of prompt and answer that have to fit beside the weights."""
_DTYPES = ("bf16", *QUANTISED_DTYPES)
_NVIDIA = Path("/dev/nvidiactl")


def choose_dtype(parameters: int, shape: MemoryShape, context: int = 0) -> str:
    """bf16 on a GPU, where the CPU cannot multiply bytes (AVX-512 VNNI), and for models below
    `LARGE_MODEL`, which are quick anyway and suffer most from fewer bits; else int8, which is more
    than twice as fast at a KL divergence from fp32 below 0.04 (`benchmarks/accuracy.py`).
    Where that does not fit in memory, the next smaller format that does."""
    if _has_gpu():
        return "bf16"
    tokens = min(CONTEXT, context) if context else CONTEXT
    formats = _DTYPES[1:] if parameters >= LARGE_MODEL and _has_vnni() else _DTYPES
    room = memory.read_memory().available
    fitting = (f for f in formats if predict_peak(parameters, f, shape, tokens) <= room)
    return next(fitting, formats[0])


def choice_remark(dtype: str) -> str:
    """What a person is told of a format that was chosen for them."""
    if dtype == "bf16":
        return ""
    return f"{dtype} was chosen for this machine; @bf16 computes with the weights as published"


@functools.cache
def _has_vnni() -> bool:
    return "avx512_vnni" in cpu.flags()


@functools.cache
def _has_gpu() -> bool:
    """Whether there is a GPU that the installed torch was built for, without importing it."""
    try:
        return _NVIDIA.exists() and not metadata.version("torch").endswith("+cpu")
    except metadata.PackageNotFoundError:
        return False
