"""What stands between the linear layers, each as one call of a kernel of ours
(``kernels/between.c``) instead of several operations of torch: a small model spends as much
time on starting those as on reading its weights.

Modules of transformers become instances of subclasses of their own classes, which compute the
same; values that the kernels do not take are left to those classes.
"""

import functools
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from tui.worker.kernels import build
from tui.worker.quant import fused_linear

_DTYPE_CODES = {torch.float32: 0, torch.bfloat16: 1}
"""Dtypes that the kernels take, and how they are told of them."""
LANES = 16
"""The kernels take rows of so many values, or a multiple."""


def supports(x: torch.Tensor, width: int) -> bool:
    """Whether the kernels take such values, ``width`` of them in a row."""
    return x.dtype in _DTYPE_CODES and x.device.type == "cpu" and width % LANES == 0


def dtype_code(x: torch.Tensor) -> int:
    """How the kernels are told of a dtype that they take."""
    return _DTYPE_CODES[x.dtype]


def attach(model: Any, attention_classes: Mapping[str, Any]) -> None:
    """Have a model's norms and gates computed here, where its classes are known and the
    kernels can be had, and its attention by the class that stands for its name."""
    if build.unavailable_reason():
        return
    kinds = _FUSED_CLASSES | dict(attention_classes)
    for module in model.modules():
        theirs: Any = type(module)
        kind = kinds.get(theirs.__name__)
        if kind is not None and kind.prepare(module):
            module.__class__ = _fused_class(kind, theirs)


@functools.cache
def _fused_class(kind: Any, theirs: Any) -> Any:
    return type("Ours", (kind, theirs), {})


class RMSNorm(nn.Module):  # type: ignore[misc]
    """Root mean square norm: ``weight * x / sqrt(mean(x^2) + eps)``, computed in float32."""

    @staticmethod
    def prepare(module: Any) -> bool:
        """Give a module what `forward` needs; whether it can be computed here."""
        module._dtype = module.weight.dtype
        module._exact = module.weight.detach().float().contiguous()
        module._given = module._exact.numel(), module._exact.data_ptr(), module.variance_epsilon
        module._call = build.library().duibi_norm
        return supports(module.weight, module._exact.numel())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Of the last dimension of ``x``, in its dtype."""
        width, weight, eps = self._given
        # In another dtype than its weight's the result has the wider of both.
        if x.dtype != self._dtype or x.device.type != "cpu":
            found: torch.Tensor = super().forward(x)
            return found
        given = x.contiguous()
        y = torch.empty_like(given)
        rows = given.numel() // width
        self._call(given.data_ptr(), rows, width, weight, eps, y.data_ptr(), _DTYPE_CODES[x.dtype])
        return y


class SwiGLU(nn.Module):  # type: ignore[misc]
    """Feed-forward part: ``down(silu(gate(x)) * up(x))``, where gate and up are one layer."""

    @staticmethod
    def prepare(module: Any) -> bool:
        """As `RMSNorm.prepare`."""
        gate = getattr(module, "gate_proj", None)
        # In a list: it is not to be counted twice among the model's parts.
        module._both = [gate.layer if isinstance(gate, fused_linear.LinearSlice) else None]
        if (joined := getattr(module, "gate_up_proj", None)) is not None:
            module._both = [joined]
        module._call = build.library().duibi_gate
        return module.config.hidden_act == "silu" and module._both[0] is not None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Of the last dimension of ``x``."""
        both = self._both[0](x)
        width = both.shape[-1] // 2
        if supports(both, width):
            y = both.new_empty((*both.shape[:-1], width))
            rows = y.numel() // width
            self._call(both.data_ptr(), rows, width, y.data_ptr(), _DTYPE_CODES[both.dtype])
        else:
            gate, up = both.chunk(2, -1)
            y = nn.functional.silu(gate) * up
        found: torch.Tensor = self.down_proj(y)
        return found


_FUSED_CLASSES: dict[str, Any] = dict.fromkeys(
    ("LlamaRMSNorm", "Qwen2RMSNorm", "Qwen3RMSNorm", "GlmRMSNorm"), RMSNorm
) | dict.fromkeys(("LlamaMLP", "Qwen2MLP", "Qwen3MLP", "GlmMLP"), SwiGLU)
