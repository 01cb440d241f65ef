"""Linear layers with one input, computed as one layer."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import nn


class _SharedProduct:
    """The product of layers with the same input, computed by the first that is asked."""

    def __init__(self, layer: nn.Module) -> None:
        self.layer = layer
        self._input: torch.Tensor | None = None
        self._output: torch.Tensor | None = None

    def product(self, x: torch.Tensor, last: bool) -> torch.Tensor:
        if self._input is not x:
            self._input, self._output = x, self.layer(x)
        output = self._output
        if last:
            self._input = self._output = None
        return output


class LinearSlice(nn.Module):  # type: ignore[misc]
    """One member's columns of a fused linear layer."""

    def __init__(self, shared: _SharedProduct, start: int, stop: int, last: bool) -> None:
        super().__init__()
        self._shared, self._start, self._stop, self._last = shared, start, stop, last

    @property
    def layer(self) -> nn.Module:
        """What computes the common product."""
        return self._shared.layer

    @property
    def weight(self) -> torch.Tensor:
        """See `ReducedLinear`."""
        return self.layer.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """This layer's columns of the common product."""
        return self._shared.product(x, self._last)[..., self._start : self._stop]


def unsliced(module: nn.Module) -> nn.Module:
    """The layer that computes for a module."""
    return module.layer if isinstance(module, LinearSlice) else module


def weight_tensors(modules: Iterable[nn.Module]) -> Iterator[torch.Tensor]:
    """The tensors that such layers hold, those of fused layers several times."""
    for module in modules:
        for value in vars(unsliced(module)).values():
            them = value if isinstance(value, list) else [value]
            yield from (tensor for tensor in them if isinstance(tensor, torch.Tensor))


def slice_linear(layer: nn.Module, sizes: Sequence[int]) -> list[Any]:
    """The modules that replace the members of a fused layer, in order; ``sizes`` are the outputs
    of each."""
    if len(sizes) == 1:
        return [layer]
    shared, ends = _SharedProduct(layer), torch.tensor(sizes).cumsum(0).tolist()
    starts = [0, *ends[:-1]]
    return [
        LinearSlice(shared, start, end, end == ends[-1])
        for start, end in zip(starts, ends, strict=True)
    ]
