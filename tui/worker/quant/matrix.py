"""Matrices that give their rows: tensors, those of files that hold them reduced, parts of one,
several one below the other. Shapes are (outputs, inputs), rows float32: ``matrix[start:stop]``.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

_ROWS = 1024
"""Rows that are widened at a time where all of a matrix is wanted."""


class Matrix(Protocol):
    """A weight (rows, columns) that gives its rows: a tensor, or one of the classes below."""

    @property
    def shape(self) -> Sequence[int]:
        """Rows and columns."""
        ...

    def __getitem__(self, rows: slice) -> torch.Tensor:
        """Some of the rows."""
        ...

    def to(self, dtype: torch.dtype) -> torch.Tensor:
        """All of it in a dtype."""
        ...


@dataclass(frozen=True, slots=True)
class Levels:
    """Weights of 4 bits: ``scales * (codes - zeros)``. ``codes`` (rows, columns) of 0 to 15, the
    other two (rows, columns / group) in float32."""

    codes: torch.Tensor
    scales: torch.Tensor
    zeros: torch.Tensor

    @property
    def group(self) -> int:
        """Columns that share a scale."""
        return int(self.codes.shape[1] // self.scales.shape[1])


class StoredMatrix:
    """What all of them have: rows as float32, parts by rows, the whole in a dtype."""

    shape: tuple[int, int]

    def rows(self, start: int, stop: int) -> torch.Tensor:
        """Rows ``start`` to ``stop`` in float32."""
        raise NotImplementedError

    @property
    def level_group(self) -> int:
        """Columns that share a scale where the weights have 4 bits or fewer and lie in order; else
        0."""
        return 0

    def levels(self, start: int, stop: int) -> Levels:
        """The same rows as levels, where `level_group` is not 0."""
        raise NotImplementedError

    @property
    def pages(self) -> list[torch.Tensor]:
        """The tensors of the files."""
        raise NotImplementedError

    @property
    def scales(self) -> torch.Tensor:
        """The stored scales."""
        raise NotImplementedError

    def __getitem__(self, rows: slice) -> torch.Tensor:
        start, stop, _ = rows.indices(self.shape[0])
        return self.rows(start, stop)

    def split(self, rows: Sequence[int]) -> tuple["RowRange", ...]:
        """Parts of so many rows each."""
        ends = torch.tensor(rows).cumsum(0).tolist()
        return tuple(RowRange(self, end - size, end) for size, end in zip(rows, ends, strict=True))

    def to(self, dtype: torch.dtype) -> torch.Tensor:
        """The whole matrix in a dtype."""
        made = torch.empty(self.shape, dtype=dtype)
        for start in range(0, self.shape[0], _ROWS):
            stop = min(start + _ROWS, self.shape[0])
            made[start:stop] = self.rows(start, stop)
        return made


class RowRange(StoredMatrix):
    """Some rows of a matrix, as a matrix."""

    def __init__(self, matrix: StoredMatrix, start: int, stop: int) -> None:
        self._matrix, self._start = matrix, start
        self.shape = (stop - start, matrix.shape[1])

    @property
    def scales(self) -> torch.Tensor:
        """See `StoredMatrix`."""
        return self._matrix.scales

    def rows(self, start: int, stop: int) -> torch.Tensor:
        """See `StoredMatrix`."""
        return self._matrix.rows(self._start + start, self._start + stop)

    @property
    def level_group(self) -> int:
        """See `StoredMatrix`."""
        return self._matrix.level_group

    def levels(self, start: int, stop: int) -> Levels:
        """See `StoredMatrix`."""
        return self._matrix.levels(self._start + start, self._start + stop)

    @property
    def pages(self) -> list[torch.Tensor]:
        """See `StoredMatrix`; none, as other parts need them."""
        return []


class Stacked:
    """Matrices with the same columns, one below the other."""

    def __init__(self, parts: Sequence[Any]) -> None:
        self.parts = parts
        self.shape = (sum(part.shape[0] for part in parts), parts[0].shape[1])

    def __getitem__(self, rows: slice) -> torch.Tensor:
        start, stop, _ = rows.indices(self.shape[0])
        found = [part[low:high] for part, low, high in self._ranges(start, stop)]
        return found[0] if len(found) == 1 else torch.cat(found)

    def _ranges(self, start: int, stop: int) -> Iterator[tuple[Any, int, int]]:
        """The parts that some rows are in, and which rows of theirs these are."""
        first = 0
        for part in self.parts:
            low, high = max(start - first, 0), min(stop - first, part.shape[0])
            if low < high:
                yield part, low, high
            first += part.shape[0]

    def to(self, dtype: torch.dtype) -> torch.Tensor:
        """All of it in a dtype."""
        found = [part.to(dtype) for part in self.parts]
        return found[0] if len(found) == 1 else torch.cat(found)

    @property
    def level_group(self) -> int:
        """As `StoredMatrix.level_group`, where it is that of all parts."""
        groups = {part.level_group if isinstance(part, StoredMatrix) else 0 for part in self.parts}
        return groups.pop() if len(groups) == 1 else 0

    def levels(self, start: int, stop: int) -> Levels:
        """As `StoredMatrix.levels`."""
        found = [part.levels(low, high) for part, low, high in self._ranges(start, stop)]
        return Levels(
            torch.cat([one.codes for one in found]),
            torch.cat([one.scales for one in found]),
            torch.cat([one.zeros for one in found]),
        )

    @property
    def pages(self) -> list[torch.Tensor]:
        """The tensors of the files that it is made of."""
        return [
            page
            for part in self.parts
            for page in (part.pages if isinstance(part, StoredMatrix) else [part])
        ]
