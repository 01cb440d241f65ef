"""Names, shapes and dtypes of a checkpoint's tensors, read from the files' headers.

Nothing here loads a tensor, imports torch or runs a byte of the checkpoint: safetensors
headers are JSON, and the pickle inside a `.bin` file is read by `tui.checkpoints.pickled_headers`.
"""

import contextlib
import json
import re
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

from tui.checkpoints import pickled_headers
from tui.checkpoints.errors import CheckpointError
from tui.checkpoints.tensor_shape import checked_shape
from tui.host import foreign_files
from tui.text.sanitise import one_line

MAX_HEADER_BYTES = 16 << 20
"""Largest header or index that is read, in bytes: a million empty tensors in a larger
one cost seconds and a gigabyte before anything is known to be wrong."""

LFS_POINTER_PREFIX = b"version https://git-lfs.github.com/spec/v1"
WEIGHTS_ELSEWHERE = "weights.json"
"""In a folder that was made of a GGUF file: the names, dtypes and shapes of weights that are made
of the file when they are needed (`tui.worker.gguf.convert`)."""
SAFETENSORS_INDEX = "model.safetensors.index.json"
BIN_INDEX = "pytorch_model.bin.index.json"
_QUANTISED_BESIDE = {
    "quantize_config.json": "gptq",
    "quant_config.json": "awq",
    "hf_quant_config.json": "modelopt",
}
"""Files in which quantisers say what they did, where config.json says nothing of it."""
ADAPTER_CONFIG = "adapter_config.json"
"""What `peft` writes beside an adapter's weights."""

DTYPE_BYTES = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1,
    "U16": 2, "U32": 4, "U64": 8, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1,
}  # fmt: skip
"""Bytes of one element by the dtype names of the safetensors format."""

PLAIN_DTYPES = {"F64": "fp64", "F32": "fp32", "F16": "fp16", "BF16": "bf16"}
"""What this program calls the dtypes of weights that are not reduced."""

_NUMBERED = re.compile(r"(.+)-\d+-of-(\d+)")
_MAX_SHARDS = 10_000

HEADS = ("lm_head.weight", "output_layer.weight", "embed_out.weight")
"""Ends of the names of output heads."""
TABLES = ("embed_tokens.weight", "wte.weight", "word_embeddings.weight", "embeddings.weight")
"""Ends of the names of embeddings."""


@dataclass(frozen=True, slots=True)
class TensorHeader:
    """One stored tensor: its name, dtype (safetensors' word), shape and file; ``stored_bytes`` of
    one that is stored in several parts (`tui.checkpoints.stored_quantisation`)."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: Path
    stored_bytes: int | None = None

    @property
    def elements(self) -> int:
        """How many numbers it has."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Its size in bytes."""
        if self.stored_bytes is not None:
            return self.stored_bytes
        return self.elements * DTYPE_BYTES[self.dtype]


def shard_names(folder: Path) -> list[str]:
    """File names of a checkpoint's weights, present or not; safetensors before `.bin`. What an
    index names counts before what lies beside it, and the first way in which all files are there
    before all others.

    Raises:
        CheckpointError: no weights, or an index that is no index.
    """
    first: list[str] = []
    for single, index in (
        ("model.safetensors", SAFETENSORS_INDEX),
        ("pytorch_model.bin", BIN_INDEX),
    ):
        indexed = _indexed(folder / index) if (folder / index).is_file() else []
        alone = [single] if (folder / single).is_file() else []
        numbered = _numbered(folder, Path(single).suffix)
        # An index that was cut off, if the others are here.
        if indexed and set(indexed) < set(numbered):
            indexed, numbered = numbered, indexed
        for names in (indexed, alone, numbered):
            if names and all((folder / name).is_file() for name in names):
                return names
            first = first or names
    if names := first or _lone(folder):
        return names
    if (folder / WEIGHTS_ELSEWHERE).is_file():
        return [WEIGHTS_ELSEWHERE]
    raise CheckpointError(
        "not_found",
        f"{folder.name or folder} holds no model.safetensors and no pytorch_model.bin",
        "point at the folder that holds config.json and the weight files",
    )


def _numbered(folder: Path, suffix: str) -> list[str]:
    """The files of a set that is numbered (``NAME-00001-of-00002.safetensors``) and has no index,
    present or not; of several sets one that is whole, else the first."""
    first: list[str] = []
    for stem in sorted(file.stem for file in folder.glob(f"*-of-*{suffix}")):
        found = _NUMBERED.fullmatch(stem)
        if found and int(found[2]) <= _MAX_SHARDS:
            name, count, width = found[1], found[2], len(found[2])
            names = [f"{name}-{n:0{width}}-of-{count}{suffix}" for n in range(1, int(count) + 1)]
            if all((folder / one).is_file() for one in names):
                return names
            first = first or names
    return first


