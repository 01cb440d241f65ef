"""Linear layers that our own kernels (``kernels/``) compute, where the file's pages lie:
bfloat16 as checkpoints hold it, and 8 and 4 bits in tiles.

The latter are made like those of `torch_linear`: of tensors that a file can hold, so that a
model is either packed anew or mapped.
"""

import ctypes
from typing import ClassVar

import torch

from tui.worker.kernels import abi, build
from tui.worker.quant.linear_format import PackedTensors, TensorSpec
from tui.worker.quant.matrix import Levels, Matrix, Stacked
from tui.worker.quant.reduced_linear import ReducedLinear

TILE, GROUP = abi.constant("TILE"), abi.constant("GROUP")
_PACKED_ROWS = 1024
"""Rows that are packed at a time: they are held in float32 meanwhile."""

_NO_ROOM = "not enough memory for the activations of a layer"


def supports_columns(columns: int) -> bool:
    """Whether the kernels take a matrix of so many inputs."""
    return columns % GROUP == 0


class NativeBf16Linear(ReducedLinear):
    """bfloat16 weights, float32 for all else: the weights' rounding is the only one. Reading
    the weights takes longer than computing in float32, up to 8 rows or so. ``matrices``,
    weights with their biases, stand one below the other as if they were one."""

    computes_in = torch.float32

    def __init__(self, *matrices: tuple[torch.Tensor, torch.Tensor | None]) -> None:
        super().__init__()
        self.weights = [weight.to(torch.bfloat16).contiguous() for weight, _ in matrices]
        self.biases = [None if bias is None else bias.float() for _, bias in matrices]
        self.outputs = sum(weight.shape[0] for weight in self.weights)
        self._inputs = self.weights[0].shape[1]
        self._matrices = (abi.Bf16Matrix * len(matrices))(
            *(
                abi.Bf16Matrix(
                    weight.shape[0], weight.data_ptr(), None if bias is None else bias.data_ptr()
                )
                for weight, bias in zip(self.weights, self.biases, strict=True)
            )
        )
        self._kernel = build.library().duibi_linear_bf16

    def descriptor(self) -> abi.Linear:
        """For kernels that contain a linear layer; valid as long as this module."""
        count, matrices = len(self._matrices), ctypes.addressof(self._matrices)
        return abi.Linear(self._inputs, self.outputs, matrices=matrices, bits=16, count=count)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``x @ weight.T + bias`` in float32.

        Raises:
            MemoryError: no room for the activations.
        """
        given = x.float().contiguous()
        y = torch.empty((*x.shape[:-1], self.outputs))
        rows = given.numel() // self._inputs
        if self._kernel(
            *(given.data_ptr(), rows, self._inputs),
            *(self._matrices, len(self._matrices), y.data_ptr()),
        ):
            raise MemoryError(_NO_ROOM)
        return y


class _NativeQuantisedLinear(ReducedLinear):
    """``x @ weight.T + bias`` over tiles of 32 outputs; activations have 8 bits and a scale
    for each row and 32 inputs."""

    bits: ClassVar[int]
    block_bytes: ClassVar[int]
    """Bytes for 32 outputs and 32 inputs."""

    def __init__(self, parts: PackedTensors, outputs: int) -> None:
        super().__init__()
        self._weight, self._scale, self._bias = parts["weight"], parts["scale"], parts.get("bias")
        self.outputs = outputs
        self._inputs = self._weight.shape[1] // self.block_bytes * GROUP
        bias = None if self._bias is None else self._bias.data_ptr()
        self._arguments = self._weight.data_ptr(), self._scale.data_ptr(), bias
        self._kernel = build.library().duibi_linear_quantised

    def descriptor(self) -> abi.Linear:
        """As `NativeBf16Linear.descriptor`."""
        tiles, scale, bias = self._arguments
        return abi.Linear(
            self._inputs, self.outputs, tiles=tiles, scale=scale, bias=bias, bits=self.bits
        )

    @classmethod
    def from_packed(
        cls, parts: PackedTensors, outputs: int, is_sensitive: bool
    ) -> "_NativeQuantisedLinear":
        """See `LinearFormat`."""
        return cls(parts, outputs)

    @classmethod
    def packed_specs(cls, rows: int, columns: int, has_bias: bool) -> dict[str, TensorSpec]:
        """Dtypes and shapes of the parts of such a layer."""
        tiles = -(-rows // TILE)
        bias: dict[str, TensorSpec] = {"bias": (torch.float32, (rows,))} if has_bias else {}
        return {
            "weight": (torch.uint8, (tiles, columns // GROUP * cls.block_bytes)),
            "scale": (torch.float32, (tiles * TILE,)),
        } | bias

    @classmethod
    def pack(
        cls, weight: Matrix, bias: torch.Tensor | None, importance: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        """What a file holds of such a layer. ``importance`` (columns): the mean square of
        each input, where it is known; 8 bits have no use for it."""
        rows, columns = weight.shape
        shapes = cls.packed_specs(rows, columns, bias is not None)
        made = {name: torch.empty(shape, dtype=dtype) for name, (dtype, shape) in shapes.items()}
        weighs = None if importance is None else importance.data_ptr()
        for start in range(0, rows, _PACKED_ROWS):
            some = weight[start : start + _PACKED_ROWS].float().contiguous()
            tiles, scale = made["weight"][start // TILE :], made["scale"][start:]
            build.library().duibi_pack_quantised(
                *(cls.bits, some.data_ptr(), weighs, *some.shape),
                *(tiles.data_ptr(), scale.data_ptr()),
            )
        if bias is not None:
            made["bias"] = bias.float()
        return made

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``x @ weight.T + bias`` in bfloat16.

        Raises:
            MemoryError: no room for the activations.
        """
        given = x.to(torch.bfloat16).contiguous()
        y = torch.empty((*x.shape[:-1], self.outputs), dtype=torch.bfloat16)
        rows = given.numel() // self._inputs
        weight, scale, bias = self._arguments
        if self._kernel(
            *(self.bits, given.data_ptr(), rows, self._inputs, self.outputs),
            *(weight, scale, bias, y.data_ptr()),
        ):
            raise MemoryError(_NO_ROOM)
        return y


