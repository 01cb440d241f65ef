"""What a file of weights is, told from its first bytes, and where its converted copy lies."""

import hashlib
from pathlib import Path

from tui.host.errors import UserError
from tui.host.paths import cache_dir

GGUF_MAGIC = b"GGUF"
_LFS = b"version https://git-lfs.github.com/spec/v1"
_POINTER_AT_MOST = 1024
_SMALLEST_GGUF = 24
_CONVERSION = 1
"""Counts up when the same file would be converted differently."""
_HEAD = 1 << 20


def conversions() -> Path:
    """The folder of all converted copies."""
    return cache_dir() / "converted"


def converted_name(gguf: Path) -> str:
    """What the folder is called that a GGUF file is converted into.

    Hashing all of it would read gigabytes at each start; who writes into the middle of a
    file changes its time.

    Raises:
        OSError: it cannot be read.
    """
    stat = gguf.stat()
    with gguf.open("rb") as file:
        head = file.read(_HEAD)
    told = f"{_CONVERSION} {stat.st_size} {stat.st_mtime_ns} ".encode() + head
    slug = "".join(c if c.isalnum() or c in "._-" else "_" for c in gguf.stem)[:64]
    return f"{slug}-{hashlib.sha256(told).hexdigest()[:16]}"


def lfs_pointer(file: Path) -> bool:
    """Whether a file is what git leaves in place of a large file that was not pulled."""
    try:
        if file.stat().st_size > _POINTER_AT_MOST:
            return False
        with file.open("rb") as opened:
            return opened.read(len(_LFS)) == _LFS
    except OSError:
        return False


def check_gguf(file: Path) -> int:
    """The size in bytes of a ``.gguf`` file that is one by its first bytes.

    Nothing more of it is read in this process.

    Raises:
        UserError: it is not there, cannot be read, was not pulled, or is something else.
    """
    if lfs_pointer(file):
        raise UserError(
            f"the weights of {file} were not pulled (a git-lfs pointer is in their place)",
            f"run: git -C {file.parent} lfs pull",
        )
    try:
        with file.open("rb") as opened:
            magic = opened.read(len(GGUF_MAGIC))
        size = file.stat().st_size
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror or error}") from None
    if magic != GGUF_MAGIC or size < _SMALLEST_GGUF:
        raise UserError(f"{file} is not a GGUF file", "fetch it again; it may be cut off")
    return size
