"""A copy of a growing file in memory, a third of its size."""

import zlib
from collections.abc import Iterator

_BLOCK = 1 << 16


class Packed:
    """Bytes that are only appended to. Whole blocks are deflated (a session's lines take 20
    bytes a token so, 66 as they are); what came last is kept as it is."""

    def __init__(self) -> None:
        self.size = 0
        """Bytes appended so far."""
        self._blocks: list[bytes] = []
        self._tail = bytearray()

    def append(self, data: bytes) -> None:
        """Add ``data`` at the end."""
        self.size += len(data)
        self._tail += data
        while len(self._tail) >= _BLOCK:
            self._blocks.append(zlib.compress(self._tail[:_BLOCK]))
            del self._tail[:_BLOCK]

    def pieces(self) -> Iterator[bytes]:
        """Everything, in order."""
        yield from map(zlib.decompress, self._blocks)
        yield bytes(self._tail)
