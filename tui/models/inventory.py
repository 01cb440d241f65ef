"""Everything that can be used on this machine: checkpoints on its disks, and Ollama."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tui.host.errors import UserError
from tui.models import ollama
from tui.models.discover import Found, discover
from tui.models.reference import parse


def look(
    aliases: Mapping[str, str], folders: Sequence[Path], own: Mapping[str, Any]
) -> list[Found]:
    """What `discover` finds, also at the paths of the settings' ``aliases`` and below their
    ``model_folders``, and the models of a running Ollama (``own`` are their services)."""
    with ThreadPoolExecutor(1) as pool:
        served = pool.submit(ollama.running, own)
        return [*discover(extra=folders, named=_paths(aliases, own)), *served.result()]


def _paths(aliases: Mapping[str, str], own: Mapping[str, Any]) -> list[Path]:
    found = []
    for target in aliases.values():
        try:
            ref = parse(target, own)
        except UserError:
            continue  # told when the alias is used
        if ref.kind in ("folder", "gguf"):
            found.append(Path(ref.target).expanduser())
    return found
