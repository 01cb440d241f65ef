"""Giving back the disk that models take: only what this program or a hub's cache holds."""

import shutil
from pathlib import Path

from tui.checkpoints import gguf_cache
from tui.checkpoints.quantised_cache import entries
from tui.host.errors import UserError
from tui.models import demo
from tui.models.caches import huggingface_cache, modelscope_caches, modelscope_folder
from tui.models.reference import Reference


def removable_paths(ref: Reference) -> list[Path]:
    """The files and folders that are there only for a model, and are removed with it.

    Raises:
        UserError: it is not on this disk, or is kept by a person and not by a cache.
    """
    if ref.kind == "demo":
        folder = demo.path().parent
        found = [folder, *gguf_cache.entries_of(demo.path())] if folder.is_dir() else []
    elif ref.kind == "modelscope":
        found = [_whole_entry(modelscope_folder(ref.target))]
    elif ref.kind in ("folder", "gguf"):
        path = Path(ref.target).expanduser()
        cached = [root for root in _caches() if _inside(path, root)]
        if not cached and ref.kind == "folder" and not _quantised_copies([path]):
            raise UserError(
                f"{ref.target} is a folder of yours, not one of a cache",
                f"remove it yourself if you are sure: rm -r {ref.target}",
            )
        found = [_whole_entry(path)] if cached else gguf_cache.entries_of(path)
        if not cached and ref.kind == "folder":
            # The folder is the user's: remove only our quantised copies of it.
            found = _quantised_copies([path])
    else:
        raise UserError(f"{ref.text} takes no space here", "duibi models list shows what does")
    found = [path for path in dict.fromkeys([*found, *_quantised_copies(found)]) if path.exists()]
    if not found:
        raise UserError(f"nothing of {ref.text} is here", "duibi models list shows what is")
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


def _caches() -> tuple[Path, ...]:
    return (*modelscope_caches(), huggingface_cache())


def _inside(path: Path, root: Path) -> bool:
    resolved, base = path.resolve(), root.resolve()
    return resolved != base and resolved.is_relative_to(base)


def _whole_entry(folder: Path) -> Path:
    """With all revisions and blobs, where the cache keeps them under one name."""
    return folder.parent.parent if folder.parent.name == "snapshots" else folder
