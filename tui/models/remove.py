"""Giving back the disk that models take: only what this program or a hub's cache holds."""

import shutil
from pathlib import Path

from tui.checkpoints import gguf_cache
from tui.checkpoints.gguf_parts import all_parts, first_part, has_magic
from tui.checkpoints.quantised_cache import entries, entries_of
from tui.host.errors import UserError
from tui.host.paths import expand
from tui.models import demo, ollama_files
from tui.models.caches import model_entry
from tui.models.gguf_choice import cached_gguf
from tui.models.hubs import HUBS
from tui.models.reference import LOCAL_KINDS, Reference


def removable_paths(ref: Reference) -> list[Path]:
    """The files and folders that are there only for a model, and are removed with it; of a
    reference with a format (``@int4``) its weights in that format alone.

    Raises:
        UserError: it is not on this disk, or is kept by a person and not by a cache.
    """
    if ref.kind not in LOCAL_KINDS:
        raise UserError(f"{ref.text} takes no space here", "duibi models list shows what does")
    if ref.dtype:
        return _one_format(ref)
    found = _of_caches(ref)
    own = expand(ref.target)
    if not found and ref.kind in ("folder", "gguf") and own.exists():
        sure = "remove it yourself if you are sure: "
        if own.is_dir():
            message = f"{ref.target} is no model of a cache, but a folder of yours"
            raise UserError(message, f"{sure}rm -r {ref.target}")
        message = f"{ref.target} is no model of a cache, but a file of yours"
        raise UserError(message, f"{sure}rm {ref.target}")
    if not any(map(_holds_files, found)):
        if ref.kind == "ollama":
            raise UserError(f"{ref.text} belongs to Ollama", f"ollama rm {ref.target}")
        raise UserError(f"nothing of {ref.text} is here", "duibi models list shows what is")
    return found


def _of_caches(ref: Reference) -> list[Path]:
    path = expand(ref.target)
    if ref.kind == "demo":
        folder = demo.path().parent
        found = [folder, *gguf_cache.entries_of(demo.path())] if folder.is_dir() else []
    elif (file := _gguf_of(ref)) is not None:
        found = [*_files_of_cache(file), *gguf_cache.entries_of(file)]
    else:
        folder = HUBS[ref.kind].folder(ref.target) if ref.kind in HUBS else path
        entry = model_entry(folder)
        if entry and ref.kind in HUBS and not _is_entry_of(entry, ref.target):
            entry = None
        # A folder of the user's own stays: only our quantised copies of it are removed.
        found = [entry] if entry else [one.folder for one in entries_of(path)]
    copies = _quantised_copies(found)
    return [path for path in dict.fromkeys([*found, *copies]) if path.exists()]


def _holds_files(path: Path) -> bool:
    """A download that was refused leaves an empty folder."""
    return not path.is_dir() or any(not one.is_dir() for one in path.rglob("*"))


def _is_entry_of(entry: Path, model: str) -> bool:
    """Not another model's, whose entry is called like a name in a folder (``models/a--b``)."""
    name = entry.name.removeprefix("models--")
    return "--" not in name or name == model.replace("/", "--")


def _one_format(ref: Reference) -> list[Path]:
    path = expand(ref.target)
    file = demo.path() if ref.kind == "demo" else _gguf_of(ref)
    folder = HUBS[ref.kind].folder(ref.target) if ref.kind in HUBS else path
    sources = [folder] if file is None else gguf_cache.entries_of(file)
    found = [one.folder for source in sources for one in entries_of(source, ref.dtype)]
    if file is not None:
        found += [path for path in sources if path.is_dir() and _form(path) == ref.dtype]
    if not found:
        raise UserError(
            f"nothing is kept of {ref.text}",
            "duibi models list shows what is kept; without @ the model itself is meant",
        )
    return found


def _form(converted: Path) -> str:
    """What a GGUF file was converted into there."""
    return converted.name.rpartition("-")[2]


def _gguf_of(ref: Reference) -> Path | None:
    """The GGUF file of a reference, of a split model the first; None where it means something
    else."""
    match ref.kind:
        case "gguf":
            return first_part(expand(ref.target))
        case "ollama":
            return ollama_files.find(ref.target).blob
        case kind if kind in HUBS:
            return cached_gguf(HUBS[kind].folder(ref.target), ref.file, ref.text)
        case "folder" if has_magic(expand(ref.target)):
            return expand(ref.target)
    return None


def _files_of_cache(gguf: Path) -> list[Path]:
    """The files of a model's entry in a cache, and what they link to in there."""
    # Published files may lie in a folder for each quantisation.
    entry = model_entry(gguf.parent) or model_entry(gguf.parent.parent)
    found = []
    for part in all_parts(gguf):
        if entry is not None and part.resolve().is_relative_to(entry):
            found += [part, part.resolve()]
    return found


def remove(paths: list[Path]) -> None:
    """Remove what `removable_paths` named.

    Raises:
        UserError: a file cannot be removed.
    """
    for path in paths:
        try:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        except OSError as error:
            raise UserError(
                f"{path} cannot be removed: {error.strerror or error}", "look at its permissions"
            ) from None


def disk_bytes(path: Path) -> int:
    """Bytes a file or a folder takes on the disk; links count nothing."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.lstat().st_blocks * 512 for file in files if not file.is_symlink())


def _quantised_copies(checkpoints: list[Path]) -> list[Path]:
    """The int8 and int4 weights that were made of checkpoints in these folders."""
    roots = [path.resolve() for path in checkpoints]
    return [one.folder for one in entries() if any(one.source.is_relative_to(r) for r in roots)]
