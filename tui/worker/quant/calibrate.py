"""What the inputs of each layer are like: a fixed text goes once through the checkpoint.

Rounding a weight costs as much as the input that meets it is large, and a few inputs are a
hundred times the rest. Weighing errors by the inputs' mean squares (llama.cpp's importance
matrix does so too) makes 4 bits lose a third of what they lose otherwise
(``benchmarks.accuracy``). A layer is handed over as soon as the text has passed it, while
its weights are still in memory from that pass.
"""

import sys
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from tui.worker.checkpoint import ChatTokenizer
from tui.worker.quant import torch_linear

TOKENS = 512
_FLOOR = 0.01
"""Lowest importance, as a share of the mean: an input that is small in this text may be large in
another."""


def calibration_text() -> str:
    """Calibration text: Chinese and English samples of common tasks."""
    return Path(__file__).with_name("calibration.txt").read_text(encoding="utf-8")


def calibrate_groups(
    model: Any,
    tokenizer: ChatTokenizer,
    groups: Sequence[tuple[str, ...]],
    on_group: Callable[[int, torch.Tensor | None], None],
) -> None:
    """Call ``on_group(number, importance)`` once for each of ``groups``, groups of names of
    linear layers with a common input, in the order in which they are computed.

    ``importance`` is the mean square of each of their inputs, or None where the text did
    not reach them: then they are handed over at the end, in order.
    """
    waiting, hooks, failed = set(range(len(groups))), [], False
    # Others (fp16, bf16 where the CPU has none) are computed a hundred times more slowly.
    quick = torch.bfloat16 if torch_linear.has_bf16() else torch.float32

    def passed(number: int, _layer: Any, given: Any, _out: Any) -> None:
        nonlocal failed
        if number in waiting:
            waiting.discard(number)
            failed = True
            on_group(number, _mean_square(given[0]))
            failed = False

    for number, names in enumerate(groups):
        layers = [model.get_submodule(name) for name in names]
        for layer in layers:
            if layer.weight.dtype != quick:
                layer.forward = partial(_computed, layer, quick)
        hooks.append(layers[-1].register_forward_hook(partial(passed, number)))
    try:
        ids = tokenizer.encode(calibration_text())[:TOKENS]
        # Without the head, which would make the logits of every token.
        with torch.inference_mode():
            model.base_model(input_ids=torch.tensor([ids]), use_cache=False)
    except Exception as error:  # an architecture we do not support: it only costs accuracy
        if failed:
            raise
        traceback.print_exception(error)
        sys.stderr.flush()
    finally:
        for hook in hooks:
            hook.remove()
        for names in groups:
            for layer in map(model.get_submodule, names):
                layer.__dict__.pop("forward", None)
    for number in sorted(waiting):
        on_group(number, None)


def _mean_square(x: torch.Tensor) -> torch.Tensor | None:
    squares = x.detach().reshape(-1, x.shape[-1]).float().square().mean(0)
    mean = float(squares.mean())
    if not 0 < mean < float("inf"):
        return None
    return squares.div_(mean).add_(_FLOOR)


def _computed(layer: Any, dtype: torch.dtype, x: torch.Tensor) -> torch.Tensor:
    bias = None if layer.bias is None else layer.bias.to(dtype)
    return torch.nn.functional.linear(x.to(dtype), layer.weight.to(dtype), bias).to(x.dtype)
