"""Linear layers over weights in another format, computed by torch (`LinearFormat`).

All compute on the CPU and return the dtype they are given.
"""

import functools
from collections.abc import Iterator, Sequence

import torch
from torch import nn

from tui.worker.quant import quantise
from tui.worker.quant.linear_format import PackedTensors, TensorSpec
from tui.worker.quant.matrix import Matrix
from tui.worker.quant.reduced_linear import ReducedLinear

_HIGH_PRECISION_ROWS = 16
"""Up to so many rows activations are given 16 bits, as two rows of 8: reading the weights
is what takes the time there, and a second row is nearly free."""
_MAX_LEVEL = 127
_PLAIN_ROWS = 4
"""Up to so many rows torch's own products of bfloat16, with bfloat16 or bytes, are sooner done than
the weights are widened; each further row costs as much again."""
_PIECE, _WIDENED_BYTES = 64, 2 << 20
"""Outputs that a thread multiplies at a time, and bytes for each thread that are widened before:
they stay in a cache, and an operation of torch is not short."""


class TorchBf16Linear(ReducedLinear):
    """bfloat16 in the order in which oneDNN reads it; plain calls reorder it each time."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        super().__init__()
        self.outputs = weight.shape[0]
        self._packed = torch.ops.mkldnn._reorder_linear_weight(weight.to(torch.bfloat16), 1)
        self._bias = None if bias is None else bias.to(torch.bfloat16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``x @ weight.T + bias``."""
        return torch.ops.mkldnn._linear_pointwise(x, self._packed, self._bias, "none", [], "")


