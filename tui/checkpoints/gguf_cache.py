"""What a file of weights is, told from its first bytes, and where its converted copy lies."""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tui.checkpoints import build_cache, gguf_parts
from tui.checkpoints.weight_headers import LFS_POINTER_PREFIX
from tui.host import foreign_files
from tui.host.errors import UserError
from tui.host.paths import cache_dir

_MAX_POINTER_BYTES = 1024
_MIN_GGUF_BYTES = 24
_CONVERSION_VERSION = 2
"""Counts up when the same file would be converted differently."""
WORDS = "words"
FORMS = (WORDS, "fp32", "bf16", "fp16")
"""What a GGUF file is converted into: a checkpoint whose quantised weights are stored in a dtype,
or all but the weights, of which reduced ones were made."""
_HASHED_BYTES = 1 << 20
_REST = r"(?:\.lock|\.\d+\.part)?"
"""What stands behind an entry's name where it is its lock, or is not finished."""


def root() -> Path:
    """The folder of all converted copies."""
    return cache_dir() / "converted"


def form_of(dtype: str) -> str:
    """The form (`FORMS`) that a GGUF file is converted into to be computed in ``dtype``."""
    return dtype if dtype in FORMS else WORDS


def entry_folder(gguf: Path, form: str, folder: Path | None = None) -> Path:
    """The folder that a GGUF file is converted into in one of the `FORMS`, in ``folder`` (default:
    `root`).

    Its name is made of the file's name, size, time and first megabyte: hashing all of it would
    read gigabytes at each start, and a change in the middle of the file changes its time.

    Raises:
        OSError: the file cannot be read.
    """
    stat = gguf.stat()
    with foreign_files.open_binary(gguf) as file:
        head = file.read(_HASHED_BYTES)
    told = f"{_CONVERSION_VERSION} {stat.st_size} {stat.st_mtime_ns} ".encode() + head
    name = f"{_slug(gguf)}-{hashlib.sha256(told).hexdigest()[:16]}-{form}"
    return (folder or root()) / name


def entries_of(gguf: Path) -> list[Path]:
    """All that was converted of this file, in every form, also before it changed, with locks and
    unfinished copies; of a file that is gone, all of its name."""
    try:
        now = entry_folder(gguf, WORDS).name.removesuffix(WORDS)
    except OSError:
        now = ""
    forms = "|".join(FORMS)
    here, entry_name = (
        str(gguf.resolve()),
        re.compile(rf"(?P<name>{re.escape(_slug(gguf))}-[0-9a-f]{{16}}(?:-(?:{forms}))?){_REST}"),
    )
    found = []
    for path in sorted(root().iterdir()) if root().is_dir() else ():
        if (entry := entry_name.fullmatch(path.name)) is None:
            continue
        name = entry["name"]
        if (
            not now
            or name.startswith(now)
            or build_cache.manifest(root() / name).get("path") == here
        ):
            found.append(path)
    return found


def ensure(folder: Path, gguf: Path, make: Callable[[Path], dict[str, Any]]) -> Path:
    """``folder`` (`entry_folder`), whole: as it is, or filled by ``make(temporary folder)``,
    which gives what else is written down of it.

    Raises:
        OSError: it cannot be written.
    """
    return build_cache.ensure(
        folder,
        lambda temporary: {
            "source": gguf.name,
            "path": str(gguf.resolve()),
            **make(temporary),
        },
    )


def _slug(gguf: Path) -> str:
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in gguf_parts.display_stem(gguf))[
        :64
    ]


def is_lfs_pointer(file: Path) -> bool:
    """Whether a file is what git leaves in place of a large file that was not pulled."""
    try:
        if file.stat().st_size > _MAX_POINTER_BYTES:
            return False
        with foreign_files.open_binary(file) as opened:
            return opened.read(len(LFS_POINTER_PREFIX)) == LFS_POINTER_PREFIX
    except OSError:
        return False


def check_gguf(file: Path) -> int:
    """The size in bytes of a GGUF file, of all parts where it is split. It is one by its first
    bytes; nothing more of it is read.

    Raises:
        UserError: it is not there, cannot be read, was not pulled, or is something else.
    """
    if is_lfs_pointer(file):
        raise UserError(
            f"the weights of {file} were not pulled (a git-lfs pointer is in their place)",
            f"run: git -C {file.parent} lfs pull",
        )
    try:
        with foreign_files.open_binary(file) as opened:
            magic = opened.read(len(gguf_parts.MAGIC))
        size = gguf_parts.size_of(file)
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror or error}") from None
    if magic != gguf_parts.MAGIC or size < _MIN_GGUF_BYTES:
        raise UserError(f"{file} is not a GGUF file", "fetch it again; it may be cut off")
    return size
