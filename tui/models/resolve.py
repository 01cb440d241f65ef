"""From a reference to a checkpoint on this disk that an engine can load."""

import difflib
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from tui.checkpoints import llama_cpp
from tui.checkpoints.errors import CheckpointError
from tui.checkpoints.gguf_cache import check_gguf
from tui.checkpoints.gguf_header import read_header
from tui.checkpoints.gguf_parts import display_stem, has_magic, is_gguf
from tui.checkpoints.gguf_use import require_usable
from tui.host import extras
from tui.host.errors import UserError
from tui.host.paths import expand
from tui.models import default_dtype, demo, download, ollama_files
from tui.models.adapters import base_folder, is_adapter, read_change
from tui.models.caches import display_name
from tui.models.consent import require_consent
from tui.models.discover import checkpoint_state
from tui.models.download_offer import AskConsent, FileProgress
from tui.models.gguf_choice import cached_gguf, files_in
from tui.models.hubs import HUBS
from tui.models.inspect import inspect_folder, require_loadable
from tui.models.net import StageProgress
from tui.models.reference import LOCAL_KINDS, Reference, is_model_id, split_base
from tui.models.resolved import LOCAL, ResolvedModel
from tui.text.unused_name import unused_name

FETCHABLE_KINDS = ("demo", *HUBS)
"""Kinds of references that may have to be fetched."""


RemoteResolver = Callable[[Reference], ResolvedModel]
"""Finds a model that holds no weights on this machine."""


def resolve(
    ref: Reference,
    consent: AskConsent,
    progress: StageProgress,
    allow_code: Callable[[str], bool] | None = None,
    resolve_remote: RemoteResolver | None = None,
) -> ResolvedModel:
    """The checkpoint of one reference, fetched first where it must be and may be.

    A reference without a dtype gets the one that `tui.models.default_dtype` makes, whatever the
    checkpoint was stored in. ``allow_code`` is asked before
    a checkpoint's own Python files may be run; without it such a checkpoint is refused.
    Without ``resolve_remote`` only a model whose weights are here can be meant.

    Raises:
        UserError: there is no such model, it cannot be used, or it cannot be fetched.
    """
    if ref.kind not in LOCAL_KINDS:
        if resolve_remote is None:
            raise _remote_only(ref)
        return resolve_remote(ref)
    if ref.kind == "demo":
        is_published = not ref.dtype and llama_cpp.is_installed()
        dtype = llama_cpp.PUBLISHED if is_published else ref.dtype
        _require_gguf(dtype)
        dtype = dtype or default_dtype.choose_dtype(demo.PARAMETERS, demo.SHAPE, demo.CONTEXT)
        file = fetch(ref, consent, progress)
        header = read_header(file)
        return ResolvedModel(
            name=ref.text,
            label="demo" if is_published else f"demo@{dtype}",
            engine=LOCAL,
            checkpoint=file,
            dtype=dtype,
            has_default_dtype=not (ref.dtype or is_published),
            family=demo.FAMILY,
            parameters=demo.PARAMETERS,
            checkpoint_bytes=demo.SIZE,
            context=demo.CONTEXT,
            mixture=header.mixture,
            licence=header.text("general.license"),
        )
    if ref.kind == "gguf":
        return _gguf(ref, existing_path(ref))
    if ref.kind == "ollama":
        found = ollama_files.find(ref.target)
        return _gguf(ref, found.blob, found.name)
    if ref.kind == "folder":
        target, base = split_base(ref.target)
        if base and is_adapter(expand(base)):
            meant = f"{base}+{target}"
            raise UserError(
                f"{target} is no LoRA adapter", f"an adapter stands before its base: {meant}"
            )
        folder = existing_path(replace(ref, target=target))
        if is_adapter(folder) or base:
            return _with_adapter(ref, folder, base, allow_code)
        return _folder(ref, folder, allow_code)
    if not llama_cpp.is_installed():
        extras.require(extras.LOCAL)
    place = fetch(ref, consent, progress)
    if place.is_file():
        return _gguf(ref, place)
    return _folder(ref, place, allow_code)


