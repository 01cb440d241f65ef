"""Where the hubs' own tools keep what they download, in their old and new layouts."""

import os
from collections.abc import Iterator
from pathlib import Path

REVISION = "master"
"""ModelScope's branch that is fetched."""


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
    """``(folder, OWNER/NAME)`` of every model in both caches, complete or not."""
    cache = modelscope_cache()
    for root in (cache / "models", cache / "hub" / "models", cache / "hub", cache):
        yield from _named(root)
    yield from _snapshots(huggingface_cache(), "models--")


def _named(root: Path) -> Iterator[tuple[Path, str]]:
    for entry in folders(root):
        if "--" in entry.name:
            yield from _revisions(entry, entry.name)
        elif entry.name not in ("models", "hub", "datasets", "snapshots"):
            for model in folders(entry):
                if (model / "config.json").is_file() or (model / "configuration.json").is_file():
                    yield model, f"{entry.name}/{model.name.replace('___', '.')}"


def _snapshots(root: Path, prefix: str) -> Iterator[tuple[Path, str]]:
    for entry in folders(root):
        if entry.name.startswith(prefix):
            yield from _revisions(entry, entry.name.removeprefix(prefix))


def _revisions(entry: Path, name: str) -> Iterator[tuple[Path, str]]:
    owner, _, model = name.partition("--")
    for revision in folders(entry / "snapshots"):
        if _filled(revision):
            yield revision, f"{owner}/{model}"


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