class NativeInt8Linear(_NativeQuantisedLinear):
    """int8 with a scale for each output."""

    bits, block_bytes = 8, abi.constant("INT8_BLOCK")


class NativeInt6Linear(_NativeQuantisedLinear):
    """6 bits in groups of 32 inputs, with a scale of 8 bits each."""

    bits, block_bytes = 6, abi.constant("INT6_BLOCK")


class NativeInt4Linear(_NativeQuantisedLinear):
    """4 bits in groups of 32 inputs, with a scale and a zero point of 8 bits each."""

    bits, block_bytes = 4, abi.constant("INT4_BLOCK")

    @classmethod
    def pack_levels(cls, weight: Stacked, bias: torch.Tensor | None) -> dict[str, torch.Tensor]:
        """As `pack`, of a weight that is stored in 4 bits: the levels stay what they are, only
        their scales are rounded."""
        rows, columns = weight.shape
        shapes = cls.packed_specs(rows, columns, bias is not None)
        made = {name: torch.zeros(shape, dtype=dtype) for name, (dtype, shape) in shapes.items()}
        for start in range(0, rows, _PACKED_ROWS):
            stop = min(start + _PACKED_ROWS, rows)
            tiles, scale = _tiles_of_levels(weight.levels(start, stop))
            made["weight"][start // TILE :][: len(tiles)] = tiles
            made["scale"][start:][: len(scale)] = scale
        if bias is not None:
            made["bias"] = bias.float()
        return made


_MAX_SCALE = 2.0 - 1 / 32
"""The largest scale of a group in units of its row's (``duibi.h``)."""


def _tiles_of_levels(levels: Levels) -> tuple[torch.Tensor, torch.Tensor]:
    """Tiles (tiles, bytes) and scales of rows, as ``duibi.h`` says how they lie."""
    rows, columns = levels.codes.shape
    each = levels.group // GROUP
    # A negative scale is a positive one with the levels the other way round.
    negative = levels.scales < 0
    codes = levels.codes.unflatten(1, (-1, levels.group))
    codes = torch.where(negative[:, :, None], 15 - codes, codes).flatten(1)
    zeros = torch.where(negative, 15 - levels.zeros, levels.zeros)
    scales = levels.scales.abs()
    unit = scales.amax(1) / _MAX_SCALE
    fill = -rows % TILE
    pad = torch.nn.functional.pad
    codes = pad(codes, (0, 0, 0, fill))
    of_groups = torch.stack(
        (
            _scale_codes(scales / unit.clamp_min(torch.finfo(torch.float32).tiny)[:, None]),
            (zeros * 16).round_().clamp_(0, 255).to(torch.uint8),
        )
    ).repeat_interleave(each, 2)
    of_groups = pad(of_groups, (0, 0, 0, fill))
    tiles, groups = (rows + fill) // TILE, columns // GROUP
    # Tile, half, output, group, high or low bits, step, input.
    steps = codes.reshape(tiles, 2, TILE // 2, groups, 2, 4, 4)
    pairs = (steps[:, :, :, :, 0] | steps[:, :, :, :, 1] << 4).permute(0, 3, 1, 4, 2, 5)
    packed = pairs.reshape(tiles, groups, GROUP * TILE // 2)
    both = of_groups.reshape(2, tiles, TILE, groups).permute(1, 3, 0, 2).flatten(2)
    return torch.cat((packed, both), 2).flatten(1), pad(unit, (0, fill))


def _scale_codes(scales: torch.Tensor) -> torch.Tensor:
    """Scales as three bits of exponent and five of fraction (``encode_scale`` of ``pack.c``)."""
    fraction, exponent = torch.frexp(scales)
    codes = (exponent + 6) * 32 + ((fraction * 2 - 1) * 32).round_().int()
    return codes.clamp_(0, 255).to(torch.uint8)
