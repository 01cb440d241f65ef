"""Weights that a checkpoint's files hold reduced (`tui.checkpoints.stored_quantisation`), read a
few rows at a time: the whole model is never there in a wide format.

A matrix has the shape (outputs, inputs) and gives its rows in float32: ``matrix[start:stop]``.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tui.checkpoints.errors import CheckpointError
from tui.checkpoints.stored_quantisation import StoredQuantisation, is_unused
from tui.worker.quant.matrix import Levels, StoredMatrix

_WORD_BITS = 32
_AWQ_ORDER = (0, 4, 1, 5, 2, 6, 3, 7)
"""Where the eight values of an AWQ word stand, in units of 4 bits from the lowest."""
_FP4_VALUES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
"""Magnitudes of the three low bits of an FP4 (e2m1) value; the fourth is the sign."""
_E8M0_BIAS = 127
_SCALED = (torch.float8_e4m3fn, torch.float8_e5m2, torch.int8)


def _unpack(words: torch.Tensor, bits: int, order: Sequence[int] = ()) -> torch.Tensor:
    """The values of int32 words, lowest bits first, as uint8 in a last dimension more; ``order``
    says where each stands instead."""
    places = order or range(_WORD_BITS // bits)
    shifts = torch.tensor([bits * place for place in places], dtype=torch.int32)
    return ((words.unsqueeze(-1) >> shifts) & ((1 << bits) - 1)).to(torch.uint8)


@dataclass(frozen=True, slots=True)
class _Packed:
    """The parts of a packed matrix as they are stored."""

    codes: torch.Tensor
    scales: torch.Tensor
    zeros: torch.Tensor | None
    groups: torch.Tensor | None
    stored: StoredQuantisation


class PackedMatrix(StoredMatrix):
    """Values of 2, 4 or 8 bits in words of 32: GPTQ, AWQ and compressed-tensors."""

    def __init__(
        self, name: str, parts: Mapping[str, torch.Tensor], stored: StoredQuantisation
    ) -> None:
        codes, scales = parts["codes"], parts["scales"]
        self._parts = _Packed(codes, scales, parts.get("zeros"), parts.get("groups"), stored)
        each = _WORD_BITS // stored.bits
        if stored.method == "compressed-tensors":
            self.shape = (codes.shape[0], int(parts["shape"][1]) if "shape" in parts else 0)
            self.shape = (codes.shape[0], self.shape[1] or codes.shape[1] * each)
            self._group_count = scales.shape[1] if scales.dim() > 1 else 1
            told = int(parts["shape"][0]) if "shape" in parts else codes.shape[0]
            fits = codes.shape[1] == -(-self.shape[1] // each) and told == codes.shape[0]
        else:
            wide = stored.method == "awq"
            self.shape = (
                (codes.shape[1] * each, codes.shape[0])
                if wide
                else (codes.shape[1], codes.shape[0] * each)
            )
            self._group_count = scales.shape[0]
            fits = scales.shape[1] == self.shape[0]
        self._group = -(-self.shape[1] // self._group_count)
        fits = fits and self._zeros_fit(each)
        groups = self._parts.groups
        # -1 stands where there is no order.
        if groups is not None and (groups.numel() != self.shape[1] or bool((groups == -1).all())):
            groups = None
        if groups is not None:
            plain = torch.arange(self.shape[1], dtype=groups.dtype) // self._group
            if torch.equal(groups, plain):
                groups = None
            elif int(groups.max()) >= self._group_count or int(groups.min()) < 0:
                fits = False
        self._order = groups
        if not fits or self.shape[1] > self._group * self._group_count:
            raise CheckpointError(
                "damaged", f"{name}: its parts have sizes that do not go together"
            )

    def _zeros_fit(self, each: int) -> bool:
        """Whether there is a zero point for each output and group; ``each`` share a word."""
        zeros, groups, outputs = self._parts.zeros, self._group_count, self.shape[0]
        if zeros is None:
            return True
        words = -(-outputs // each)
        if self._parts.stored.method != "compressed-tensors":
            return tuple(zeros.shape) == (groups, words)
        if zeros.dtype == torch.int32:
            return tuple(zeros.shape) == (words, groups)
        return bool(zeros.numel() == outputs * groups)

    @property
    def scales(self) -> torch.Tensor:
        """See `StoredMatrix`."""
        return self._parts.scales

    def _codes(self, start: int, stop: int) -> torch.Tensor:
        """Unsigned values (rows, columns)."""
        p, bits = self._parts, self._parts.stored.bits
        if p.stored.method == "gptq":
            return _unpack(p.codes[:, start:stop], bits).transpose(1, 2).flatten(0, 1).t()
        if p.stored.method == "awq":
            return self._awq_columns(p.codes, start, stop).t()
        return _unpack(p.codes[start:stop], bits).flatten(1)[:, : self.shape[1]]

    @staticmethod
    def _awq_columns(words: torch.Tensor, start: int, stop: int) -> torch.Tensor:
        first = start // 8
        some = _unpack(words[:, first : -(-stop // 8)], 4, _AWQ_ORDER).flatten(1)
        return some[:, start - 8 * first : stop - 8 * first]

    def _zeros(self, start: int, stop: int) -> torch.Tensor:
        """Zero points (rows, groups) in float32, in units of the unsigned values."""
        p, bits = self._parts, self._parts.stored.bits
        middle = float(1 << (bits - 1))
        if p.zeros is None:
            return torch.full((stop - start, self._group_count), middle)
        if p.stored.method == "awq":
            return self._awq_columns(p.zeros, start, stop).t().float()
        if p.stored.method == "gptq":
            found = _unpack(p.zeros, bits).flatten(1)[:, start:stop].t().float()
            return found + 1 if p.stored.zeros_start_at_one else found
        if p.zeros.dtype == torch.int32:
            # Packed along the outputs, with the same offset as the values.
            return _unpack(p.zeros, bits).transpose(1, 2).flatten(0, 1)[start:stop].float()
        return p.zeros[start:stop].reshape(stop - start, -1).float() + middle

    def _scales(self, start: int, stop: int) -> torch.Tensor:
        """(rows, groups) in float32."""
        scales = self._parts.scales
        if self._parts.stored.method == "compressed-tensors":
            return scales[start:stop].reshape(stop - start, -1).float()
        return scales[:, start:stop].t().float()

    def _by_column(self, values: torch.Tensor) -> torch.Tensor:
        """(rows, groups) to (rows, columns)."""
        if self._order is not None:
            return values[:, self._order.long()]
        return values.repeat_interleave(self._group, 1)[:, : self.shape[1]]

    def rows(self, start: int, stop: int) -> torch.Tensor:
        """See `StoredMatrix`."""
        codes = self._codes(start, stop).float()
        zeros, scales = self._zeros(start, stop), self._scales(start, stop)
        return codes.sub_(self._by_column(zeros)).mul_(self._by_column(scales))

    @property
    def level_group(self) -> int:
        """See `StoredMatrix`."""
        whole = self.shape[1] == self._group * self._group_count
        fits = self._parts.stored.bits <= 4 and self._order is None and whole
        return self._group if fits else 0

    @property
    def pages(self) -> list[torch.Tensor]:
        """See `StoredMatrix`."""
        return [self._parts.codes]

    def levels(self, start: int, stop: int) -> Levels:
        """See `StoredMatrix`."""
        return Levels(self._codes(start, stop), self._scales(start, stop), self._zeros(start, stop))


class ScaledMatrix(StoredMatrix):
    """A value of 8 bits each, with a scale for the whole, a row, a block, or some inputs."""

    def __init__(
        self, name: str, parts: Mapping[str, torch.Tensor], stored: StoredQuantisation
    ) -> None:
        self._codes = parts["codes"]
        rows, columns = self._codes.shape
        self.shape = (rows, columns)
        scales = parts.get("scales", torch.ones(1))
        if scales.dtype == torch.uint8:
            scales = torch.ldexp(torch.ones(scales.shape), scales.int() - _E8M0_BIAS)
        self._scales, self._zeros = scales, parts.get("zeros")
        blocks = tuple(-(-n // size) for n, size in zip((rows, columns), stored.block, strict=True))
        if scales.numel() == 1:
            self._block = (rows, columns)
        elif scales.numel() == rows and scales.shape[0] == rows:
            self._block = (1, columns)
        elif tuple(scales.shape) == blocks:
            self._block = stored.block
        elif scales.dim() == 2 and scales.shape[0] == rows and columns % scales.shape[1] == 0:
            self._block = (1, columns // scales.shape[1])
        else:
            raise CheckpointError(
                "damaged", f"{name}: its scales have a shape that does not go with it"
            )

    @property
    def scales(self) -> torch.Tensor:
        """See `StoredMatrix`."""
        return self._scales

    @property
    def pages(self) -> list[torch.Tensor]:
        """See `StoredMatrix`."""
        return [self._codes]

    def _of_blocks(self, values: torch.Tensor, start: int, stop: int) -> torch.Tensor:
        """A value for each block to one for each row and column, or for each row."""
        high, wide = self._block
        values = values.float().reshape(-(-self.shape[0] // high), -1)
        found = values[torch.arange(start, stop) // high]
        if found.shape[1] == 1:
            return found
        return found.repeat_interleave(wide, 1)[:, : self.shape[1]]

    def rows(self, start: int, stop: int) -> torch.Tensor:
        """See `StoredMatrix`."""
        found = self._codes[start:stop].float()
        if self._zeros is not None:
            found = found.sub_(self._of_blocks(self._zeros, start, stop))
        return found.mul_(self._of_blocks(self._scales, start, stop))


class Mxfp4Matrix(StoredMatrix):
    """Values of FP4 (e2m1), two a byte, with a power of two for each 32 inputs."""

    def __init__(self, name: str, codes: torch.Tensor, scales: torch.Tensor) -> None:
        rows, groups, each = codes.shape
        if tuple(scales.shape) != (rows, groups):
            raise CheckpointError("damaged", f"{name}: scales of another shape than its blocks")
        self._codes, self._scales = codes, scales.view(torch.uint8)
        self.shape = (rows, groups * each * 2)

    @property
    def scales(self) -> torch.Tensor:
        """See `StoredMatrix`."""
        return self._scales

    @property
    def pages(self) -> list[torch.Tensor]:
        """See `StoredMatrix`."""
        return [self._codes]

    def rows(self, start: int, stop: int) -> torch.Tensor:
        """See `StoredMatrix`."""
        values = torch.tensor([*_FP4_VALUES, *(-value for value in _FP4_VALUES)])
        codes = self._codes[start:stop]
        pairs = torch.stack((codes & 15, codes >> 4), -1).flatten(2)
        powers = self._scales[start:stop].int() - _E8M0_BIAS
        found: torch.Tensor = torch.ldexp(values[pairs.int()], powers.unsqueeze(-1)).flatten(1)
        return found


def join_parts(
    tensors: Iterator[tuple[str, Any]], stored: StoredQuantisation | None
) -> Iterator[tuple[str, Any]]:
    """Name and weight, where those that are stored in parts become a `StoredMatrix`, or a list of
    them where they have a dimension more (experts).

    Raises:
        CheckpointError: parts that do not go together.
    """
    if stored is None:
        yield from tensors
        return
    parts: dict[str, dict[str, Any]] = {}
    names: dict[tuple[str, str], str] = {}
    for name, tensor in tensors:
        if is_unused(name):
            continue
        if belongs := stored.part_of(name):
            parts.setdefault(belongs[0], {})[belongs[1]] = tensor
            names[belongs] = name
        elif tensor.dtype in _SCALED:
            parts.setdefault(name, {})["codes"] = tensor
        else:
            yield name, tensor
    for name, some in parts.items():
        if "codes" in some:
            yield name, _matrices(name, some, stored)
        else:
            yield from ((names[name, part], tensor) for part, tensor in some.items())


def _matrices(name: str, parts: Mapping[str, Any], stored: StoredQuantisation) -> Any:
    codes = parts["codes"]
    if codes.dim() > (3 if stored.method == "mxfp4" else 2):
        experts = range(codes.shape[0])
        return [
            _matrix(name, {part: tensor[number] for part, tensor in parts.items()}, stored)
            for number in experts
        ]
    return _matrix(name, parts, stored)


def _matrix(name: str, parts: Mapping[str, Any], stored: StoredQuantisation) -> StoredMatrix:
    if stored.method == "mxfp4":
        return Mxfp4Matrix(name, parts["codes"], parts["scales"])
    if parts["codes"].dtype in _SCALED:
        return ScaledMatrix(name, parts, stored)
    return PackedMatrix(name, parts, stored)
