"""Opens files that others wrote or named: ordinary files only, up to a size, text as strict UTF-8.

A pipe, a device, a socket or a folder in the place of a file is refused before anything waits for
it, and of a file that has no end no more is read than its kind may have.
"""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from tui.host.errors import UserError

_BOM = b"\xef\xbb\xbf"
_PIECE = 1 << 16
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def open_regular(path: Path, flags: int = os.O_RDONLY) -> int:
    """A descriptor of an ordinary file; never waits for another program.

    Raises:
        OSError: it is missing, cannot be opened, or is something else; ``strerror`` says what.
    """
    try:
        # Before it is opened: opening a device can make it act.
        _refuse_special(path.stat().st_mode, path)
        fd = os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except ValueError:
        raise OSError(errno.EINVAL, "no path", str(path)) from None
    try:
        _refuse_special(os.fstat(fd).st_mode, path)
    except OSError:
        os.close(fd)
        raise
    return fd


def open_binary(path: Path) -> BinaryIO:
    """An ordinary file, opened to be read.

    Raises:
        OSError: as `open_regular`.
    """
    return os.fdopen(open_regular(path), "rb")


def read_bytes(path: Path, most: int) -> bytes:
    """All of an ordinary file of at most ``most`` bytes.

    Raises:
        OSError: as `open_regular`, or it is larger.
    """
    fd = open_regular(path)
    try:
        size = os.fstat(fd).st_size
        pieces = [os.read(fd, size + 1)] if size <= most else []
        length = sum(map(len, pieces)) or size
        # A file may tell no size (those of /proc), or grow meanwhile.
        while length <= most and (piece := os.read(fd, _PIECE)):
            pieces.append(piece)
            length += len(piece)
    finally:
        os.close(fd)
    if length > most:
        raise OSError(errno.EFBIG, f"larger than {_size(most)}", str(path))
    return b"".join(pieces)


def read_text(path: Path, most: int, next_step: str) -> str:
    """The text of an ordinary file of at most ``most`` bytes of UTF-8; a byte order mark is
    left out.

    Raises:
        UserError: it cannot be read (with ``next_step``), or is not UTF-8; names file and line.
    """
    try:
        data = read_bytes(path, most)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}", next_step) from None
    data = data.removeprefix(_BOM)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}:{line}: not UTF-8", "save the file as UTF-8") from None


def _refuse_special(mode: int, path: Path) -> None:
    if stat.S_ISREG(mode):
        return
    kind = next((word for is_kind, word in _KINDS if is_kind(mode)), "something else")
    raise OSError(errno.EINVAL, f"{kind}, not a file", str(path))


def _size(most: int) -> str:
    return f"{most >> 20} MiB" if most >= 1 << 20 else f"{most >> 10} KiB"
