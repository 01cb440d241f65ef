"""Which linear layers compute a format on this machine: by our kernels, or by torch."""

from typing import Any

import torch
from torch import nn

from tui.events import TORCH
from tui.worker.kernels import build
from tui.worker.quant import native_linear, torch_linear
from tui.worker.quant.fused_linear import unsliced
from tui.worker.quant.linear_format import LinearFormat
from tui.worker.quant.linear_groups import LinearGroup
from tui.worker.quant.matrix import Stacked

_NATIVE = (
    native_linear.NativeBf16Linear,
    native_linear.NativeInt8Linear,
    native_linear.NativeInt6Linear,
    native_linear.NativeInt4Linear,
)
_BY_TORCH = (
    torch_linear.TorchBf16Linear,
    torch_linear.WidenedBf16Linear,
    torch_linear.TorchInt8Linear,
    torch_linear.WidenedInt8Linear,
    torch_linear.TorchInt4Linear,
)


def reads_bf16_in_place() -> bool:
    """Whether bfloat16 is computed from where the file's pages lie, and not put into oneDNN's
    order, which it is only where that computes bfloat16 and our kernels cannot be had."""
    return not build.unavailable_reason() or not torch_linear.has_bf16()


def bf16_layer(*matrices: tuple[torch.Tensor, torch.Tensor | None]) -> nn.Module:
    """A layer over weights (rows, columns) and biases where they lie."""
    if build.unavailable_reason():
        return torch_linear.WidenedBf16Linear(*matrices)
    return native_linear.NativeBf16Linear(*matrices)


def quantised_format(group: LinearGroup, dtype: str) -> type[LinearFormat]:
    """The format in which a group's matrix is computed as int8 or int4."""
    if not build.unavailable_reason() and native_linear.supports_columns(group.columns):
        if dtype == "int8":
            return native_linear.NativeInt8Linear
        # In 4 bits the head costs more accuracy than all its bytes are worth.
        return native_linear.NativeInt6Linear if group.is_head else native_linear.NativeInt4Linear
    if (
        dtype == "int4"
        and not group.is_head
        and torch_linear.TorchInt4Linear.supports_shape(sum(group.rows), group.columns)
    ):
        return torch_linear.TorchInt4Linear
    return (
        torch_linear.TorchInt8Linear if torch_linear.has_vnni() else torch_linear.WidenedInt8Linear
    )


def keeps_levels(kind: type[LinearFormat], weight: Stacked) -> bool:
    """Whether a format holds the levels of a weight of 4 bits as they are stored."""
    group = weight.level_group
    return kind is native_linear.NativeInt4Linear and group > 0 and group % native_linear.GROUP == 0


def kernels_of(model: Any) -> tuple[str, str]:
    """Whose kernels multiply a model's weights on the CPU, `TORCH` or the instruction set of our
    own, and a clause on what is amiss with them."""
    layers = {type(unsliced(module)) for module in model.modules()}
    if layers & set(_NATIVE):
        return build.variant_name(), build.remark()
    if layers & set(_BY_TORCH):
        return TORCH, build.unavailable_reason() or "our own do not take matrices of this shape"
    return TORCH, ""
