"""Whether a checkpoint is still the one it was, without reading all of it."""

import hashlib
import os
from pathlib import Path

from tui.checkpoints.gguf_parts import all_parts
from tui.host import foreign_files

_FINGERPRINTED_SUFFIXES = (
    ".json",
    ".jinja",
    ".model",
    ".tiktoken",
    ".txt",
    ".py",
    ".safetensors",
    ".bin",
    ".gguf",
)
"""Endings of the files of a folder that shape an answer."""
_SAMPLE = 1 << 16
_MAX_FILES = 1000


def fingerprint(checkpoint: Path) -> str:
    """16 hexadecimal digits that change when a checkpoint (folder or file) does; "" where it
    cannot be read.

    Of each file its name, its size and three samples of 64 KiB: beginning (the whole of what
    is small), middle and end. Hashing 15 GB would take a minute at each start, and weights
    trained further differ everywhere. Times are left out: a copy is the same checkpoint.
    """
    told = hashlib.sha256()
    try:
        for file in _files(checkpoint):
            with foreign_files.open_binary(file) as opened:
                size = os.fstat(opened.fileno()).st_size
                name = file.name.encode(errors="surrogateescape")
                told.update(b"%d %b %d\n" % (len(name), name, size))
                for at in sorted({0, max(0, size // 2 - _SAMPLE // 2), max(0, size - _SAMPLE)}):
                    opened.seek(at)
                    told.update(opened.read(_SAMPLE))
    except OSError:
        return ""
    return told.hexdigest()[:16]


def _files(checkpoint: Path) -> list[Path]:
    if not checkpoint.is_dir():
        return list(all_parts(checkpoint))
    files = (
        file for file in checkpoint.iterdir() if file.suffix.lower() in _FINGERPRINTED_SUFFIXES
    )
    return sorted(file for file in files if file.is_file())[:_MAX_FILES]
