"""Downloading a checkpoint from a hub: only what is needed, checked, resumable."""

import re
import tempfile
import threading
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tui.checkpoints.architecture import read_architecture
from tui.checkpoints.gguf_parts import all_parts
from tui.checkpoints.weight_headers import read_json
from tui.host import extras, filesystem
from tui.host.errors import EXIT_NETWORK, UserError
from tui.models import arrival
from tui.models.download_offer import AskConsent, DownloadOffer, FileProgress
from tui.models.gguf_choice import choose
from tui.models.hub import error_from_cause
from tui.models.hubs import HUBS, Hub
from tui.models.net import StageProgress, is_reachable
from tui.text.units import format_size

_LARGEST_FILE = 1 << 40
_SPARE = 64 << 20
_FLAT_NAME = re.compile(r"[A-Za-z0-9_][\w.+-]{0,199}", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SMALL_FILES = re.compile(
    r"(config|configuration|generation_config|tokenizer|tokenizer_config|vocab|added_tokens"
    r"|special_tokens_map|preprocessor_config|quantize_config|quant_config|hf_quant_config)\.json"
    r"|chat_template\.(json|jinja)|merges\.txt|vocab\.txt|.+\.(tiktoken|model)|LICENSE.*",
    re.ASCII,
)
_SHARDS = re.compile(r"model(-\d+-of-\d+)?\.safetensors(\.index\.json)?", re.ASCII)
_BIN_SHARDS = re.compile(r"pytorch_model(-\d+-of-\d+)?\.bin(\.index\.json)?", re.ASCII)
_WEIGHTS = (".safetensors", ".bin")
_GGUF_NAME = re.compile(
    r"(?:[A-Za-z0-9_][\w.+-]{0,199}/)?[A-Za-z0-9_][\w.+-]{0,199}\.gguf", re.ASCII | re.IGNORECASE
)
"""Also in a folder of its own, as split models are published."""


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file as the hub lists it; ``sha256`` is empty where the hub gives none."""

    path: str
    size: int
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class DownloadPlan:
    """What a download would do. ``present_bytes`` counts bytes that need not be fetched again;
    ``gguf`` is the path of the GGUF file that is meant in the folder, of a split one the first."""

    model: str
    folder: Path
    files: tuple[HubFile, ...]
    present_bytes: int
    gguf: str = ""
    hub: Hub = HUBS["modelscope"]

    @property
    def total(self) -> int:
        """Bytes of all files, present or not."""
        return sum(file.size for file in self.files)


def fetch_model(
    model: str,
    consent: AskConsent,
    progress: StageProgress,
    file_progress: FileProgress | None = None,
    stop: threading.Event | None = None,
    gguf: str = "",
    hub: Hub = HUBS["modelscope"],
) -> Path:
    """The checkpoint folder of ``OWNER/NAME``, downloaded into the hub's own cache; of a
    repository of GGUF files the one that ``gguf`` means (`tui.models.gguf_choice`).

    Asks ``consent`` with size and place before the first large file; ``progress`` hears
    bytes in all, ``file_progress`` the bytes of every file, ``stop`` ends it. What was fetched
    stays, and the next call goes on from there. A file gets its name only when its
    checksum is right; completeness is checked here and not believed.

    Raises:
        UserError: no consent, stopped, no network, no such model, not allowed, no space,
            an unsupported model (told before the weights are fetched), wrong files.
    """
    stop = stop or threading.Event()
    if not is_reachable(hub.url()):
        raise UserError(
            f"{hub.title} ({hub.url()}) cannot be reached",
            "check the network or HTTPS_PROXY; a checkpoint folder copied here works too",
            EXIT_NETWORK,
        )
    progress(f"asking {hub.title}", 0, 0)
    plan = plan_download(model, _list_files(hub, model, stop), gguf, hub)
    if not plan.gguf:
        extras.require(extras.LOCAL)
        _check_supported(plan, stop)
    if not consent(make_offer(plan)):
        raise UserError(
            f"{model} was not downloaded", "say yes, or --yes where nobody can be asked"
        )
    # Anew: a person may have thought for long, or another download have come before.
    free = filesystem.free_bytes(plan.folder)
    if free < plan.total - plan.present_bytes + _SPARE:
        raise UserError(
            f"no space for {model}: {format_size(plan.total - plan.present_bytes)} needed, "
            f"{format_size(free)} free in {plan.folder}",
            f"free some, or set {hub.cache_variable} to a folder on another disk",
        )
    began = time.monotonic()
    _fetch(plan, progress, file_progress or (lambda files: None), stop)
    verify_files(plan)
    kept = plan.folder / plan.gguf
    arrival.note(kept, plan.total - plan.present_bytes, time.monotonic() - began)
    return kept


def make_offer(plan: DownloadPlan) -> DownloadOffer:
    """What a person is asked before the download."""
    return DownloadOffer(
        name=plan.model,
        source=plan.hub.title,
        files=len(plan.files),
        total=plan.total,
        present_bytes=plan.present_bytes,
        folder=plan.folder,
        free=filesystem.free_bytes(plan.folder),
    )


def plan_download(
    model: str, files: Iterable[HubFile], gguf: str = "", hub: Hub = HUBS["modelscope"]
) -> DownloadPlan:
    """Which files of a listing are needed, and what of them is here.

    Raises:
        UserError: there are no weights among them, or several GGUF files that could be meant.
    """
    folder, files = hub.folder(model), list(files)
    chosen = needed_files(files)
    has_weights = any(file.path.endswith(_WEIGHTS) for file in chosen)
    ggufs = {file.path: file for file in files if _GGUF_NAME.fullmatch(file.path)}
    if gguf or (ggufs and not has_weights):
        first = choose(ggufs, gguf, f"{hub.scheme}:{model}")
        parts = [str(part) for part in all_parts(Path(first))]
        if missing := [part for part in parts if part not in ggufs]:
            raise UserError(f"{model} holds {first} without {missing[0]}", "choose another file")
        chosen = tuple(ggufs[part] for part in parts)
        here = sum(_present_bytes(folder, file) for file in chosen)
        return DownloadPlan(model, folder, chosen, here, first, hub)
    if not has_weights:
        raise UserError(
            f"{model} holds no safetensors, pytorch_model or GGUF weights",
            "choose the repository with the original weights, or one with GGUF files",
        )
    here = sum(_present_bytes(folder, file) for file in chosen)
    return DownloadPlan(model, folder, chosen, here, hub=hub)


def needed_files(files: Iterable[HubFile]) -> tuple[HubFile, ...]:
    """Configuration, tokenizer and one set of weights: safetensors where there are any.

    Only plain names at the top of the repository are taken, never code, so that nothing
    that a listing says can lead out of the folder.
    """
    flat = {file.path: file for file in files if _FLAT_NAME.fullmatch(file.path)}
    weights = [file for name, file in flat.items() if _SHARDS.fullmatch(name)]
    if not any(file.path.endswith(".safetensors") for file in weights):
        bins = [file for name, file in flat.items() if _BIN_SHARDS.fullmatch(name)]
        weights = bins or _lone_weights(flat.values())
    small = [file for name, file in flat.items() if _SMALL_FILES.fullmatch(name)]
    return tuple(sorted({*weights, *small}, key=lambda file: (file.size, file.path)))


def _lone_weights(files: Iterable[HubFile]) -> list[HubFile]:
    """The only weight file of a repository, whatever it is called (GPTQ's first models)."""
    named = [file for file in files if file.path.endswith((".safetensors", ".gguf"))]
    is_model = len(named) == 1 and not named[0].path.startswith("adapter_model.")
    return [file for file in named if is_model and file.path.endswith(".safetensors")]


def verify_files(plan: DownloadPlan) -> None:
    """Check that every file of a plan is here in full.

    Raises:
        UserError: one is missing, has another size, or was left unfinished.
    """
    for file in plan.files:
        target = plan.folder / file.path
        length = target.stat().st_size if target.is_file() else -1
        if length != file.size or target.with_name(f"{target.name}.incomplete").exists():
            raise UserError(
                f"{plan.model} is not complete: {file.path} "
                f"{'is missing' if length < 0 else f'has {length} of {file.size} bytes'}",
                f"again: duibi models get {plan.hub.scheme}:{plan.model}"
                f"{f'#{plan.gguf}' if plan.gguf else ''}",
                EXIT_NETWORK,
            )


def _list_files(hub: Hub, model: str, stop: threading.Event) -> list[HubFile]:
    request = {"do": "list", "id": model, "revision": hub.revision}
    files = next((reply.get("files") for reply in list(hub.ask(model, request, stop))), None)
    if not isinstance(files, list):
        raise error_from_cause(model, "unexpected", "no list of files came")
    return [file for entry in files if (file := _hub_file(entry))]


def _hub_file(entry: Any) -> HubFile | None:
    match entry:
        case {"path": str(path), "size": int(size), "sha256": sha} if 0 <= size < _LARGEST_FILE:
            digest = sha.lower() if isinstance(sha, str) else ""
            return HubFile(path, size, digest if _SHA256.fullmatch(digest) else "")
    return None


def _check_supported(plan: DownloadPlan, stop: threading.Event) -> None:
    """Read the model's config.json alone, so that 15 GB are not fetched in vain."""
    config = [file for file in plan.files if file.path == "config.json"]
    if not config:
        raise UserError(f"{plan.model} has no config.json", "choose another repository")
    with tempfile.TemporaryDirectory(prefix="duibi-") as folder:
        for _ in plan.hub.ask(plan.model, _get_request(plan, config, folder), stop):
            pass
        read_architecture(read_json(Path(folder) / "config.json"))


def _fetch(
    plan: DownloadPlan, progress: StageProgress, file_progress: FileProgress, stop: threading.Event
) -> None:
    sizes = {file.path: file.size for file in plan.files}
    at = {file.path: _present_bytes(plan.folder, file) for file in plan.files}
    stage = f"fetching {plan.model}"
    try:
        (plan.folder / plan.gguf).parent.mkdir(parents=True, exist_ok=True)
        plan.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot make {plan.folder}: {error.strerror or error}",
            f"set {plan.hub.cache_variable} to a folder that can be written",
        ) from None
    request = _get_request(plan, plan.files, str(plan.folder))
    for reply in plan.hub.ask(plan.model, request, stop):
        if isinstance(reply.get("at"), dict):
            at.update({name: count for name, count in reply["at"].items() if name in sizes})
            progress(stage, min(sum(at.values()), plan.total), plan.total)
            file_progress({name: (at[name], size) for name, size in sizes.items()})
    progress(stage, plan.total, plan.total)
    file_progress({name: (size, size) for name, size in sizes.items()})


def _get_request(plan: DownloadPlan, files: Iterable[HubFile], folder: str) -> dict[str, Any]:
    listed = [{**asdict(file), "sha256": file.sha256 or None} for file in files]
    wanted = {"id": plan.model, "revision": plan.hub.revision, "files": listed}
    return {"do": "get", "folder": folder, **wanted}


def _present_bytes(folder: Path, file: HubFile) -> int:
    target = folder / file.path
    for path in (target, target.with_name(f"{target.name}.incomplete")):
        try:
            return min(path.stat().st_size, file.size)
        except OSError:
            continue
    return 0