class TorchInt8Linear(ReducedLinear):
    """int8 weights with a scale per row, times 8-bit activations with a scale per row of
    theirs (two such rows for one where rows are few, or ``high_precision``), in oneDNN's kernel.
    Without VNNI that adds pairs of products in 16 bits, which overflow: see `has_vnni`."""

    def __init__(self, parts: PackedTensors, high_precision: bool = False) -> None:
        super().__init__()
        self._high_precision = high_precision
        weight = parts["weight"]
        self.outputs = weight.shape[0]
        self._packed = torch.ops.onednn.qlinear_prepack(weight, None)
        self._scale = parts["scale"].clone()
        self._zeros = torch.zeros(self.outputs, dtype=torch.int64)
        bias = parts.get("bias")
        self._bias = None if bias is None else bias.clone()

    @classmethod
    def from_packed(
        cls, parts: PackedTensors, outputs: int, is_sensitive: bool
    ) -> "TorchInt8Linear":
        """See `LinearFormat`."""
        return cls(parts, high_precision=is_sensitive)

    @staticmethod
    def pack(
        weight: Matrix, bias: torch.Tensor | None, importance: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        """What a file holds of such a layer; 8 bits have no use for ``importance``."""
        q, scale = quantise.quantise_int8_rows(weight)
        return {"weight": q, "scale": scale} | ({} if bias is None else {"bias": bias.float()})

    @staticmethod
    def packed_specs(rows: int, columns: int, has_bias: bool) -> dict[str, TensorSpec]:
        """Dtypes and shapes of the parts of such a layer."""
        bias: dict[str, TensorSpec] = {"bias": (torch.float32, (rows,))} if has_bias else {}
        return {
            "weight": (torch.int8, (rows, columns)),
            "scale": (torch.float32, (rows,)),
        } | bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``x @ weight.T + bias``."""
        rows = x.reshape(-1, x.shape[-1]).float()
        count = rows.shape[0]
        unit = rows.abs().amax(1, keepdim=True).clamp_min_(1e-20).div_(_MAX_LEVEL)
        steps = rows / unit
        if self._high_precision or count <= _HIGH_PRECISION_ROWS:
            coarse = steps.round()
            rest = steps.sub_(coarse).mul_(2 * _MAX_LEVEL).round_()
            both = self._product(torch.cat((coarse, rest)))
            y = both[:count].add_(both[count:], alpha=1 / (2 * _MAX_LEVEL))
        else:
            y = self._product(steps.round_())
        y = y.mul_(unit)
        if self._bias is not None:
            y = y.add_(self._bias)
        return y.to(x.dtype).reshape(*x.shape[:-1], self.outputs)

    def _product(self, steps: torch.Tensor) -> torch.Tensor:
        """The product with rows in whole steps of -127 to 127."""
        zero = _MAX_LEVEL + 1
        return torch.ops.onednn.qlinear_pointwise(
            steps.add_(zero).to(torch.uint8),
            *(1.0, zero, self._packed, self._scale, self._zeros, None),
            *(1.0, 0, torch.float32, "none", [], ""),
        )


class WidenedInt8Linear(ReducedLinear):
    """What `TorchInt8Linear` is made of, computed in float32 from the mapped file: only the
    weights and the result are rounded; but inputs and products of a few rows are rounded to
    bfloat16, unless ``high_precision``."""

    pack = staticmethod(TorchInt8Linear.pack)
    packed_specs = staticmethod(TorchInt8Linear.packed_specs)

    def __init__(self, parts: PackedTensors, high_precision: bool = False) -> None:
        super().__init__()
        self._weight, self._scale, self._bias = parts["weight"], parts["scale"], parts.get("bias")
        self.outputs = self._weight.shape[0]
        # Without vector instructions torch has no fast product of bytes and bfloat16.
        is_plain = high_precision or torch.backends.cpu.get_cpu_capability() == "DEFAULT"
        self._ones = None if is_plain else torch.ones(self.outputs, dtype=torch.bfloat16)

    @classmethod
    def from_packed(
        cls, parts: PackedTensors, outputs: int, is_sensitive: bool
    ) -> "WidenedInt8Linear":
        """See `LinearFormat`."""
        return cls(parts, high_precision=is_sensitive)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``x @ weight.T + bias``."""
        if self._ones is not None and x.numel() <= _PLAIN_ROWS * x.shape[-1]:
            rows = x.reshape(-1, x.shape[-1]).to(torch.bfloat16)
            # Scales would be rounded as well: they are multiplied afterwards.
            product = torch.ops.aten._weight_int8pack_mm(rows, self._weight, self._ones)
            y = product.float().reshape(*x.shape[:-1], self.outputs)
        else:
            y = _product_in_blocks(x, [self._weight])
        y = y.mul_(self._scale)
        if self._bias is not None:
            y = y.add_(self._bias)
        return y.to(x.dtype)


class WidenedBf16Linear(ReducedLinear):
    """bfloat16 weights where the file's pages lie, float32 for all else, as `NativeBf16Linear`;
    but inputs and products of a few rows are rounded to bfloat16."""

    computes_in = torch.float32

    def __init__(self, *matrices: tuple[torch.Tensor, torch.Tensor | None]) -> None:
        super().__init__()
        self._weights = [weight.to(torch.bfloat16) for weight, _ in matrices]
        self.outputs = sum(weight.shape[0] for weight in self._weights)
        self._bias: torch.Tensor | None = None
        if any(bias is not None for _, bias in matrices):
            zeros = (torch.zeros(weight.shape[0]) for weight in self._weights)
            given = [bias for _, bias in matrices]
            self._bias = torch.cat(
                [z if b is None else b.float() for z, b in zip(zeros, given, strict=True)]
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``x @ weight.T + bias`` in float32."""
        if x.numel() <= _PLAIN_ROWS * x.shape[-1]:
            given = x.to(torch.bfloat16)
            parts = [nn.functional.linear(given, weight) for weight in self._weights]
            y = torch.cat(parts, -1).float()
        else:
            y = _product_in_blocks(x, self._weights)
        return y if self._bias is None else y.add_(self._bias)


class TorchInt4Linear(ReducedLinear):
    """4-bit weights in groups of 32 with scale and zero point, times bfloat16."""

    def __init__(self, parts: PackedTensors) -> None:
        super().__init__()
        self._weight, self._scales = parts["weight"], parts["scales"]
        self._bias = parts.get("bias")
        self.outputs = self._weight.shape[0]

    @classmethod
    def from_packed(
        cls, parts: PackedTensors, outputs: int, is_sensitive: bool
    ) -> "TorchInt4Linear":
        """See `LinearFormat`."""
        return cls(parts)

    @staticmethod
    def pack(
        weight: Matrix, bias: torch.Tensor | None, importance: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        """What a file holds of such a layer; the order of the weights is this CPU's."""
        q, scales = quantise.quantise_int4_groups(weight, importance)
        packed = torch.ops.aten._convert_weight_to_int4pack_for_cpu(q, 1)
        more = {} if bias is None else {"bias": bias.to(torch.bfloat16)}
        return {"weight": packed, "scales": scales} | more

    @staticmethod
    def packed_specs(rows: int, columns: int, has_bias: bool) -> dict[str, TensorSpec]:
        """Dtypes and shapes of the parts of such a layer."""
        bias: dict[str, TensorSpec] = {"bias": (torch.bfloat16, (rows,))} if has_bias else {}
        return {
            "weight": (torch.uint8, (rows, columns // 2)),
            "scales": (torch.bfloat16, (columns // quantise.GROUP, rows, 2)),
        } | bias

    @staticmethod
    def supports_shape(rows: int, columns: int) -> bool:
        """Whether the kernel takes a matrix of this shape."""
        return rows % 16 == 0 and columns % quantise.GROUP == 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``x @ weight.T + bias``."""
        rows = x.reshape(-1, x.shape[-1])
        y = torch.ops.aten._weight_int4pack_mm_for_cpu(
            rows, self._weight, quantise.GROUP, self._scales
        )
        if self._bias is not None:
            y = y.add_(self._bias)
        return y.reshape(*x.shape[:-1], self.outputs)


def _product_in_blocks(x: torch.Tensor, weights: Sequence[torch.Tensor]) -> torch.Tensor:
    """``x @ weight.T`` in float32 of matrices side by side, in whatever dtype they are.

    As a batch of products of `_PIECE` outputs, which threads share; one product of few rows they
    share by its rows, and each of them reads all weights.
    """
    inputs = x.shape[-1]
    rows = x.reshape(-1, inputs).float()
    count, outputs = rows.shape[0], sum(weight.shape[0] for weight in weights)
    threads = torch.get_num_threads()
    size = threads * _PIECE * max(1, _WIDENED_BYTES // (4 * inputs * _PIECE))
    room = _room(max(threads * _WIDENED_BYTES // 4, size * inputs))
    block = room[: size * inputs].view(size, inputs)
    y = torch.empty((-(-outputs // _PIECE), count, _PIECE))
    first = 0
    for parts in _in_blocks(weights, size):
        start = 0
        for part in parts:
            block[start : start + part.shape[0]].copy_(part)
            start += part.shape[0]
        # What the last piece of all lacks are numbers of another block: their products are cut off.
        pieces = -(-start // _PIECE)
        widened = block[: pieces * _PIECE].view(pieces, _PIECE, inputs)
        given = rows.expand(pieces, count, inputs)
        torch.bmm(given, widened.transpose(1, 2), out=y[first : first + pieces])
        first += pieces
    return y.transpose(0, 1).reshape(count, -1)[:, :outputs].reshape(*x.shape[:-1], outputs)


@functools.lru_cache(maxsize=2)
def _room(floats: int) -> torch.Tensor:
    """Memory for widened weights. It is kept: new pages take as long as to fill them."""
    return torch.zeros(floats)


def _in_blocks(weights: Sequence[torch.Tensor], size: int) -> Iterator[list[torch.Tensor]]:
    """Rows of matrices one below the other, in parts that have ``size`` of them together."""
    parts: list[torch.Tensor] = []
    room = size
    for weight in weights:
        start = 0
        while start < weight.shape[0]:
            parts.append(weight[start : start + room])
            start += room
            room -= parts[-1].shape[0]
            if not room:
                yield parts
                parts, room = [], size
    if parts:
        yield parts


@functools.cache
def has_vnni() -> bool:
    """Whether oneDNN multiplies bytes without an overflow. Tried out, too: ONEDNN_MAX_CPU_ISA
    can keep it from the instructions that the CPU has."""
    if not torch.cpu._is_vnni_supported():
        return False
    columns = 64
    weight = torch.full((16, columns), _MAX_LEVEL, dtype=torch.int8)
    packed = torch.ops.onednn.qlinear_prepack(weight, None)
    found = torch.ops.onednn.qlinear_pointwise(
        torch.full((2, columns), 255, dtype=torch.uint8),
        *(1.0, 0, packed, torch.ones(16), torch.zeros(16, dtype=torch.int64), None),
        *(1.0, 0, torch.float32, "none", [], ""),
    )
    return bool((found == 255 * _MAX_LEVEL * columns).all())


def has_bf16() -> bool:
    """Whether oneDNN multiplies bfloat16 here (on a CPU: with AVX-512)."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
