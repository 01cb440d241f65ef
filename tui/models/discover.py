"""The checkpoints on this machine, found without any configuration."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from tui.checkpoints import memory_estimate
from tui.checkpoints.adapter import is_lora_folder
from tui.checkpoints.errors import CheckpointError
from tui.checkpoints.gguf_cache import check_gguf, is_lfs_pointer
from tui.checkpoints.gguf_header import read_header
from tui.checkpoints.gguf_parts import display_stem, has_magic, is_gguf
from tui.checkpoints.gguf_use import require_usable
from tui.checkpoints.llama_cpp import PUBLISHED, is_installed
from tui.host.errors import UserError
from tui.models import default_dtype, demo, gguf_choice, ollama_files
from tui.models.adapters import base_folder, is_adapter, read_change, with_change
from tui.models.caches import cached_checkpoints, display_name, gguf_folders, list_folders
from tui.models.inspect import Inspection, inspect_folder
from tui.models.reference import HUB_PREFIXES

CLONE_FOLDERS = (Path("/mnt/workspace"), Path("/mnt/data"))
"""Where people clone to in a ModelScope notebook: the disk that stays."""

LISTED_CONTEXT = 2048
"""Tokens of prompt and answer for which lists of models say how much memory is needed."""
_SERVER_OVERHEAD = 1.1
"""A server's memory over the size of the weights it holds, roughly."""
_STATE_OF_CAUSE = {"unsupported": "unsupported", "not_found": "partial"}
"""States of a GGUF file by the cause why it cannot be used."""
_DEPTH = 2
_FOLDERS_AT_MOST = 2000
_SECONDS_AT_MOST = 5.0


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A checkpoint on this disk.

    ``reference`` is what to type to use it; ``state`` is ``complete``, ``partial``,
    ``lfs`` (git-lfs pointers in place of weights), ``damaged`` or ``unsupported``, and
    ``why`` one line where it is not complete. ``size`` is bytes of weights on disk.
    Where a header tells: ``family``, ``dtype`` as stored, ``parameters``, ``context``
    and ``shape``, what memory depends on; empty and 0 where it does not. Of a GGUF file also
    ``mixture``, how many tensors are stored how, and ``licence``.
    """

    path: Path
    reference: str
    label: str
    state: str
    why: str = ""
    family: str = ""
    dtype: str = ""
    parameters: int = 0
    size: int = 0
    context: int = 0
    shape: memory_estimate.MemoryShape = field(default_factory=memory_estimate.MemoryShape)
    mixture: str = ""
    licence: str = ""
    served: bool = False
    """Whether a server holds it; then ``path`` is empty and its weights stay as they are."""

    @property
    def is_gguf(self) -> bool:
        """Whether it is a GGUF file."""
        return not self.served and is_gguf(self.path)

    def predict_memory(self, dtype: str, context: int) -> int:
        """Predicted bytes of memory (`tui.checkpoints.memory_estimate.predict_peak`); for a GGUF
        file whose header cannot be read, an upper bound of the weights without the KV cache; for
        one that is served its weights as they are with what a server takes to compute."""
        if self.served:
            return round(self.size * _SERVER_OVERHEAD)
        parameters = self.parameters or memory_estimate.max_parameters_in_gguf(self.size)
        tokens = min(context, self.context) if self.context else context
        # llama.cpp takes the room of all answers of a set when it loads.
        others = memory_estimate.USUAL_OTHERS if dtype == PUBLISHED else 0
        return memory_estimate.predict_peak(parameters, dtype, self.shape, tokens, others)

    @property
    def default_dtype(self) -> str:
        """The format it is loaded in unless another is asked for; "" for one that is served."""
        if self.served:
            return ""
        if self.is_gguf and is_installed():
            return PUBLISHED
        parameters = self.parameters or memory_estimate.max_parameters_in_gguf(self.size)
        return default_dtype.choose_dtype(parameters, self.shape, self.context)

    def to_json(self) -> dict[str, Any]:
        """Every field as JSON."""
        return {**asdict(self), "path": str(self.path)}


def discover(
    roots: Iterable[Path] | None = None, extra: Iterable[Path] = (), named: Iterable[Path] = ()
) -> list[FoundModel]:
    """Every checkpoint in the hubs' caches, among the files that Ollama, LM Studio and llama.cpp
    keep, at the paths ``named``, and below ``roots`` (by default the current folder and
    `CLONE_FOLDERS`) and ``extra``, each once, but by all names that Ollama gives it, in the order
    of their references.

    Only headers are read. What cannot be read is left out; looking stops after
    5 seconds or 2000 folders, so that a network disk cannot hold it up for long.
    """
    found: dict[tuple[Path, str], FoundModel] = {}
    places: set[Path] = set()
    if demo.is_present():
        places.add(demo.path().resolve())
        found[demo.path(), "demo"] = find_demo()
    starts = [*((Path.cwd(), *CLONE_FOLDERS) if roots is None else roots), *extra]
    for path, reference in _candidates(starts, named):
        where = path.resolve()
        is_new = where not in places or reference.startswith(f"{ollama_files.SCHEME}:")
        if is_new and (seen := find_checkpoint(path, reference)):
            found[where, reference] = seen
            places.add(where)
    return sorted(found.values(), key=lambda one: (one.reference != "demo", one.reference.lower()))


def _candidates(roots: Iterable[Path], named: Iterable[Path]) -> Iterator[tuple[Path, str]]:
    for folder, reference in cached_checkpoints():
        yield from _cached(folder, reference)
    for one in ollama_files.find_all():
        yield one.blob, f"{ollama_files.SCHEME}:{one.name}"
    yield from ((path, _as_typed(path)) for path in named if path.exists())
    ends = time.monotonic() + _SECONDS_AT_MOST
    budget = _FOLDERS_AT_MOST
    for root in (*roots, *gguf_folders()):
        for folder in _walk(root, _DEPTH):
            budget -= 1
            if budget < 0 or time.monotonic() > ends:
                return
            if (folder / "config.json").is_file() or is_lora_folder(folder):
                yield folder, _as_typed(folder)
            for file in _ggufs(folder):
                yield file, _as_typed(file)


def _cached(folder: Path, reference: str) -> Iterator[tuple[Path, str]]:
    """What a folder of a hub's cache holds: a checkpoint, or GGUF files."""
    files = [] if (folder / "config.json").is_file() else gguf_choice.files_in(folder)
    if not files:
        yield folder, reference
    short = gguf_choice.short_names([str(file.relative_to(folder)) for file in files])
    for file, name in zip(files, short.values(), strict=True):
        yield file, f"{reference}#{name}" if reference.startswith(HUB_PREFIXES) else str(file)


