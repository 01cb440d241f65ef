"""How a downloaded model came to this machine: noted when it has come, for the session's header."""

import contextlib
import json
import zlib
from pathlib import Path
from typing import Any

from tui.host import foreign_files, paths, save_file
from tui.host.errors import UserError

_MOST_BYTES = 1 << 12


def note(folder: Path, fetched_bytes: int, seconds: float) -> None:
    """Note that these bytes of a checkpoint were fetched in so many seconds; nothing where it
    cannot be written: no download fails for it."""
    told = {"bytes": fetched_bytes, "seconds": round(seconds, 1)}
    with contextlib.suppress(UserError):
        save_file.replace_file(_file(folder), json.dumps(told))


def recall(folder: Path) -> dict[str, Any] | None:
    """The ``bytes`` and ``seconds`` of a checkpoint's download; None where none was noted."""
    try:
        told = json.loads(foreign_files.read_bytes(_file(folder), _MOST_BYTES))
    except (OSError, ValueError, UserError):
        return None
    match told:
        case {"bytes": int(size), "seconds": int() | float() as seconds} if size > 0:
            return {"bytes": size, "seconds": seconds}
    return None


def _file(folder: Path) -> Path:
    name = f"{zlib.crc32(str(folder.resolve()).encode()):08x}.json"
    return paths.make_private_dir(paths.cache_dir() / "arrivals") / name