def fetch(
    ref: Reference,
    consent: AskConsent,
    progress: StageProgress,
    file_progress: FileProgress | None = None,
    stop: threading.Event | None = None,
) -> Path:
    """Where the model of one of the `FETCHABLE_KINDS` kinds is, a folder or a GGUF file: as it is
    where it is complete, else downloaded.

    Raises:
        UserError: as `tui.models.download.fetch_model` and `tui.models.demo.fetch`, or several GGUF
            files could be meant.
    """
    if ref.kind == "demo":
        return demo.fetch(consent, progress, stop)
    hub = HUBS[ref.kind]
    folder = hub.folder(ref.target)
    is_whole = folder.is_dir() and checkpoint_state(inspect_folder(folder))[0] == "complete"
    if is_whole and not ref.file:
        return folder
    if (file := _whole_gguf(folder, ref)) is not None:
        return file
    return download.fetch_model(ref.target, consent, progress, file_progress, stop, ref.file, hub)


def _whole_gguf(folder: Path, ref: Reference) -> Path | None:
    """The GGUF file that a reference means, where a folder holds it with all its parts.

    Raises:
        UserError: none is named, and several are here.
    """
    try:
        file = cached_gguf(folder, ref.file, ref.text)
    except UserError:
        if not ref.file:
            raise
        return None
    try:
        return read_header(file).files[0] if file else None
    except CheckpointError:
        return None


def resolve_all(
    refs: Sequence[Reference],
    consent: AskConsent,
    progress: StageProgress,
    allow_code: Callable[[str], bool] | None = None,
    resolve_remote: RemoteResolver | None = None,
) -> list[ResolvedModel]:
    """`resolve` for all models of a run.

    What needs no fetching comes first, so that nothing is fetched for a run that a
    misspelt name ends at once.
    """
    done: dict[int, ResolvedModel] = {}
    for n in sorted(range(len(refs)), key=lambda n: refs[n].kind in FETCHABLE_KINDS):
        done[n] = resolve(refs[n], consent, progress, allow_code, resolve_remote)
    return [done[n] for n in range(len(refs))]


def unique_labels(models: Sequence[ResolvedModel]) -> list[ResolvedModel]:
    """The same models; what would be headed the same gets `` #2``, `` #3`` and so on."""
    used: set[str] = set()
    result = []
    for model in models:
        label = unused_name(model.label, used)
        used.add(label)
        result.append(replace(model, label=label))
    return result


def _gguf(ref: Reference, file: Path, name: str = "") -> ResolvedModel:
    """The model of a file, or of all parts of a split one; ``name``: what it is called, by default
    the file's name."""
    size = check_gguf(file)
    header = read_header(file)
    require_usable(file.name, header)
    is_published = not ref.dtype and llama_cpp.is_installed()
    dtype, suffix = llama_cpp.PUBLISHED if is_published else ref.dtype, ""
    _require_gguf(dtype)
    if not is_published:
        dtype = dtype or default_dtype.choose_dtype(header.parameters, header.shape, header.context)
        suffix = f"@{dtype}"
    return ResolvedModel(
        name=ref.text,
        label=f"{name or display_stem(file)}{suffix}",
        engine=LOCAL,
        checkpoint=header.files[0],
        dtype=dtype,
        has_default_dtype=not ref.dtype and not is_published,
        family=header.architecture,
        parameters=header.parameters,
        checkpoint_bytes=size,
        context=header.context,
        mixture=header.mixture,
        licence=header.text("general.license"),
    )


def _require_gguf(dtype: str) -> None:
    """Raise `UserError` where nothing is installed that computes a GGUF file in this format ("":
    whichever there is)."""
    if dtype == llama_cpp.PUBLISHED:
        llama_cpp.require_build()
        return
    if not extras.missing(extras.LOCAL):
        return
    extras.require(extras.LOCAL if dtype else extras.GGUF)


