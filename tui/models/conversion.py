"""What a GGUF file takes of the disk when it is computed in a format of ours: told before it is
written."""

from pathlib import Path

from tui.checkpoints import gguf_cache, quantised_cache
from tui.checkpoints.gguf_header import conversion_bytes, read_header
from tui.checkpoints.gguf_parts import is_gguf
from tui.checkpoints.llama_cpp import PUBLISHED
from tui.checkpoints.memory_estimate import BYTES_PER_WEIGHT, QUANTISED_DTYPES, weights_bytes
from tui.host import filesystem
from tui.host.errors import UserError
from tui.models.reference import DTYPES
from tui.models.remove import disk_bytes
from tui.models.resolved import LOCAL, ResolvedModel
from tui.text.units import format_size

_WORTH_TELLING = 500_000_000
"""Bytes that a person wants to know of."""


def disk_remark(model: ResolvedModel) -> str:
    """A line about what the first load of a model will write; empty where that is nothing, or
    little.

    Raises:
        UserError: the disk has no room for it.
    """
    file = model.checkpoint
    if model.engine != LOCAL or model.dtype == PUBLISHED or not is_gguf(file):
        return ""
    written, kept = conversion_sizes(file, model.dtype)
    folder = gguf_cache.root()
    if written and (free := filesystem.free_bytes(folder)) < written:
        raise UserError(
            f"no space to convert {file.name} in {folder}: "
            f"it takes {format_size(written)}, {format_size(free)} are free",
            "free space there, or set DUIBI_CACHE_DIR to a folder on a larger disk",
        )
    if written < _WORTH_TELLING:
        return ""
    return (
        f"{model.label}: the first load writes {format_size(written)} of disk and keeps "
        f"{format_size(kept)} of it; `duibi models rm FILE@{model.dtype}` deletes that again, the "
        "GGUF file stays"
    )


def kept_sizes(checkpoint: Path) -> dict[str, int]:
    """Bytes on the disk of the weights that were made of a folder or GGUF file and are kept, by
    format."""
    if not is_gguf(checkpoint):
        return {one.dtype: disk_bytes(one.folder) for one in quantised_cache.entries_of(checkpoint)}
    folders = [path for path in gguf_cache.entries_of(checkpoint) if path.is_dir()]
    forms = {path.name.rpartition("-")[2]: path for path in folders}
    found = {form: disk_bytes(path) for form, path in forms.items() if form in DTYPES}
    reduced = [one for path in folders for one in quantised_cache.entries_of(path)]
    return found | {one.dtype: disk_bytes(one.folder) for one in reduced}


def conversion_sizes(file: Path, dtype: str) -> tuple[int, int]:
    """Bytes that the first load of a GGUF file in ``dtype`` writes at most, and that stay; zeros
    where it is done.

    Raises:
        UserError: the file cannot be read.
    """
    made = gguf_cache.entry_folder(file, gguf_cache.form_of(dtype))
    header = read_header(file)
    if dtype not in QUANTISED_DTYPES:
        size = 0 if made.is_dir() else conversion_bytes(header, dtype)
        return size, size
    if quantised_cache.entries_of(made, dtype):
        return 0, 0
    shape = header.shape
    # The embeddings stay in bf16, beside a head that is made of them too.
    embeddings = int(shape.vocab * shape.hidden * BYTES_PER_WEIGHT["bf16"])
    kept = weights_bytes(header.parameters, dtype, shape) + embeddings
    return conversion_bytes(header, "bf16") + kept, kept
