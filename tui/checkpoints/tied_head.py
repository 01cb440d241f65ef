"""Whether the two large tables of a GGUF file are one: published files often hold the tied head
of a model a second time, in a format of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui.checkpoints.ggml_types import BLOCKS, GgmlType
from tui.host import foreign_files

_ROWS = 4
_ALIKE = 0.9
"""Cosine of rows above which one is the other in another format: quantising to 2 bits leaves
0.95, and different tables have nothing in common."""


@dataclass(frozen=True, slots=True)
class Table:
    """Where a table of rows of ``width`` values lies: in ``file``, from byte ``start`` on."""

    file: Path
    kind: GgmlType
    start: int
    width: int


def is_repeated(rows: int, head: Table, embeddings: Table) -> bool:
    """Whether rows here and there of two tables of ``rows`` rows each are the same, but for how
    they are rounded.

    Raises:
        OSError: a file cannot be read.
    """
    chosen = sorted({rows * number // _ROWS for number in range(_ROWS)} | {rows - 1})
    pairs = list(zip(_read(head, chosen), _read(embeddings, chosen), strict=True))
    if head.kind == embeddings.kind:
        return all(one == other for one, other in pairs)
    return _are_alike(head.kind, embeddings.kind, pairs)


def _read(table: Table, numbers: Sequence[int]) -> list[bytes]:
    block, block_bytes = BLOCKS[table.kind]
    size, found = table.width // block * block_bytes, []
    with foreign_files.open_binary(table.file) as file:
        for number in numbers:
            file.seek(table.start + number * size)
            found.append(file.read(size))
    return found


def _are_alike(head: GgmlType, embeddings: GgmlType, pairs: Sequence[tuple[bytes, bytes]]) -> bool:
    try:
        import gguf
        import numpy as np
    except ImportError:
        return False  # nothing is installed that computes with either

    def values(raw: bytes, kind: GgmlType) -> Any:
        told = np.frombuffer(raw, dtype=np.uint8).reshape(1, -1)
        return gguf.dequantize(told, gguf.GGMLQuantizationType(kind)).reshape(-1).astype(np.float64)

    products = []
    try:
        for first, second in pairs:
            one, other = values(first, head), values(second, embeddings)
            length = float(np.linalg.norm(one) * np.linalg.norm(other))
            # A row of zeros, of a token that was never seen, tells nothing.
            if length > 0:
                products.append(float(one @ other) / length)
    except (ValueError, NotImplementedError):
        return False  # a format that nobody reads here
    return bool(products) and min(products) > _ALIKE
