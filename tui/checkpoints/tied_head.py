"""Whether the two large tables of a GGUF file are one: published files often hold the tied head
of a model a second time, in a format of its own."""

from collections.abc import Sequence
from typing import Any

from tui.checkpoints.ggml_types import BLOCKS, GgmlType

_ROWS = 4
_ALIKE = 0.9
"""Cosine of rows above which one is the other in another format: quantising to 2 bits leaves
0.95, and different tables have nothing in common."""

_Table = tuple[GgmlType, int, int]
"""Format, first byte, and values of a row."""


def is_repeated(blob: Any, rows: int, head: _Table, embeddings: _Table) -> bool:
    """Whether rows here and there of two tables of ``rows`` rows each in the bytes ``blob`` are
    the same, but for how they are rounded."""
    chosen = sorted({rows * number // _ROWS for number in range(_ROWS)} | {rows - 1})
    pairs = [(_row(blob, head, n), _row(blob, embeddings, n)) for n in chosen]
    if head[0] == embeddings[0]:
        return all(one == other for one, other in pairs)
    return _are_alike(head, embeddings, pairs)


def _row(blob: Any, table: _Table, number: int) -> bytes:
    kind, start, width = table
    block, block_bytes = BLOCKS[kind]
    size = width // block * block_bytes
    return bytes(blob[start + number * size : start + (number + 1) * size])


def _are_alike(head: _Table, embeddings: _Table, pairs: Sequence[tuple[bytes, bytes]]) -> bool:
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
            one, other = values(first, head[0]), values(second, embeddings[0])
            length = float(np.linalg.norm(one) * np.linalg.norm(other))
            # A row of zeros, of a token that was never seen, tells nothing.
            if length > 0:
                products.append(float(one @ other) / length)
    except (ValueError, NotImplementedError):
        return False  # a format that nobody reads here
    return bool(products) and min(products) > _ALIKE