def _walk(root: Path, depth: int) -> Iterator[Path]:
    """A folder and those in it, nearest first; not into checkpoints."""
    level = [root] if root.is_dir() else []
    for _ in range(depth + 1):
        below: list[Path] = []
        for folder in level:
            yield folder
            if not (folder / "config.json").is_file():
                below += list_folders(folder)
        level = below


def _ggufs(folder: Path) -> list[Path]:
    """The GGUF files of a folder, also those whose name has no ending."""
    try:
        files = [path for path in sorted(folder.iterdir()) if path.is_file()]
    except OSError:
        return []
    named = [folder / name for name in gguf_choice.models_among(file.name for file in files)]
    return [*named, *(file for file in files if not file.suffix and has_magic(file))]


def _as_typed(path: Path) -> str:
    """A path as a person in this folder would type it."""
    try:
        return f"./{path.relative_to(Path.cwd())}"
    except ValueError:
        return str(path)


def find_demo() -> FoundModel:
    """The demo, whose figures are known without reading it."""
    there = demo.is_present()
    return FoundModel(
        path=demo.path(),
        reference="demo",
        label="SmolLM2-135M-Instruct",
        state="complete" if there else "partial",
        why="" if there else "not fetched yet: duibi models get demo",
        family=demo.FAMILY,
        dtype="Q4_1",
        parameters=demo.PARAMETERS,
        size=demo.SIZE,
        context=demo.CONTEXT,
        shape=demo.SHAPE,
    )


