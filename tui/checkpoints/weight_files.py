"""The files that a load reads a model's weights from."""

import contextlib
from pathlib import Path

from tui.checkpoints import gguf_cache, quantised_cache
from tui.checkpoints.errors import CheckpointError
from tui.checkpoints.gguf_parts import all_parts
from tui.checkpoints.llama_cpp import PUBLISHED
from tui.checkpoints.weight_headers import shard_names


def weight_files(checkpoint: Path, dtype: str) -> list[Path]:
    """Those of a folder or GGUF file: what is kept in the format, where it is kept already, else
    what it is made of; none where it cannot be read."""
    path, files, form = checkpoint, list[Path](), ""
    with contextlib.suppress(OSError, CheckpointError):
        if path.is_file():
            if dtype == PUBLISHED:
                return list(all_parts(path))
            form = gguf_cache.form_of(dtype)
            files, made = list(all_parts(path)), gguf_cache.entry_folder(path, form)
            path = made if made.is_dir() else path
        if path.is_dir() and (not files or form != gguf_cache.WORDS):
            files = [path / name for name in shard_names(path)]
    mine = [k.folder for k in quantised_cache.entries_of(path, dtype) if not k.is_outdated]
    kept = [file for folder in mine for file in sorted(folder.glob("*.safetensors"))]
    return kept or [file for file in files if file.is_file()]
