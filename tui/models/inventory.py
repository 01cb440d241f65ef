"""Everything that can be used on this machine: checkpoints on its disks, and servers that run."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tui.host import paths
from tui.host.errors import UserError
from tui.models import local_servers
from tui.models.column import split_column
from tui.models.discover import FoundModel, discover
from tui.models.reference import parse_reference


def find_models(
    aliases: Mapping[str, str], folders: Sequence[Path], user_services: Mapping[str, Any]
) -> list[FoundModel]:
    """What `discover` finds, also at the paths of the settings' ``aliases`` and below their
    ``model_folders``, and the models of running servers (``user_services`` are their services)."""
    with ThreadPoolExecutor(1) as pool:
        served = pool.submit(local_servers.served_models, user_services)
        return [*discover(extra=folders, named=_paths(aliases, user_services)), *served.result()]


def _paths(aliases: Mapping[str, str], user_services: Mapping[str, Any]) -> list[Path]:
    found = []
    for target in aliases.values():
        try:
            ref = parse_reference(split_column(target).model, user_services)
        except UserError:
            continue  # told when the alias is used
        if ref.kind in ("folder", "gguf"):
            found.append(paths.expand(ref.target))
    return found
