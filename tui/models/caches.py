"""Where the hubs' own tools keep what they download, in their old and new layouts."""

import os
from collections.abc import Iterator
from pathlib import Path

REVISION = "master"
"""ModelScope's branch that is fetched."""

_NO_OWNERS = ("models", "hub", "datasets", "snapshots")
_CONFIGS = ("config.json", "configuration.json")


def modelscope_cache() -> Path:
    """ModelScope's cache folder: ``MODELSCOPE_CACHE``, else the SDK's default."""
    given = os.environ.get("MODELSCOPE_CACHE", "")
    return Path(given).expanduser() if given else Path.home() / ".cache" / "modelscope"


def huggingface_cache() -> Path:
    """Hugging Face's model cache: ``HF_HUB_CACHE``, else ``HF_HOME``/hub, else the default."""
    given = os.environ.get("HF_HUB_CACHE", "")
    if given:
        return Path(given).expanduser()
    home = os.environ.get("HF_HOME", "")
    return (Path(home).expanduser() if home else Path.home() / ".cache" / "huggingface") / "hub"


def modelscope_folder(model: str) -> Path:
    """Where ``OWNER/NAME`` is, or will be, in ModelScope's cache: a folder of the layout
    before SDK 1.38 where one is there, else the present layout."""
    cache = modelscope_cache()
    owner, _, name = model.partition("/")
    for old in (cache / "models", cache / "hub" / "models", cache / "hub", cache):
        folder = old / owner / name.replace(".", "___")
        if _filled(folder):
            return folder
    return cache / "models" / f"{owner}--{name}" / "snapshots" / REVISION


def cached_checkpoints() -> Iterator[tuple[Path, str]]:
    """``(folder, reference)`` of every model in both caches, complete or not."""
    cache = modelscope_cache()
    for root in (cache / "models", cache / "hub" / "models", cache / "hub", cache):
        for entry in folders(root):
            if "--" in entry.name:
                for folder in _revisions(entry):
                    yield folder, _reference(entry.name, folder)
            elif entry.name not in _NO_OWNERS:
                for model in folders(entry):
                    if any((model / name).is_file() for name in _CONFIGS):
                        yield model, f"ms:{entry.name}/{display_name(model)}"
    for entry in folders(huggingface_cache()):
        if entry.name.startswith("models--"):
            for folder in _revisions(entry):
                yield folder, str(folder)


def display_name(folder: Path) -> str:
    """What a checkpoint folder is called, also within the caches."""
    if folder.parent.name == "snapshots":
        return folder.parent.parent.name.rpartition("--")[2]
    return (folder.name or folder.resolve().name).replace("___", ".")


def _reference(entry: str, folder: Path) -> str:
    owner, _, model = entry.partition("--")
    return f"ms:{owner}/{model}" if folder.name == REVISION else str(folder)


def _revisions(entry: Path) -> list[Path]:
    return [folder for folder in folders(entry / "snapshots") if _filled(folder)]


def folders(root: Path) -> list[Path]:
    """The folders in a folder, by name; none where it cannot be read. Hidden ones are
    left out, and links are followed."""
    try:
        entries = sorted(os.scandir(root), key=lambda entry: entry.name)
        return [Path(e.path) for e in entries if not e.name.startswith(".") and e.is_dir()]
    except OSError:
        return []


def _filled(folder: Path) -> bool:
    try:
        return any(folder.iterdir())
    except OSError:
        return False
