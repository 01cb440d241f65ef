"""The models that Ollama keeps on this disk, by the names it gives them: GGUF files that need no
server.

``MODELS/manifests/HOST/OWNER/NAME/TAG`` is JSON whose ``layers`` name files
``MODELS/blobs/sha256-DIGEST`` (docs of Ollama: the layout of a registry of containers).
"""

import difflib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui.checkpoints.gguf_parts import has_magic
from tui.host import foreign_files, paths
from tui.host.errors import UserError

SCHEME = "ollama-file"
_HOST, _OWNER, _TAG = "registry.ollama.ai", "library", "latest"
_SYSTEM_FOLDERS = (Path("/usr/share/ollama/.ollama/models"), Path("/var/lib/ollama/models"))
_MODEL = "application/vnd.ollama.image.model"
_ADAPTER = "application/vnd.ollama.image.adapter"
_DIGEST = re.compile(r"sha256[:-]([0-9a-f]{64})")
_WORD = re.compile(r"[\w.-]{1,128}", re.ASCII)
_LARGEST, _MOST = 1 << 20, 2000


@dataclass(frozen=True, slots=True)
class OllamaFile:
    """A model of Ollama: its name there, and the GGUF file it is."""

    name: str
    blob: Path


def find_all() -> list[OllamaFile]:
    """Every model whose file is here, by name; what cannot be read is left out."""
    found: dict[str, OllamaFile] = {}
    for folder in model_folders():
        for manifest, name in _manifests(folder):
            blob, _ = _layers(folder, manifest)
            if blob is not None:
                found.setdefault(name, OllamaFile(name, blob))
    return sorted(found.values(), key=lambda one: one.name)


def find(name: str) -> OllamaFile:
    """The model of a name, with ``:latest`` where no tag is given.

    Raises:
        UserError: there is none, its file is not here, or it is a model with an adapter.
    """
    wanted = name if ":" in name.rpartition("/")[2] else f"{name}:{_TAG}"
    for folder in model_folders():
        for manifest, known in _manifests(folder):
            if known != wanted:
                continue
            blob, has_adapter = _layers(folder, manifest)
            if has_adapter:
                raise UserError(
                    f"{wanted} is a model with an adapter, which only Ollama puts together",
                    f"with Ollama running: ollama:{wanted}",
                )
            if blob is not None:
                return OllamaFile(wanted, blob)
            raise UserError(f"the file of {wanted} is not here", f"ollama pull {wanted}")
    names = [one.name for one in find_all()]
    same = [known for known in names if known.startswith(f"{wanted.rpartition(':')[0]}:")]
    near = same or difflib.get_close_matches(wanted, names, 1, 0.5)
    raise UserError(
        f"Ollama keeps no model {wanted} on this machine",
        f"did you mean {SCHEME}:{near[0]}?"
        if near
        else "duibi models list shows the models found here",
    )


def model_folders() -> list[Path]:
    """Where Ollama keeps models: ``OLLAMA_MODELS``, else the folders of a user's own and of the
    system's Ollama."""
    if given := os.environ.get("OLLAMA_MODELS", ""):
        return [paths.expand(given)]
    home = paths.home()
    return [*([home / ".ollama" / "models"] if home else []), *_SYSTEM_FOLDERS]


def _manifests(folder: Path) -> Iterator[tuple[Path, str]]:
    """Each manifest and the name of its model."""
    root, count = folder / "manifests", 0
    try:
        for path in sorted(root.glob("*/*/*/*")):
            count += 1
            parts = path.relative_to(root).parts
            if count > _MOST or not all(map(_WORD.fullmatch, parts)) or path.is_dir():
                continue
            host, owner, model, tag = parts
            named = (owner, model) if host == _HOST else (host, owner, model)
            yield path, "/".join(named).removeprefix(f"{_OWNER}/") + f":{tag}"
    except OSError:
        return


def _layers(folder: Path, manifest: Path) -> tuple[Path | None, bool]:
    """The file of a model's weights, where it is here, and whether an adapter belongs to it."""
    try:
        told = json.loads(foreign_files.read_bytes(manifest, _LARGEST))
    except (OSError, ValueError, RecursionError):
        return None, False
    layers: Any = told.get("layers") if isinstance(told, dict) else None
    blob, has_adapter = None, False
    for layer in layers if isinstance(layers, list) else ():
        match layer:
            case {"mediaType": str(kind), "digest": str(digest)} if kind == _MODEL:
                if blob is None and (found := _DIGEST.fullmatch(digest)):
                    file = folder / "blobs" / f"sha256-{found[1]}"
                    blob = file if has_magic(file) else None
            case {"mediaType": str(kind)} if kind == _ADAPTER:
                has_adapter = True
    return blob, has_adapter
