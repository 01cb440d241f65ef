"""What changes a base model (a LoRA adapter, a learned prefix), and where that base is: named
beside it, or found by its name on this machine."""

from dataclasses import replace
from math import prod
from pathlib import Path, PurePosixPath, PureWindowsPath

from tui.checkpoints.adapter import Adapter, is_lora_folder, read_adapter, read_matrices
from tui.checkpoints.learned_prefix import LearnedPrefix, is_prefix_folder, read_learned_prefix
from tui.checkpoints.memory_estimate import MemoryShape
from tui.checkpoints.weight_headers import HEADS, TABLES, read_file_headers
from tui.host.errors import UserError
from tui.host.paths import expand
from tui.models.caches import cached_checkpoints, display_name, list_folders, modelscope_folder
from tui.models.reference import model_id

Change = Adapter | LearnedPrefix
"""What a folder makes of a base."""


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds what changes a base, and no model of its own."""
    return is_lora_folder(folder) or is_prefix_folder(folder)


def read_change(folder: Path) -> Change:
    """What a folder that `is_adapter` holds, from its headers.

    Raises:
        CheckpointError: it is damaged, or of a kind that is refused.
    """
    if not is_lora_folder(folder):
        return read_learned_prefix(folder)
    adapter = read_adapter(folder)
    read_matrices(adapter)
    return adapter


def with_change(change: Change, parameters: int, shape: MemoryShape) -> tuple[int, MemoryShape]:
    """How many weights a base with these has in the end, and what else its memory depends on: an
    adapter makes weights anew, and a head of its own of one that is the table of words.

    Raises:
        CheckpointError: as `read_change`.
    """
    if not isinstance(change, Adapter):
        return parameters, shape
    pairs, replaced = read_matrices(change)
    sizes = {one.name: one.shape for one in read_file_headers(change.weights)}
    merged = sum(prod(sizes[new]) for new in replaced.values())
    for found in pairs.values():
        first, second = (sizes[found[key]] for key in sorted(found))
        merged += first[1] * second[0]
    whole = [name for name in replaced if name.removesuffix(".weight") not in pairs]
    is_separated = shape.tied and any(name.endswith((*HEADS, *TABLES)) for name in whole)
    changed = (*replaced, *(f"{module}.weight" for module in pairs))
    return (
        parameters + shape.vocab * shape.hidden * is_separated,
        replace(
            shape,
            tied=shape.tied and not is_separated,
            merged=merged,
            table_made=any(name.endswith(TABLES) for name in changed),
        ),
    )


def base_folder(adapter: Change, named: str, shown: str) -> Path:
    """The folder of the base: the one ``named``, else the one on this machine that has the name
    by which the adapter calls it. ``shown`` is what a person calls the adapter.

    Raises:
        UserError: there is none, or more than one.
    """
    if named:
        is_hub = named.startswith("ms:")
        folder = modelscope_folder(model_id(named[3:])) if is_hub else expand(named)
        if not folder.is_dir():
            step = f"duibi models get {named}" if is_hub else "check the path"
            raise UserError(f"the base {named} is not here", step)
        return folder.resolve()
    wanted = base_name(adapter.base)
    called = adapter.base[:120] or "a model it names not"
    said = f"{adapter.folder.name} is {adapter.kind} for {called}"
    found = _folders_called(wanted, adapter.folder) if wanted else []
    if not found:
        raise UserError(f"{said}, which is not found here", f"name its base: {shown}+./BASE")
    if len(found) > 1:
        listed = ", ".join(map(str, found[:3]))
        raise UserError(f"{said}, of which there are {len(found)} here", f"name one: {listed}")
    return found[0]


def base_name(called: str) -> str:
    """The last part of a hub's name, or of a path of whatever system."""
    return PureWindowsPath(PurePosixPath(called.rstrip("/\\")).name).name


def _folders_called(name: str, adapter: Path) -> list[Path]:
    """Checkpoint folders of this name: beside the adapter, in this folder, in the hubs' caches."""
    near = [*list_folders(adapter.parent), *list_folders(Path.cwd())]
    cached = [path for path, _ in cached_checkpoints()]
    named = [
        folder.resolve()
        for folder in (*near, *cached)
        if display_name(folder).rpartition("/")[2].lower() == name.lower()
        and (folder / "config.json").is_file()
    ]
    return list(dict.fromkeys(named))
