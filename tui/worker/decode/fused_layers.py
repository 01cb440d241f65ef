"""RMSNorm and SwiGLU, one call of our own kernel each (``kernels/fused_layers.c``) instead of
several operations of torch: a small model spends as much time on starting those as on reading
its weights.

Modules of transformers become instances of subclasses of their own classes, which compute the
same; values that the kernels do not take are left to those classes.
"""

import functools
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from tui.worker.kernels import abi, build
from tui.worker.quant import fused_linear

MAX_HEAD_DIM = abi.constant("MAX_HEAD_DIM")
LANES = abi.constant("LANES")
"""The kernels take rows of so many values, or a multiple."""


def supports(x: torch.Tensor, width: int) -> bool:
    """Whether the kernels take such values, ``width`` of them in a row."""
    return x.dtype in abi.DTYPE_CODES and x.device.type == "cpu" and width % LANES == 0


def dtype_code(x: torch.Tensor) -> int:
    """``duibi_dtype`` of a tensor that the kernels take."""
    return abi.DTYPE_CODES[x.dtype]


def attach(model: Any, classes: Mapping[str, Any]) -> None:
    """Have a model's norms and gates computed here, where its classes are known and the
    kernels can be had, and its other modules by the class that stands for their name."""
    if build.unavailable_reason():
        return
    kinds = _FUSED_CLASSES | dict(classes)
    for module in model.modules():
        theirs: Any = type(module)
        kind = kinds.get(theirs.__name__)
        if kind is not None and kind.prepare(module):
            module.__class__ = _fused_class(kind, theirs)


@functools.cache
def _fused_class(kind: Any, theirs: Any) -> Any:
    return type(f"Fused{theirs.__name__}", (kind, theirs), {})


class RMSNorm(nn.Module):  # type: ignore[misc]
    """Root mean square norm: ``weight * x / sqrt(mean(x^2) + eps)``, computed in float32."""

    @staticmethod
    def prepare(module: Any) -> bool:
        """Give a module what `forward` needs; whether it can be computed here."""
        module._dtype = module.weight.dtype
        weight = module._weight_fp32 = module.weight.detach().float().contiguous()
        module._arguments = weight.numel(), weight.data_ptr(), module.variance_epsilon
        module._kernel = build.library().duibi_rms_norm
        return supports(module.weight, weight.numel())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Of the last dimension of ``x``, in its dtype."""
        width, weight, eps = self._arguments
        # In another dtype than its weight's the result has the wider of both.
        if x.dtype != self._dtype or x.device.type != "cpu":
            found: torch.Tensor = super().forward(x)
            return found
        given = x.contiguous()
        y = torch.empty_like(given)
        rows = given.numel() // width
        self._kernel(given.data_ptr(), rows, width, weight, eps, y.data_ptr(), dtype_code(x))
        return y


class SwiGLU(nn.Module):  # type: ignore[misc]
    """Feed-forward part: ``down(silu(gate(x)) * up(x))``, where gate and up are one layer."""

    @staticmethod
    def prepare(module: Any) -> bool:
        """As `RMSNorm.prepare`."""
        gate = getattr(module, "gate_proj", None)
        # In a list, which nn.Module does not register as a second submodule.
        fused = gate.layer if isinstance(gate, fused_linear.LinearSlice) else None
        module._gate_up_proj = [getattr(module, "gate_up_proj", fused)]
        module._kernel = build.library().duibi_swiglu
        return module.config.hidden_act == "silu" and module._gate_up_proj[0] is not None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Of the last dimension of ``x``."""
        both = self._gate_up_proj[0](x)
        width = both.shape[-1] // 2
        if supports(both, width):
            y = both.new_empty((*both.shape[:-1], width))
            rows = y.numel() // width
            self._kernel(both.data_ptr(), rows, width, y.data_ptr(), dtype_code(both))
        else:
            gate, up = both.chunk(2, -1)
            y = nn.functional.silu(gate) * up
        found: torch.Tensor = self.down_proj(y)
        return found


_NAMES = ("Llama", "Qwen2", "Qwen3", "Glm", "Mixtral", "Qwen2Moe", "Qwen3Moe", "Qwen3VLText")
_FUSED_CLASSES: dict[str, Any] = {f"{name}RMSNorm": RMSNorm for name in _NAMES} | {
    f"{name}MLP": SwiGLU for name in _NAMES
}