def _folder(
    ref: Reference, folder: Path, allow_code: Callable[[str], bool] | None = None
) -> ResolvedModel:
    if has_magic(folder):
        return _gguf(ref, folder)
    if not folder.is_dir():
        raise UserError(
            f"{ref.target} is a file, not a checkpoint folder",
            "name the folder that holds config.json and the weights, or a .gguf file",
        )
    if not (folder / "config.json").exists():
        files = files_in(folder)
        if len(files) == 1:
            return _gguf(ref, files[0])
        if files:
            names = ", ".join(str(file.relative_to(folder)) for file in files[:4])
            raise UserError(
                f"{ref.target} holds {len(files)} GGUF files", f"name one of them: {names}"
            )
    extras.require(extras.LOCAL)
    seen = require_loadable(folder, remote_code=allow_code is not None)
    code = require_consent(seen, allow_code) if allow_code else {}
    # A model with code of its own is only loaded as that code has it.
    default = (
        "bf16" if code else default_dtype.choose_dtype(seen.parameters, seen.shape, seen.context)
    )
    dtype = ref.dtype or default
    return ResolvedModel(
        name=ref.text,
        label=f"{display_name(folder)}@{dtype}",
        engine=LOCAL,
        checkpoint=folder,
        dtype=dtype,
        has_default_dtype=not ref.dtype,
        family=seen.family,
        parameters=seen.parameters,
        checkpoint_bytes=seen.checkpoint_bytes,
        context=seen.context,
        remote_code=code,
        stored=seen.dtype,
    )


def _with_adapter(
    ref: Reference, folder: Path, base: str, allow_code: Callable[[str], bool] | None
) -> ResolvedModel:
    """A base with what a folder makes of it: a LoRA adapter, a learned prefix.

    Raises:
        UserError: it is no adapter, of a kind that is refused, or its base is not here.
    """
    target = split_base(ref.target)[0]
    if not is_adapter(folder):
        raise UserError(f"{target} is no LoRA adapter", f"leave it at {target}")
    found = _folder(ref, base_folder(read_change(folder), base, target), allow_code)
    if found.checkpoint.is_file():
        raise _no_adapter_on(found.checkpoint)
    return replace(found, label=f"{display_name(folder)}@{found.dtype}", adapter=folder)


def _no_adapter_on(file: Path) -> UserError:
    return UserError(
        f"{file.name} is a GGUF file: no adapter is merged into one",
        "name the folder of its base as published",
    )


def existing_path(ref: Reference) -> Path:
    """Where the folder or file of a reference lies.

    Raises:
        UserError: there is none; names what is like it.
    """
    path = expand(ref.target)
    try:
        if path.exists():
            # A file of a hub's cache is a link: what it links to has no name, and its other parts
            # lie beside the link.
            return path.resolve() if path.is_dir() else path.absolute()
        raise _missing(ref, path)
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{ref.target} cannot be looked at: {reason}") from None


def _missing(ref: Reference, path: Path) -> UserError:
    wanted = "file" if ref.kind == "gguf" else "folder"
    if path.is_symlink():
        return UserError(
            f"{ref.target} is a link to {path.readlink()}, where nothing is",
            "mend the link, or name what it should lead to",
        )
    adapter, _, base = ref.target.partition("+")
    if base and is_adapter(expand(adapter)) and expand(base).is_dir():
        return UserError(
            f"there is no {wanted} {ref.target}",
            f"did you mean {adapter}+./{base}?",
        )
    if base and is_adapter(expand(adapter)) and is_gguf(expand(base)):
        return _no_adapter_on(Path(base))
    parent = path.parent
    if parent.is_dir():
        names = sorted(entry.name for entry in parent.iterdir() if not entry.name.startswith("."))
        lower = {name.lower(): name for name in reversed(names)}
        near = difflib.get_close_matches(path.name.lower(), lower, 1, 0.5)
        if near:
            found = parent / lower[near[0]]
            shown = f"./{found}" if not found.is_absolute() else str(found)
            return UserError(f"there is no {wanted} {ref.target}", f"did you mean {shown}?")
    if ref.kind == "folder" and is_model_id(ref.target):
        return UserError(
            f"there is no {wanted} {ref.target}", f"on ModelScope it would be ms:{ref.target}"
        )
    return UserError(
        f"there is no {wanted} {ref.target}", "duibi models list shows the models found here"
    )


def _remote_only(ref: Reference) -> UserError:
    return UserError(
        f"{ref.text} holds no weights on this machine", "name demo, a checkpoint folder or a .gguf"
    )