def find_checkpoint(path: Path, reference: str) -> FoundModel | None:
    """What is at a path; None where it is no checkpoint at all."""
    if is_gguf(path):
        return _gguf(path, reference)
    if is_adapter(path):
        return _adapter(path, reference)
    return _folder(path, reference)


def _gguf(path: Path, reference: str) -> FoundModel:
    label = display_stem(path)
    if reference.startswith(f"{ollama_files.SCHEME}:"):
        label = reference.partition(":")[2]
    size = 0
    try:
        size = check_gguf(path)
        header = read_header(path)
    except UserError as error:
        state = "lfs" if is_lfs_pointer(path) else _state_of(error)
        return FoundModel(path, reference, label, state, error.message, size=size)
    state, why = "complete", ""
    try:
        require_usable(path.name, header)
    except CheckpointError as error:
        state, why = _state_of(error), error.message
    return FoundModel(
        path,
        reference,
        label,
        state,
        why,
        size=size,
        family=header.architecture,
        dtype=header.stored,
        parameters=header.parameters,
        context=header.context,
        shape=header.shape,
        mixture=header.mixture,
        licence=header.text("general.license"),
    )


def _state_of(error: UserError) -> str:
    cause = error.cause if isinstance(error, CheckpointError) else ""
    return _STATE_OF_CAUSE.get(cause, "damaged")


def _adapter(path: Path, reference: str) -> FoundModel:
    """What changes a base: complete where that base is here, in whose memory it is computed."""
    label = display_name(path)
    try:
        change = read_change(path)
    except CheckpointError as error:
        return FoundModel(path, reference, label, _state_of(error), error.message)
    size = sum(map(_file_size, change.files))
    try:
        base = base_folder(change, "", reference)
    except UserError as error:
        why = f"{error.message} -> {error.next_step}"
        return FoundModel(path, reference, label, "partial", why, change.method, size=size)
    name = display_name(base)
    found = _folder(base, name) or FoundModel(base, name, name, "partial", "it is no checkpoint")
    parameters, shape = with_change(change, found.parameters, found.shape)
    return replace(
        found,
        path=path,
        reference=reference,
        label=label,
        parameters=parameters,
        shape=shape,
        family=f"{change.method}, {name}",
        size=size,
        why=f"{name}: {found.why}" if found.why else "",
    )


def _folder(path: Path, reference: str) -> FoundModel | None:
    try:
        seen = inspect_folder(path)
    except (UserError, OSError):
        return None
    if not seen.family and not seen.shards and not reference.startswith(HUB_PREFIXES):
        return None
    state, why = checkpoint_state(seen)
    return FoundModel(
        path=path,
        reference=reference,
        label=display_name(path),
        state=state,
        why=why,
        family=seen.family,
        dtype=seen.dtype,
        parameters=seen.parameters,
        size=sum(shard.nbytes for shard in seen.shards) + sum(map(_file_size, _unfinished(path))),
        context=seen.context,
        shape=seen.shape,
    )


def checkpoint_state(seen: Inspection) -> tuple[str, str]:
    """``(state, why)`` of an inspected folder, in the words of `FoundModel`."""
    names = [shard.name for shard in seen.shards if shard.present]
    names += [seen.tokenizer] if seen.tokenizer else []
    pointers = [name for name in names if is_lfs_pointer(seen.path / name)]
    if pointers:
        return "lfs", f"{len(pointers)} files are git-lfs pointers: run `git lfs pull` there"
    if unfinished := _unfinished(seen.path):
        return "partial", f"{unfinished[0].name} is not finished"
    if not seen.problems:
        return "complete", ""
    why = seen.problems[0]
    if any(shard.problem for shard in seen.shards):
        return "damaged", why
    if seen.missing or seen.lacking or (seen.family and not (seen.shards and seen.tokenizer)):
        return "partial", why
    return "unsupported", why


def _unfinished(folder: Path) -> list[Path]:
    try:
        files = sorted(folder.iterdir())
    except OSError:
        return []
    return [file for file in files if file.name.endswith((".incomplete", ".aria2", ".part"))]


def _file_size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0
