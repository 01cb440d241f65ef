"""What every format of quantised linear layers offers: tensors for a file, and a layer of them."""

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import nn

from tui.worker.quant.matrix import Matrix

PackedTensors = Mapping[str, torch.Tensor]
"""What a file holds of a layer, by name."""
TensorSpec = tuple[torch.dtype, tuple[int, ...]]
"""Dtype and shape of a tensor."""


class LinearFormat(Protocol):
    """A class of linear layers that are made of packed tensors."""

    @staticmethod
    def packed_specs(rows: int, columns: int, has_bias: bool) -> dict[str, TensorSpec]:
        """Dtypes and shapes of the packed tensors of a matrix (rows, columns): outputs, inputs."""
        ...

    @staticmethod
    def pack(
        weight: Matrix, bias: torch.Tensor | None, importance: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        """The packed tensors of a weight (rows, columns) and its bias (rows).

        ``importance`` (columns) is the mean square of each input, where it is known.
        """
        ...

    @staticmethod
    def from_packed(parts: PackedTensors, outputs: int, is_sensitive: bool) -> nn.Module:
        """The layer over packed tensors, with so many outputs. ``is_sensitive``: rounding its
        inputs costs much accuracy, so use a more exact product if the format has one."""
        ...
