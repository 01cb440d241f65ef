"""A copy of a growing session file in memory, a seventh of its size."""

import bz2
from collections.abc import Iterator
from itertools import chain

from tui.sessions.lines import add_crc, strip_crc

_BLOCK = 1 << 16


class CompressedCopy:
    """The sealed lines of a session, which are only appended to, without their checksums: these
    are made again. Whole blocks are compressed (a token's line takes 9 bytes so, 66 as it is;
    deflated it would take 12); what came last is kept as it is."""

    def __init__(self) -> None:
        self.size = 0
        """Bytes appended so far."""
        self._blocks: list[bytes] = []
        self._uncompressed = bytearray()

    def append(self, data: bytes) -> None:
        """Add whole lines at the end."""
        self.size += len(data)
        for line in data.split(b"\n")[:-1]:
            self._uncompressed += strip_crc(line + b"\n") + b"\n"
            if len(self._uncompressed) >= _BLOCK:
                self._blocks.append(bz2.compress(self._uncompressed))
                self._uncompressed.clear()

    def pieces(self) -> Iterator[bytes]:
        """Everything, in order."""
        for block in chain(map(bz2.decompress, self._blocks), (bytes(self._uncompressed),)):
            yield b"".join(map(add_crc, block.split(b"\n")[:-1]))