def _lone(folder: Path) -> list[str]:
    """The one weight file of a folder, whatever it is called."""
    files = list(folder.glob("*.safetensors"))
    if len(files) != 1 or files[0].stem == "adapter_model" or _NUMBERED.fullmatch(files[0].stem):
        return []
    return [files[0].name]


def _weight_map(index: Path) -> dict[str, Any]:
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError("damaged", f"{index.name} has no weight_map")
    return weight_map


def _indexed(index: Path) -> list[str]:
    names = sorted({str(name) for name in _weight_map(index).values()})
    for name in names:
        if Path(name).name != name or not name.endswith((".safetensors", ".bin")):
            raise CheckpointError("damaged", f"{index.name} names a file outside: {name[:80]!r}")
    return names


def promised_names(folder: Path, files: Iterable[str]) -> set[str]:
    """The tensors that the index of a checkpoint's weight ``files`` names; empty where there is
    none, or one of other files.

    Raises:
        CheckpointError: as `shard_names`.
    """
    here = set(files)
    is_pickled = any(name.endswith(".bin") for name in here)
    index = folder / (BIN_INDEX if is_pickled else SAFETENSORS_INDEX)
    if not index.is_file():
        return set()
    named = _weight_map(index)
    return set(named) if here & {str(file) for file in named.values()} else set()


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object of a file.

    Raises:
        CheckpointError: it is missing, too large, not JSON or not an object.
    """
    try:
        with foreign_files.open_binary(path) as file:
            raw = file.read(MAX_HEADER_BYTES + 1)
    except FileNotFoundError:
        raise CheckpointError(
            "not_found",
            f"no {path.name}",
            "name the folder that holds config.json and the weights",
        ) from None
    except OSError as error:
        raise CheckpointError("not_found", f"{path.name}: {error.strerror}") from None
    refuse_lfs_pointer(path.name, raw)
    if len(raw) > MAX_HEADER_BYTES:
        raise CheckpointError("damaged", f"{path.name} is larger than {MAX_HEADER_BYTES >> 20} MiB")
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            "damaged", f"{path.name} is not JSON: {str(error)[:80]}", "fetch the file again"
        ) from None
    if not isinstance(value, dict):
        raise CheckpointError("damaged", f"{path.name} is not a JSON object")
    return value


def read_config(folder: Path) -> dict[str, Any]:
    """The config.json of a checkpoint folder, with what a quantiser's own file beside it says.

    Raises:
        CheckpointError: as `read_json`; or the folder holds an adapter for another model.
    """
    if not (folder / "config.json").exists() and (folder / ADAPTER_CONFIG).is_file():
        said = read_json(folder / ADAPTER_CONFIG)
        kind = str(said.get("peft_type", "?"))
        base = one_line(str(said.get("base_model_name_or_path") or "?"))
        raise CheckpointError(
            "unsupported",
            f"no model but an adapter ({one_line(kind[:20])}) for {base[:120]}",
            "name it with its base: ./ADAPTER+./BASE",
        )
    config = read_json(folder / "config.json")
    if config.get("quantization_config") or config.get("compression_config"):
        return config
    for name, method in _QUANTISED_BESIDE.items():
        if (folder / name).is_file():
            said = read_json(folder / name)
            told = said.get("quantization", said)
            if isinstance(told, dict):
                return config | {"quantization_config": {"quant_method": method, **told}}
    return config


def refuse_lfs_pointer(name: str, start: bytes) -> None:
    """Refuse what git leaves in a file's place where git-lfs did not fetch it.

    Raises:
        CheckpointError: ``start``, the file's first bytes, are those of a pointer.
    """
    if start.startswith(LFS_POINTER_PREFIX):
        raise CheckpointError(
            "damaged",
            f"{name} is a git-lfs pointer: its content was not pulled",
            "run `git lfs pull` in the folder, or download the model again",
        )


def read_tensor_headers(folder: Path) -> list[TensorHeader]:
    """All tensors of a checkpoint folder, from the headers of all of its shards.

    Raises:
        CheckpointError: a shard is missing, cut short, a git-lfs pointer or not a weight file.
    """
    names = shard_names(folder)
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise CheckpointError(
            "damaged",
            f"{len(missing)} of {len(names)} weight files are missing: {_abbreviate(missing)}",
            "finish the download",
        )
    return [tensor for name in names for tensor in read_file_headers(folder / name)]


def read_file_headers(path: Path) -> list[TensorHeader]:
    """The tensors of one `.safetensors` or `.bin` file.

    Raises:
        CheckpointError: as `read_tensor_headers`.
    """
    try:
        size = path.stat().st_size
        with foreign_files.open_binary(path) as file:
            refuse_lfs_pointer(path.name, file.read(len(LFS_POINTER_PREFIX)))
            file.seek(0)
            if path.suffix == ".safetensors":
                return _read_safetensors(path, file, size)
            if path.name == WEIGHTS_ELSEWHERE:
                return _read_list(path)
            return _read_bin(path, file)
    except OSError as error:
        raise CheckpointError("damaged", f"{path.name}: {error.strerror or error}") from None


def _read_safetensors(path: Path, file: BinaryIO, size: int) -> list[TensorHeader]:
    # Format: u64 header length, JSON header, data
    # (https://huggingface.co/docs/safetensors/index#format).
    start = file.read(8)
    length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
    if length > MAX_HEADER_BYTES:
        raise CheckpointError(
            "damaged",
            f"{path.name}: header of {length / 1e6:.0f} MB (at most {MAX_HEADER_BYTES >> 20} MiB)",
            "fetch the file again",
        )
    try:
        header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        entries: list[tuple[str, str, tuple[int, ...], int, int]] = []
        for name, entry in header.items():
            first, last = checked_shape(entry["data_offsets"])
            shape = checked_shape(entry["shape"])
            entries.append((name, str(entry["dtype"]), shape, first, last))
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        raise CheckpointError(
            "damaged", f"{path.name}: not a safetensors file", "fetch the file again"
        ) from None
    end = 0
    tensors = []
    for name, dtype, shape, first, last in entries:
        tensor = TensorHeader(name, dtype, shape, path)
        if dtype not in DTYPE_BYTES:
            raise CheckpointError("unsupported", f"{path.name}: {name} is stored as {dtype[:20]}")
        if tensor.nbytes != last - first:
            raise CheckpointError("damaged", f"{path.name}: {name} has not the size it says")
        end = max(end, last)
        tensors.append(tensor)
    if 8 + length + end != size:
        raise CheckpointError(
            "damaged",
            f"{path.name} has {size:,} bytes but must have {8 + length + end:,}",
            "fetch the file again",
        )
    return tensors


def _read_list(path: Path) -> list[TensorHeader]:
    """The tensors that a folder tells of and does not hold."""
    found = []
    for name, told in read_json(path).items():
        match told:
            case {"dtype": str(dtype), "shape": list(shape)} if dtype in DTYPE_BYTES:
                with contextlib.suppress(ValueError):
                    found.append(TensorHeader(name, dtype, checked_shape(shape), path))
                    continue
        raise CheckpointError("damaged", f"{path.name}: {name[:80]} has no shape")
    return found


def _read_bin(path: Path, file: BinaryIO) -> list[TensorHeader]:
    tensors = []
    for name, stored, size in pickled_headers.read_pickled(file, path.name):
        tensor = TensorHeader(name, stored.dtype, stored.shape, path)
        if tensor.nbytes > size:
            raise CheckpointError("damaged", f"{path.name}: {name} has not the size it says")
        tensors.append(tensor)
    return tensors


def _abbreviate(names: list[str], limit: int = 3) -> str:
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown}, and {len(names) - limit} more"


def count_parameters(tensors: Sequence[TensorHeader], is_tied: bool) -> int:
    """How many numbers a model's weights have; a head that ``is_tied`` to the embeddings counts
    once with them, though both may be stored. What a family computes by itself does not count."""
    counted = [one for one in tensors if not one.name.endswith("inv_freq")]
    if is_tied:
        shapes = [one.shape for one in counted]
        counted = [
            one for one in counted if not (one.name.endswith(HEADS) and shapes.count(one.shape) > 1)
        ]
    return sum(one.elements for one in counted)


def commonest_dtype(tensors: Iterable[TensorHeader]) -> str:
    """What most of the values of some tensors are stored as: a word of `PLAIN_DTYPES` or the
    label of a quantisation; empty where there are none. Where some are reduced, that of the layers:
    tables of words are left whole, and are much of a small model."""
    known = list(tensors)
    if any(one.dtype not in DTYPE_BYTES for one in known):
        known = [one for one in known if not one.name.endswith((*HEADS, *TABLES))]
    sizes: dict[str, int] = {}
    for one in known:
        sizes[one.dtype] = sizes.get(one.dtype, 0) + one.elements
    most = max(sizes, key=lambda name: sizes[name], default="")
    return PLAIN_DTYPES.get(most, most.lower())


def count_expert_weights(tensors: Iterable[TensorHeader]) -> int:
    """How many of the weights are those of experts that a router chooses from."""
    return sum(one.elements for one in tensors if ".experts." in one.name or len(one.shape) == 3)
