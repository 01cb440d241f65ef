"""Files that are executed: nobody but the user can have written them."""

import os
import stat
from pathlib import Path


class NotOwnedError(Exception):
    """Someone else could have written the file; the message is a clause for the user."""


def open_owned_folder(folder: Path) -> int:
    """A descriptor of a folder that belongs to the user and that no one else can write to. A link
    to such a folder is as good.

    Raises:
        OSError: it cannot be opened.
        NotOwnedError: it belongs to someone else, or others can write to it.
    """
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    return _checked(fd, folder)


def open_owned_file(folder_fd: int, name: str) -> int:
    """A descriptor of a regular file in a folder of `open_owned_folder`, which belongs to the user
    as well. What is checked is the open file: another one cannot take its place afterwards.

    Raises:
        OSError: it cannot be opened, or is a symbolic link.
        NotOwnedError: as of the folder, or it is no regular file.
    """
    # A FIFO of that name would block an open that waits for its writer.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    fd = _checked(os.open(name, flags, dir_fd=folder_fd), Path(name))
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise NotOwnedError(f"{name} is no file")
    return fd


def _checked(fd: int, path: Path) -> int:
    seen = os.fstat(fd)
    why = ""
    if seen.st_uid != os.geteuid():
        why = f"{path} belongs to another user"
    elif seen.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        why = f"others can write to {path}"
    if why:
        os.close(fd)
        raise NotOwnedError(why)
    return fd
