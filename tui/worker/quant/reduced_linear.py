"""What all linear layers in a format of ours have."""

from typing import ClassVar

import torch
from torch import nn


class ReducedLinear(nn.Module):  # type: ignore[misc]
    """A layer whose weights are not one tensor of numbers."""

    computes_in: ClassVar[torch.dtype] = torch.bfloat16
    """What its inputs are best given as."""

    @property
    def weight(self) -> torch.Tensor:
        """Without numbers: some models ask for the dtype of a layer before they call it. To compute
        with it fails."""
        return torch.empty(0, dtype=self.computes_in, device="meta")
