"""Merges a LoRA adapter into the weights of its base while these are read."""

from collections.abc import Iterator
from typing import Any

import torch

from tui.checkpoints.adapter import Adapter, read_matrices
from tui.checkpoints.errors import CheckpointError
from tui.worker.load.shards import read_tensors


class AdapterWeights:
    """The matrices of an adapter, by the names of the tensors that they change.

    `merge` is to be run over the tensors under their published names and again under the native
    ones: an adapter has the names of the class it was trained with.
    """

    def __init__(self, adapter: Adapter) -> None:
        """Raises:
        CheckpointError: as `tui.checkpoints.adapter.read_matrices`.
        """
        self._adapter = adapter
        self._pairs, self._replaced = read_matrices(adapter)
        self._tensors = dict(read_tensors(adapter.weights))

    def tie(self, head: str, table: str) -> None:
        """Have what changes a tied head change the table of words that it is."""
        module = head.removesuffix(".weight")
        if module in self._pairs:
            self._pairs[table.removesuffix(".weight")] = self._pairs.pop(module)
            self._replaced.pop(head, None)

    def merge(self, tensors: Iterator[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
        """The tensors, with those that the adapter changes made anew in their own dtype.

        Raises:
            CheckpointError: a matrix that does not fit its tensor.
        """
        for name, tensor in tensors:
            made = tensor
            if new := self._replaced.pop(name, None):
                made = self._fitting(name, tensor, self._tensors[new]).to(_dtype(tensor))
            if found := self._pairs.pop(name.removesuffix(".weight"), None):
                made = self._merged(name, made, found)
            yield name, made

    def require_used(self) -> None:
        """Check that all of the adapter went into the base.

        Raises:
            CheckpointError: something of it fits no tensor.
        """
        left = [*self._pairs, *self._replaced]
        if left:
            shown = ", ".join(sorted(left)[:3]) + (", ..." if len(left) > 3 else "")
            raise CheckpointError(
                "unsupported",
                f"the adapter changes {len(left)} parts that its base has not: {shown}",
                f"give the base that it was made for ({self._adapter.base[:120] or '?'}): "
                "./adapter+./base",
            )

    def _merged(self, name: str, tensor: Any, found: dict[str, str]) -> Any:
        """W + scale * B A, of an embedding its transpose; in float32, rounded once.

        Source: peft, ``LoraLayer.get_delta_weight`` of linear and embedding layers.
        """
        first, second = (self._tensors[found[key]].float() for key in sorted(found))
        delta = second @ first
        if self._adapter.fan_in_fan_out != ("embedding_A" in found):
            delta = delta.T
        delta = self._fitting(name, tensor, delta)
        scale = self._adapter.scale(name.removesuffix(".weight"), first.shape[0])
        return torch.add(tensor.to(torch.float32), delta, alpha=scale).to(_dtype(tensor))

    def _fitting(self, name: str, tensor: Any, new: Any) -> Any:
        if tuple(new.shape) != tuple(tensor.shape):
            raise CheckpointError(
                "unsupported",
                f"the adapter makes {name} {list(new.shape)}, its base has {list(tensor.shape)}",
                f"give the base that it was made for ({self._adapter.base[:120] or '?'})",
            )
        return new


def with_own_head(
    tensors: Iterator[tuple[str, Any]], head: str, table: str
) -> Iterator[tuple[str, Any]]:
    """The tensors of a base whose ``head`` is its ``table`` of words, with the head as one of its
    own."""
    for name, tensor in tensors:
        if name != head:
            yield name, tensor
        if name.endswith(table.removeprefix("model.")):
            yield head, tensor


def _dtype(weight: Any) -> torch.dtype:
    """What a changed weight is held in: as it was, or wide where the files hold it reduced."""
    return weight.dtype if isinstance(weight, torch.Tensor) else torch.float32
