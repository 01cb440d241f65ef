"""Which share of a file is in the page cache: loading from there does not measure the disk."""

import ctypes
import mmap
import os
from collections.abc import Iterable
from pathlib import Path

from tui.host import system

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.mmap.restype = ctypes.c_void_p
_LIBC.mmap.argtypes = [
    *(ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
]
_LIBC.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_LIBC.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p]
_LOWEST_BIT = bytes(byte & 1 for byte in range(256))
_FAILED = ctypes.c_void_p(-1).value


def cached_share(paths: Iterable[Path]) -> float | None:
    """The part (0 to 1) of the files' pages that are in memory, as mincore(2) tells; None if
    it cannot be known. For files of others the kernel says 1."""
    held = pages = 0
    try:
        for path in paths:
            some, all_ = _resident(path)
            held, pages = held + some, pages + all_
    except OSError:
        return None
    return held / pages if pages else None


def drop(paths: Iterable[Path]) -> None:
    """Let go what of the files no process has mapped (posix_fadvise(2)); needs no rights."""
    for path in paths:
        with path.open("rb") as file:
            # Pages that are still to be written stay.
            os.fsync(file.fileno())
            system.drop_cached(file.fileno())


def _resident(path: Path) -> tuple[int, int]:
    """Pages in memory, and all pages."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if not size:
            return 0, 0
        at = _LIBC.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, file.fileno(), 0)
        if at == _FAILED:
            raise OSError(ctypes.get_errno(), "mmap", str(path))
        try:
            told = ctypes.create_string_buffer(-(-size // mmap.PAGESIZE))
            if _LIBC.mincore(at, size, told):
                raise OSError(ctypes.get_errno(), "mincore", str(path))
        finally:
            _LIBC.munmap(at, size)
    return told.raw.translate(_LOWEST_BIT).count(1), len(told)
