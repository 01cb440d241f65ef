"""The file that ``--out`` names: what may be written over and what not."""

import stat
from collections.abc import Iterable
from pathlib import Path

from tui.host import foreign_files
from tui.host.errors import UserError
from tui.sessions import lines

_HEAD_BYTES = 1 << 16


def check_out(path: Path, inputs: Iterable[object] = ()) -> None:
    """Return if a file may be written at ``path``, also over an older one. ``inputs`` are paths
    that the command reads, or what is none.

    Raises:
        UserError: its folder is missing, or it is a session, one of ``inputs`` or no ordinary file.
    """
    if not path.absolute().parent.is_dir():
        raise UserError(f"--out: there is no folder {path.absolute().parent}", "make it first")
    try:
        is_there = path.exists()
        is_file = str(path) != "-" and (not is_there or stat.S_ISREG(path.stat().st_mode))
        is_input = is_there and any(
            isinstance(one, str | Path) and Path(one).exists() and path.samefile(one)
            for one in inputs
        )
        is_session = path.suffix == lines.SUFFIX or (is_there and is_file and _holds(path))
    except OSError as error:
        raise UserError(f"--out {path}: {error.strerror or error}", "name another file") from None
    if not is_file:
        raise UserError(f"--out {path} is no file", "name one; without --out it goes to stdout")
    if is_input:
        raise UserError(f"--out {path} is a file that this command reads", "name another file")
    if is_session:
        raise UserError(f"--out {path} is a session, or is called like one", "name another file")


def _holds(path: Path) -> bool:
    """Whether a file begins with a line of a session."""
    with foreign_files.open_binary(path) as file:
        head = file.read(_HEAD_BYTES)
    first = head[: head.find(b"\n") + 1] or head
    return lines.has_valid_crc(first) or first.startswith(b'[0,0,-1,"session",')
