"""RMSNorm, SwiGLU and the router of a mixture, one call of our own kernel each
(``kernels/fused_layers.c``) instead of several operations of torch: a small model spends as much
time on starting those as on reading its weights.

Modules of transformers become instances of subclasses of their own classes, which compute the
same; values that the kernels do not take are left to those classes.
"""

import ctypes
import functools
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from tui.worker.kernels import abi, build
from tui.worker.quant import fused_linear, native_linear

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
    """Have a model's norms, gates and routers computed here, where its classes are known and the
    kernels can be had, and its other modules by the class that stands for their name."""
    if build.unavailable_reason():
        return
    kinds = _FUSED_CLASSES | dict(classes)
    # Parts before what contains them.
    for module in reversed(list(model.modules())):
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


class TopKRouter(nn.Module):  # type: ignore[misc]
    """Which experts compute a row: the likeliest by ``softmax(x @ weight.T)``."""

    @staticmethod
    def prepare(module: Any) -> bool:
        """As `RMSNorm.prepare`."""
        weight = module.weight.detach()
        (experts, inputs), dtype = weight.shape, weight.dtype
        narrow = weight.to(torch.bfloat16).contiguous()
        if (
            not (supports(weight, inputs) and native_linear.supports_columns(inputs))
            or module.top_k > experts
            or not torch.equal(narrow.to(dtype), weight)
        ):
            return False
        # Some classes hand the shares on as they are, others in the dtype of the rows.
        module._shares_dtype = module(weight.new_zeros(1, inputs))[1].dtype
        module._gate, module._dtype = narrow, dtype
        module.descriptor = abi.Router(
            abi.Bf16Matrix(experts, narrow.data_ptr()),
            *(inputs, module.top_k, getattr(module, "norm_topk_prob", True)),
            *(module._shares_dtype == dtype, abi.DTYPE_CODES[dtype]),
        )
        module._kernel = build.library().duibi_router_forward
        return True

    def forward(self, hidden_states: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Logits (rows, experts); shares and numbers of the experts chosen, (rows, k).

        Raises:
            MemoryError: no room for the rows.
        """
        if hidden_states.dtype != self._dtype or hidden_states.device.type != "cpu":
            found: tuple[torch.Tensor, ...] = super().forward(hidden_states)
            return found
        x = hidden_states.reshape(-1, self.descriptor.inputs).contiguous()
        logits = torch.empty((len(x), self.descriptor.gate.outputs))
        shares = torch.empty((len(x), self.descriptor.each))
        chosen = torch.empty(shares.shape, dtype=torch.long)
        if self._kernel(
            *(ctypes.byref(self.descriptor), x.data_ptr(), len(x), logits.data_ptr()),
            *(chosen.data_ptr(), shares.data_ptr()),
        ):
            raise MemoryError("not enough memory for the router of a layer")
        return logits.to(self._dtype), shares.to(self._shares_dtype), chosen


_NAMES = ("Llama", "Qwen2", "Qwen3", "Glm", "Mixtral", "Qwen2Moe", "Qwen3Moe", "Qwen3VLText")
_FUSED_CLASSES: dict[str, Any] = {
    f"{name}{part}": kind
    for name in _NAMES
    for part, kind in (("RMSNorm", RMSNorm), ("MLP", SwiGLU), ("TopKRouter", TopKRouter))
}
