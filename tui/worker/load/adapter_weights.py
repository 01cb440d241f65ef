"""Merges a LoRA adapter into the weights of its base: what is reduced is merged a few rows at a
time, so that the whole model is never there in a wide format."""

from collections.abc import Iterator
from typing import Any

import torch

from tui.checkpoints.adapter import Adapter, read_matrices
from tui.checkpoints.errors import CheckpointError
from tui.worker.load.shards import first_not_finite, read_tensors
from tui.worker.quant.matrix import Matrix, StoredMatrix


class MergedMatrix(StoredMatrix):
    """W + scale * B A (outputs, inputs) of a base's ``weight``, made a few rows at a time: in
    float32, rounded once. ``b`` is (outputs, rank), ``a`` (rank, inputs)."""

    def __init__(self, weight: Matrix, b: torch.Tensor, a: torch.Tensor, scale: float) -> None:
        self._weight, self._b, self._a, self._scale = weight, b, a, scale
        self.shape = (b.shape[0], a.shape[1])

    def rows(self, start: int, stop: int) -> torch.Tensor:
        """See `StoredMatrix`."""
        delta = self._b[start:stop] @ self._a
        return torch.add(self._weight[start:stop].float(), delta, alpha=self._scale)

    @property
    def pages(self) -> list[torch.Tensor]:
        """See `StoredMatrix`."""
        return self._weight.pages if isinstance(self._weight, StoredMatrix) else [self._weight]

    @property
    def scales(self) -> torch.Tensor:
        """What shows whether its values are numbers: the two matrices, and the ends of W."""
        ends = (self._weight[:1].float(), self._weight[self.shape[0] - 1 :].float())
        return torch.cat([part.flatten() for part in (self._b, self._a, *ends)])


class AdapterWeights:
    """The matrices of an adapter, by the names of the tensors that they change.

    `merge` is to be run over the tensors under their published names and again under the native
    ones: an adapter has the names of the class it was trained with.
    """

    def __init__(self, adapter: Adapter) -> None:
        """Raises:
        CheckpointError: as `tui.checkpoints.adapter.read_matrices`, or it holds no numbers.
        """
        self._adapter = adapter
        self._pairs, self._replaced = read_matrices(adapter)
        self._tensors = dict(read_tensors(adapter.weights))
        if broken := first_not_finite(self._tensors):
            raise CheckpointError(
                "damaged",
                f"{adapter.weights.name}: {broken} holds values that are not numbers",
                "fetch the adapter again",
            )

    def tie(self, head: str, table: str) -> None:
        """Have what changes a tied head change the table of words that it is."""
        module = head.removesuffix(".weight")
        if module in self._pairs:
            self._pairs[table.removesuffix(".weight")] = self._pairs.pop(module)
            self._replaced.pop(head, None)

    def merge(self, tensors: Iterator[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
        """The tensors, with those that the adapter replaces in their own dtype, and a
        `MergedMatrix` for each that it adds to.

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

    def _merged(self, name: str, tensor: Any, found: dict[str, str]) -> MergedMatrix:
        """W + scale * B A, of an embedding its transpose.

        Source: peft, ``LoraLayer.get_delta_weight`` of linear and embedding layers.
        """
        a, b = (self._tensors[found[key]].float() for key in sorted(found))
        if self._adapter.fan_in_fan_out != ("embedding_A" in found):
            a, b = b.T, a.T
        scale = self._adapter.scale(name.removesuffix(".weight"), a.shape[0])
        made = MergedMatrix(tensor, b, a, scale)
        self._fitting(name, tensor, made)
        return made

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
