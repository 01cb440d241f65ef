"""Small files a person asked for: a copied answer, a picture of the screen."""

import os
import re
from pathlib import Path

from tui.host.errors import UserError


def write_new_file(folder: Path, name: str, content: str | bytes) -> Path:
    """Write ``content`` to a new file (mode 0600) in ``folder``, never over another one.

    Whatever cannot stand in a file name becomes ``_``; a taken name gets a number.

    Raises:
        UserError: the file cannot be written.
    """
    stem, dot, suffix = name.rpartition(".")
    stem = re.sub(r"[^\w.@+-]+", "_", stem).strip("._")[:120] or "duibi"
    data = content if isinstance(content, bytes) else content.encode("utf-8", "replace")
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
