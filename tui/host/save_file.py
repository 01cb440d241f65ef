"""Files that hold what models said: reports, copied answers, pictures of the screen, logs. Like
sessions only their owner reads them (mode 0600), and no secret of the environment is in them."""

import contextlib
import errno
import os
import re
import stat
import tempfile
from pathlib import Path

from tui.host.errors import UserError
from tui.host.secrets import redact_secrets


def safe_name(name: str) -> str:
    """A file's name in which whatever cannot stand in one became ``_``; its ending stays."""
    stem, dot, suffix = name.rpartition(".")
    stem = re.sub(r"[^\w.@+-]+", "_", stem).strip("._")[:120] or "duibi"
    return stem + dot + suffix


def folder_to_hand_in(otherwise: Path) -> Path:
    """Where reports and pictures go, which a person takes away: the current folder, or
    ``otherwise`` where that cannot be written."""
    here = Path.cwd()
    return here if os.access(here, os.W_OK) else otherwise


def write_new_file(folder: Path, name: str, content: str | bytes) -> Path:
    """Write ``content`` to a new file (mode 0600) in ``folder``, never over another one.

    Whatever cannot stand in a file name becomes ``_``; a taken name gets a number.

    Raises:
        UserError: the file cannot be written.
    """
    stem, dot, suffix = safe_name(name).rpartition(".")
    data = _encoded(content)
    for number in range(1, 1000):
        path = folder / f"{stem}{f'-{number}' if number > 1 else ''}{dot}{suffix}"
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        except FileExistsError:
            continue
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror}", "free the folder") from None
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
        except OSError as error:
            path.unlink(missing_ok=True)
            raise UserError(f"cannot write {path}: {error.strerror}", "make room") from None
        return path
    raise UserError(f"a thousand files called {stem} in {folder}", "remove some of them")


def replace_file(path: Path, content: str | bytes, encoding: str = "utf-8") -> None:
    """Write a file whole or not at all, in place of an older one; a link is replaced, never
    followed.

    Raises:
        UserError: it cannot be written, or what is there is no file.
    """
    data = _encoded(content, encoding)
    try:
        _refuse_other_kinds(path)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror or error}", "choose another place with --out"
        ) from None


def make_real_folder(folder: Path) -> None:
    """Make a folder (mode 0700) for files beside others, where it does not exist yet.

    Raises:
        OSError: it cannot be made, or a link stands in its place: what is written into it, or
            deleted from it, would lie elsewhere.
    """
    folder.mkdir(0o700, exist_ok=True)
    if not is_real_folder(folder):
        raise OSError(errno.ELOOP, "a link, not a folder", str(folder))


def is_real_folder(folder: Path) -> bool:
    """Whether there is a folder, and no link to one."""
    return folder.is_dir() and not folder.is_symlink()


def _refuse_other_kinds(path: Path) -> None:
    """A pipe would be waited for, and a device be written to."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode) and not stat.S_ISLNK(mode):
        raise OSError(errno.EINVAL, "no file", str(path))


def open_log(path: Path) -> int:
    """A descriptor that appends to a log; what is written can be read again through it.

    Raises:
        OSError: it cannot be opened.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    with contextlib.suppress(OSError):
        os.fchmod(fd, 0o600)  # one of an earlier version
    return fd


def _encoded(content: str | bytes, encoding: str = "utf-8") -> bytes:
    if isinstance(content, bytes):
        return content
    return redact_secrets(content).encode(encoding, "replace")
