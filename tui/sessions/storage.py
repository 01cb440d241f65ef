"""File operations of the journal: create, lock, fsync, open."""

import fcntl
import os
import secrets
import time
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from tui.host import foreign_files
from tui.host.errors import UserError
from tui.sessions.lines import MAX_FILE, SUFFIX

LOCK_WAIT_S = 1.0


def new_name() -> str:
    """``<UTC stamp>-<8 hex>.duibi``: sorts by time, never chosen twice."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}{SUFFIX}"


def make_folder(folder: Path) -> None:
    """Make a folder (mode 0700) and what lies above it.

    Raises:
        UserError: it cannot be made.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot make the folder {folder}: {error_text(error)}",
            "choose another one with --sessions DIR",
        ) from None


def folder_hash(folder: Path) -> str:
    """16 hex digits that name what the cache holds for a folder."""
    return sha256(os.fsencode(folder.resolve())).hexdigest()[:16]


def create(folder: Path, name: str | None = None) -> tuple[Path, int]:
    """A new empty file that nobody else has, open for appending and locked.

    Raises:
        FileExistsError: ``name`` was given and is taken.
        OSError: the folder cannot be written.
    """
    while True:
        path = folder / (name or new_name())
        try:
            flags = os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_RDWR | os.O_CLOEXEC
            fd = os.open(path, flags, 0o600)
        except FileExistsError:
            if name is not None:
                raise
            continue
        lock(fd)
        return path, fd


def lock(fd: int) -> bool:
    """Take the writer's lock; whether it is held. A file system without locks counts as held.

    A reader that only looks (`is_live`) holds it for an instant: hence the wait.
    """
    end = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                return False
            time.sleep(0.02)
        except OSError:
            return True
        else:
            return True


def is_live(path: Path) -> bool:
    """Whether a process is writing this session right now."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    else:
        return False
    finally:
        os.close(fd)


def state_of(path: Path, verdict: str) -> str:
    """The verdict of `reader` on this file, but ``running`` where it only has no end yet because a
    process is writing it."""
    return "running" if verdict == "interrupted" and is_live(path) else verdict


def sync_folder(folder: Path) -> None:
    """fsync a folder, so that a new file name survives a power failure; errors are ignored."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError:
        pass  # Some network file systems do not support it; the file itself was synced.
    finally:
        os.close(fd)


def open_regular(path: Path, flags: int = os.O_RDONLY) -> int:
    """Open a session file; never waits on a pipe, never reads a device.

    Raises:
        UserError: it is missing, unreadable, no ordinary file, or too large.
    """
    try:
        fd = foreign_files.open_regular(path, flags)
    except FileNotFoundError:
        raise UserError(f"there is no session {path}", "see `duibi sessions list`") from None
    except PermissionError as error:
        raise UserError(
            f"cannot open {path}: {error_text(error)}", "check its permissions"
        ) from None
    except OSError as error:
        raise UserError(
            f"cannot open {path}: {error_text(error)}",
            "name a session file; see `duibi sessions list`",
        ) from None
    size = os.fstat(fd).st_size
    if size <= MAX_FILE:
        return fd
    os.close(fd)
    raise UserError(
        f"{path} has {size / 1e9:.1f} GB; up to {MAX_FILE / 1e9:.1f} GB are read",
        "check that it is a session file",
    )


def error_text(error: OSError) -> str:
    """The operating system's text for an error."""
    return error.strerror or str(error)
