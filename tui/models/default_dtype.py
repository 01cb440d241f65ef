"""The format of a local model whose reference names none."""

import functools
from importlib import metadata
from pathlib import Path

from tui.checkpoints.memory_estimate import QUANTISED_DTYPES, MemoryShape, predict_peak
from tui.checkpoints.stored_quantisation import has_levels, stored_bits
from tui.host import cpu, format_speeds, kernel_library, memory
from tui.host.format_speeds import BATCH_ROWS, PROMPT_ROWS, FormatSpeeds

LARGE_MODEL = 1_000_000_000
"""From this size on, decoding on a CPU is bound by reading the weights."""
QUICK_TOK_S = 20
"""Faster than people read."""
_ASSUMED_BF16 = 8e9
"""Weights a second of bf16 at one row where nothing was measured: two cores with AVX2."""
CONTEXT = 2048
"""Tokens of prompt and answer that have to fit beside the weights."""
_DTYPES = ("bf16", *QUANTISED_DTYPES)
_NVIDIA = Path("/dev/nvidiactl")


def choose_dtype(parameters: int, shape: MemoryShape, context: int = 0) -> str:
    """What is fastest at a KL divergence from fp32 of 0.01 (`benchmarks/accuracy.py`): bf16 on a
    GPU, else int8 where it is faster than bf16. A model below `LARGE_MODEL` that decodes quickly in
    bf16 stays in it: small ones suffer most from fewer bits. What is stored reduced is computed as
    it is: int4 holds the levels of 4 bits, int8 all else. Where that does not fit in memory, the
    next smaller format that does."""
    if has_gpu():
        return "bf16"
    tokens = min(CONTEXT, context) if context else CONTEXT
    formats = _DTYPES[_first_format(parameters, shape.stored) :]
    room = memory.read_memory().available
    fitting = (f for f in formats if predict_peak(parameters, f, shape, tokens) <= room)
    return next(fitting, formats[0])


def _first_format(parameters: int, stored: str) -> int:
    """The number of the widest format that is worth having."""
    if stored_bits(stored) < 16:
        return 2 if has_levels(stored) else 1
    return int(_prefers_int8(parameters))


def _prefers_int8(parameters: int) -> bool:
    """By what was measured here: alone, in a batch and in prompts, each as much as the others.
    Where nothing was, int8 is the faster one, but for torch's kernels on a CPU that multiplies
    bfloat16."""
    speeds, multiplies_bf16 = _this_machine()
    alone, together = (speeds.ratio("int8", "bf16", rows) for rows in (1, BATCH_ROWS[-1]))
    if alone is None or together is None:
        is_faster = not multiplies_bf16
    else:
        is_faster = alone * together * (speeds.ratio("int8", "bf16", PROMPT_ROWS) or 1.0) > 1
    bf16 = speeds.weights_s.get("bf16", {}).get(1, _ASSUMED_BF16)
    return is_faster and (parameters >= LARGE_MODEL or bf16 / parameters < QUICK_TOK_S)


@functools.cache
def _this_machine() -> tuple[FormatSpeeds, bool]:
    """What was measured, and whether torch's kernels compute by bfloat16 instructions. Looked at
    once: a list of models asks for each of them."""
    has_own = kernel_library.expected_variant() is not None
    return format_speeds.read(), not has_own and "avx512_bf16" in cpu.flags()


def choice_remark(dtype: str, stored: str = "") -> str:
    """What a person is told of a format that was chosen for them for weights ``stored`` so."""
    if dtype == "bf16":
        return ""
    if stored_bits(stored) < 16:
        return f"the weights are stored as {stored}: computed in {dtype}, @bf16 widens them"
    return f"{dtype} was chosen for this machine; @bf16 computes with the weights as published"


@functools.cache
def has_gpu() -> bool:
    """Whether there is a GPU that the installed torch was built for, without importing it."""
    try:
        return _NVIDIA.exists() and not metadata.version("torch").endswith("+cpu")
    except metadata.PackageNotFoundError:
        return False
