"""Where the hubs' own tools keep what they download, in their old and new layouts."""

import os
from collections.abc import Iterator
from pathlib import Path

from tui.host import paths

REVISION = "master"
"""ModelScope's branch that is fetched."""
HUGGINGFACE_REVISION = "main"
"""Hugging Face's branch that is fetched."""

_NO_OWNERS = ("models", "hub", "datasets", "snapshots")
_CONFIGS = ("config.json", "configuration.json")


def modelscope_caches() -> list[Path]:
    """ModelScope's cache folders, the one for new models first: ``MODELSCOPE_CACHE`` alone,
    else one on the disk that survives a restart, where there is such, and the SDK's default."""
    if given := os.environ.get("MODELSCOPE_CACHE", ""):
        return [paths.expand(given)]
    places = [folder for folder in (paths.persistent_dir(), paths.home()) if folder is not None]
    return [folder / ".cache" / "modelscope" for folder in places or [paths.cache_dir()]]


def huggingface_cache() -> Path:
    """Hugging Face's model cache: ``HF_HUB_CACHE``, else ``HF_HOME``/hub, else the default."""
    given = os.environ.get("HF_HUB_CACHE", "")
    if given:
        return paths.expand(given)
    home = os.environ.get("HF_HOME", "")
    if home:
        return paths.expand(home) / "hub"
    return (paths.home() or paths.cache_dir()) / ".cache" / "huggingface" / "hub"


def modelscope_folder(model: str) -> Path:
    """Where ``OWNER/NAME`` is, or will be, in ModelScope's cache: a folder of the layout
    before SDK 1.38 where one is there, else the present layout."""
    owner, _, name = model.partition("/")
    present = Path("models", f"{owner}--{name}", "snapshots", REVISION)
    caches = modelscope_caches()
    for cache in caches:
        # The SDK makes a link with dots beside; a copy of a cache may have only that.
        written = (name.replace(".", "___"), name)
        old = (root / owner / one for root in _roots(cache) for one in written)
        for folder in (*old, cache / present):
            if _has_content(folder):
                return folder
    return caches[0] / present


def huggingface_folder(model: str) -> Path:
    """Where ``OWNER/NAME`` is, or will be, in Hugging Face's own cache: the revision that its tools
    took for ``main``, else a folder of that name."""
    entry = huggingface_cache() / f"models--{model.replace('/', '--')}"
    named = HUGGINGFACE_REVISION
    try:
        told = (entry / "refs" / named).read_text(encoding="ascii")[:64].strip()
        named = told if told.isalnum() and (entry / "snapshots" / told).is_dir() else named
    except (OSError, ValueError):
        pass
    return entry / "snapshots" / named


def cached_checkpoints() -> Iterator[tuple[Path, str]]:
    """``(folder, reference)`` of every model in both caches, complete or not."""
    for root in (root for cache in modelscope_caches() for root in _roots(cache)):
        for entry in list_folders(root):
            if "--" in entry.name:
                for folder in _revisions(entry):
                    yield folder, _reference(entry.name, folder)
            elif entry.name not in _NO_OWNERS:
                for model in list_folders(entry):
                    if any((model / name).is_file() for name in _CONFIGS):
                        yield model, f"ms:{entry.name}/{display_name(model)}"
    for entry in list_folders(huggingface_cache()):
        if entry.name.startswith("models--"):
            name = entry.name.removeprefix("models--").replace("--", "/", 1)
            meant = huggingface_folder(name)
            for folder in _revisions(entry):
                yield folder, f"hf:{name}" if folder == meant else str(folder)


def gguf_folders() -> list[Path]:
    """Where LM Studio (now and before 0.3) and llama.cpp's tools (``LLAMA_CACHE``) keep the GGUF
    files that they fetch."""
    home = paths.home()
    known = (
        [home / ".lmstudio" / "models", home / ".cache" / "lm-studio" / "models"] if home else []
    )
    if given := os.environ.get("LLAMA_CACHE", ""):
        return [*known, paths.expand(given)]
    return [*known, home / ".cache" / "llama.cpp"] if home else known


def display_name(folder: Path) -> str:
    """What a checkpoint folder is called, also within the caches."""
    if folder.parent.name == "snapshots":
        return folder.parent.parent.name.rpartition("--")[2]
    return (folder.name or folder.resolve().name).replace("___", ".")


def model_entry(path: Path) -> Path | None:
    """The folder of one model in a hub's cache that a path names, with all its revisions; None
    for all else, such as a cache itself or a folder of several models."""
    resolved = path.resolve()
    for root in (*(r for cache in modelscope_caches() for r in _roots(cache)), huggingface_cache()):
        base = root.resolve()
        if not resolved.is_relative_to(base):
            continue
        match resolved.relative_to(base).parts:
            case (name,) | (name, "snapshots") | (name, "snapshots", _) if "--" in name:
                return base / name
            case (owner, name) if owner not in _NO_OWNERS and "--" not in owner:
                if any((resolved / config).is_file() for config in _CONFIGS):
                    return resolved
    return None


def _roots(cache: Path) -> tuple[Path, ...]:
    return cache / "models", cache / "hub" / "models", cache / "hub", cache


def _reference(entry: str, folder: Path) -> str:
    owner, _, model = entry.partition("--")
    return f"ms:{owner}/{model}" if folder.name == REVISION else str(folder)


def _revisions(entry: Path) -> list[Path]:
    return [folder for folder in list_folders(entry / "snapshots") if _has_content(folder)]


def list_folders(root: Path) -> list[Path]:
    """The folders in a folder, by name; none where it cannot be read. Hidden ones are
    left out, and links are followed."""
    try:
        entries = sorted(os.scandir(root), key=lambda entry: entry.name)
    except OSError:
        return []
    return [Path(one.path) for one in entries if not one.name.startswith(".") and _is_dir(one)]


def _is_dir(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder: a link that leads to itself is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _has_content(folder: Path) -> bool:
    try:
        return any(folder.iterdir())
    except OSError:
        return False
