"""How fast this machine multiplies the weights of each format:
``python -m tui.worker.format_speeds THREADS``.

Prints `tui.host.format_speeds.FormatSpeeds` as JSON. Measured are linear layers of 4096 inputs and
outputs, so many of them that no cache of the CPU holds their weights, as in a model; the best of a
few passes, as others may compute meanwhile.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import torch

from tui.checkpoints.memory_estimate import QUANTISED_DTYPES
from tui.events import TORCH
from tui.host.format_speeds import BATCH_ROWS, PROMPT_ROWS, FormatSpeeds
from tui.worker.kernels import build
from tui.worker.quant import choose_format, torch_linear
from tui.worker.quant.linear_groups import LinearGroup

_SIDE = 4096
_COLD_BYTES = 128 << 20
_PASSES = 5
_GROUP = LinearGroup(("layer",), (_SIDE,), _SIDE, False, False)


def measure(threads: int) -> FormatSpeeds:
    """Every format that the CPU has layers of its own for."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    weight = torch.randn(_SIDE, _SIDE).to(torch.bfloat16)
    found = {}
    with torch.inference_mode():
        for dtype in ("bf16", *QUANTISED_DTYPES):
            layers = _layers(weight, dtype)
            found[dtype] = {rows: _weights_per_s(layers, rows) for rows in BATCH_ROWS}
            found[dtype][PROMPT_ROWS] = _weights_per_s(layers[:1], PROMPT_ROWS)
    today = datetime.now(UTC).date().isoformat()
    return FormatSpeeds(build.variant_name() or TORCH, today, found)


def _layers(weight: torch.Tensor, dtype: str) -> list[Callable[[torch.Tensor], torch.Tensor]]:
    if dtype == "bf16":
        copies = range(-(-_COLD_BYTES // weight.nbytes))
        if choose_format.reads_bf16_in_place():
            return [choose_format.bf16_layer((weight.clone(), None)) for _ in copies]
        return [torch_linear.TorchBf16Linear(weight, None) for _ in copies]
    kind = choose_format.quantised_format(_GROUP, dtype)
    parts = kind.pack(weight, None)
    copies = range(-(-_COLD_BYTES // sum(part.nbytes for part in parts.values())))
    return [kind.from_packed(_cloned(parts), _SIDE, False) for _ in copies]


def _cloned(parts: Any) -> dict[str, torch.Tensor]:
    return {name: part.clone() for name, part in parts.items()}


def _weights_per_s(layers: Sequence[Callable[[torch.Tensor], Any]], rows: int) -> float:
    """Weights times rows a second."""
    x, best = torch.randn(rows, _SIDE).to(torch.bfloat16), float("inf")
    for layer in layers:
        layer(x)
    for _ in range(_PASSES):
        began = time.perf_counter()
        for layer in layers:
            layer(x)
        best = min(best, time.perf_counter() - began)
    return len(layers) * _SIDE * _SIDE * rows / best


if __name__ == "__main__":
    print(json.dumps(asdict(measure(int(sys.argv[1])))))
