"""GGUF files as plain checkpoints: converted once, then loaded like any other.

The stored type is chosen so that nothing is lost: floats stay as they are in the file,
quantised values become fp32, in which every format's arithmetic is done (a scale times an
integer plus a minimum has more bits than bf16 keeps), so that ``@fp32`` and ``@bf16`` of
one file differ only by the type computed in. Where that would take more than
`EXACT_BYTES` on disk, quantised values are stored as bf16: half the size, and a rounding of
2^-9 beside the far coarser one of the file itself; `remarks` says so.
"""

import errno
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Type

from tui.worker import converted as cache_folder
from tui.worker.families.base import CheckpointError
from tui.worker.gguf_file import Header, Tensor, read_header

EXACT_BYTES = 8 << 30
"""A checkpoint larger than this in fp32 is stored in bf16."""
_FORMAT = 1
"""Counts up when the same file would be converted differently."""
_HEAD = 1 << 20
_SPARE = 64 << 20
_MOST_LAYERS = 1024
_FLOATS = {Type.F32: torch.float32, Type.F16: torch.float16, Type.BF16: torch.bfloat16}
_NAMES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}
_ROW = 1 << 18

Progress = Callable[[int, int], None]


def converted(gguf_path: Path, cache: Path, progress: Progress) -> Path:
    """The checkpoint folder (config.json, generation_config.json, model.safetensors,
    tokenizer files) made of a GGUF file, in ``cache``; ``progress(done, total)`` counts
    bytes written.

    Raises:
        CheckpointError: ``not_found``, ``damaged``, ``unsupported`` or ``no_space``.
    """
    try:
        stat = gguf_path.stat()
        with gguf_path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise CheckpointError("not_found", f"cannot read {gguf_path}: {error.strerror}") from None
    # Hashing all of it would read gigabytes at each start; who writes into the middle of
    # a file changes its time.
    told = f"{_FORMAT} {stat.st_size} {stat.st_mtime_ns} ".encode() + head
    key = f"{_slug(gguf_path.stem)}-{hashlib.sha256(told).hexdigest()[:16]}"
    try:
        return cache_folder.ensure(
            cache / key, lambda folder: _convert(gguf_path, folder, progress)
        )
    except (CheckpointError, MemoryError):
        raise
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise _no_space(gguf_path, cache) from None
        raise CheckpointError(
            "damaged", f"cannot convert {gguf_path.name}: {error.strerror or error}"
        ) from error
    except Exception as error:
        line = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise CheckpointError(
            "damaged", f"cannot convert {gguf_path.name}: {line}", "download the file again"
        ) from error


def remarks(folder: Path) -> list[str]:
    """What a person should know of a converted checkpoint, one line each."""
    said = cache_folder.manifest(folder).get("remarks", [])
    return [str(line) for line in said] if isinstance(said, list) else []


def _slug(name: str) -> str:
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in name)[:64]


def _no_space(path: Path, folder: Path) -> CheckpointError:
    return CheckpointError(
        "no_space",
        f"no space to convert {path.name} in {folder}",
        "free space there, or set DUIBI_CACHE_DIR to a folder on a larger disk",
    )


def _convert(path: Path, folder: Path, progress: Progress) -> dict[str, Any]:
    header = read_header(path)
    layers = header.metadata.get(f"{header.architecture}.block_count", 1)
    if not isinstance(layers, int) or not 0 < layers <= _MOST_LAYERS:
        raise CheckpointError("damaged", f"{path.name} tells of {layers} layers")
    elements = sum(tensor.elements for tensor in header.tensors)
    exact = 4 * elements <= EXACT_BYTES
    quantised = torch.float32 if exact else torch.bfloat16
    if shutil.disk_usage(folder).free < elements * quantised.itemsize + _SPARE:
        raise _no_space(path, folder.parent)
    config = _weights(path, header, folder, quantised, progress)
    config.save_pretrained(folder)
    _tokenizer(path, header, folder)
    _generation(header, folder)
    found = []
    if not exact and any(tensor.type not in _FLOATS for tensor in header.tensors):
        found.append("weights of the GGUF file rounded to bf16: in fp32 they take too much disk")
    if any(tensor.name == "rope_freqs.weight" for tensor in header.tensors):
        found.append("the file's own RoPE factors are not applied: long contexts may suffer")
    return {"source": path.name, "remarks": found}


def _weights(
    path: Path, header: Header, folder: Path, quantised: torch.dtype, progress: Progress
) -> Any:
    """Write model.safetensors and return the config."""
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers import modeling_gguf_pytorch_utils as stock

    plain = {
        stock.TensorProcessor,
        stock.LlamaTensorProcessor,
        stock.Gemma2TensorProcessor,
        stock.NemotronTensorProcessor,
    }
    architecture = header.architecture
    make = stock.TENSOR_PROCESSORS.get(architecture, stock.TensorProcessor)
    known = architecture in stock.GGUF_SUPPORTED_ARCHITECTURES
    if not known or make not in plain:
        return _stock_weights(path, folder, quantised, progress)
    fields = _config_fields(header)
    config = AutoConfig.for_model(fields.pop("model_type"), **fields)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    processor = make(config=fields)
    wanted = model.state_dict()
    names = stock.get_gguf_hf_weights_map(_Names(config, wanted), processor)
    config.architectures = [type(model).__name__]
    chosen = [tensor for tensor in header.tensors if tensor.name in names]
    tied = (
        set(getattr(model, "_tied_weights_keys", None) or ())
        if config.tie_word_embeddings
        else set()
    )
    if missing := set(wanted) - {names[tensor.name] for tensor in chosen} - tied:
        return _stock_weights(path, folder, quantised, progress, missing)
    shapes = {names[t.name]: tuple(wanted[names[t.name]].shape) for t in chosen}
    types = {names[t.name]: _FLOATS.get(t.type, quantised) for t in chosen}
    blob = np.memmap(path, mode="r", dtype=np.uint8)

    def values(tensor: Tensor) -> torch.Tensor:
        name = names[tensor.name]
        made = processor.process(weights=_dequantised(blob, tensor), name=tensor.name).weights
        if made.shape != shapes[name]:
            raise CheckpointError(
                "damaged", f"{tensor.name} has the shape {made.shape}, not {shapes[name]}"
            )
        return torch.from_numpy(np.ascontiguousarray(made)).to(types[name])

    order = [names[tensor.name] for tensor in chosen]
    tensors = _ahead(values, chosen)
    _write(folder / "model.safetensors", order, shapes, types, tensors, progress)
    config.dtype = quantised
    return config


@dataclass(frozen=True, slots=True)
class _Names:
    """What the map of names is made from. Given the model itself, transformers makes the
    map again for each of its modules, which takes seconds and adds nothing here."""

    config: Any
    state: dict[str, Any]

    def state_dict(self) -> dict[str, Any]:
        return self.state

    def named_children(self) -> list[tuple[str, Any]]:
        return []


def _stock_weights(
    path: Path,
    folder: Path,
    quantised: torch.dtype,
    progress: Progress,
    missing: Iterable[str] = (),
) -> Any:
    """The slow way, for architectures whose tensors are merged or split."""
    from transformers import AutoModelForCausalLM, GgufConfig

    try:
        model, info = AutoModelForCausalLM.from_pretrained(
            path.parent,
            gguf_file=path.name,
            quantization_config=GgufConfig(dequantize=True),
            dtype=quantised,
            output_loading_info=True,
            local_files_only=True,
        )
    except (ValueError, KeyError, NotImplementedError) as error:
        line = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
        raise CheckpointError(
            "unsupported", f"{path.name}: {line}", "take the model's safetensors checkpoint"
        ) from error
    tied = set(model._tied_weights_keys or ()) if model.config.tie_word_embeddings else set()
    absent = set(info["missing_keys"]) - tied
    if absent or info["mismatched_keys"]:
        named = ", ".join(sorted(absent or missing)[:3])
        raise CheckpointError("unsupported", f"{path.name}: no weights found for {named}")
    state = {name: value for name, value in model.state_dict().items() if name not in tied}
    shapes = {name: tuple(value.shape) for name, value in state.items()}
    types = {name: value.dtype for name, value in state.items()}
    _write(folder / "model.safetensors", list(state), shapes, types, iter(state.values()), progress)
    config = model.config
    config.architectures = [type(model).__name__]
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    return config


def _config_fields(header: Header) -> dict[str, Any]:
    """What transformers makes of the metadata.

    Its reader takes seconds for the vocabulary, which no config needs: it gets a file with
    the same numbers and texts, and of every tensor the name.
    """
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    with tempfile.TemporaryDirectory(prefix="duibi-") as folder:
        slim = Path(folder) / "header.gguf"
        writer = gguf.GGUFWriter(slim, header.architecture)
        for key, value in header.metadata.items():
            counted = key in ("tokenizer.ggml.tokens", "tokenizer.ggml.merges")
            if key == "general.architecture" or key.startswith("GGUF.") or counted:
                continue
            if key.startswith("tokenizer.") and isinstance(value, list | str):
                continue
            match value:
                case bool():
                    writer.add_bool(key, value)
                case int():
                    writer.add_int64(key, value)
                case float():
                    writer.add_float64(key, value)
                case str():
                    writer.add_string(key, value)
                case [_, *_]:
                    writer.add_array(key, value)
        for tensor in header.tensors:
            writer.add_tensor(tensor.name, np.zeros(1, dtype=np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        fields: dict[str, Any] = load_gguf_checkpoint(str(slim))["config"]
    fields.pop("_model_name_or_path", None)
    words = header.metadata.get("tokenizer.ggml.tokens")
    if isinstance(words, int):
        fields.setdefault("vocab_size", words)
    return fields


def _dequantised(blob: Any, tensor: Tensor) -> Any:
    """The tensor's values as a numpy array of fp32."""
    raw = blob[tensor.start : tensor.start + tensor.size]
    if tensor.type == Type.F32:
        return np.array(raw.view(np.float32)).reshape(tensor.shape)
    # The package works through 16 rows at a time, and blocks do not know of rows:
    # long ones keep its loop short.
    block, block_bytes = gguf.GGML_QUANT_SIZES[tensor.type]
    blocks = tensor.elements // block
    width = max(1, _ROW // block)
    whole = blocks // width * width
    flat = np.empty(tensor.elements, dtype=np.float32)
    for start, end, columns in ((0, whole, width), (whole, blocks, blocks - whole)):
        if start < end:
            piece = raw[start * block_bytes : end * block_bytes].reshape(-1, columns * block_bytes)
            flat[start * block : end * block] = gguf.dequantize(piece, tensor.type).reshape(-1)
    return flat.reshape(tensor.shape)


def _ahead(
    work: Callable[[Tensor], torch.Tensor], tensors: Iterable[Tensor]
) -> Iterator[torch.Tensor]:
    """Results in order, one being made on each thread, and no more of them in memory."""
    threads = max(1, torch.get_num_threads())
    with ThreadPoolExecutor(threads) as pool:
        coming: list[Future[torch.Tensor]] = []
        for tensor in tensors:
            coming.append(pool.submit(work, tensor))
            if len(coming) > threads:
                yield coming.pop(0).result()
        while coming:
            yield coming.pop(0).result()


def _write(
    path: Path,
    order: list[str],
    shapes: dict[str, tuple[int, ...]],
    types: dict[str, torch.dtype],
    tensors: Iterator[torch.Tensor],
    progress: Progress,
) -> None:
    """A safetensors file (https://github.com/huggingface/safetensors#format), written as
    the tensors come. Its header is padded to 4096 bytes: kernels on the mapped file are
    faster where tensors are aligned."""
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name in order:
        size = int(np.prod(shapes[name], dtype=np.int64)) * types[name].itemsize
        entries[name] = {
            "dtype": _NAMES[types[name]],
            "shape": list(shapes[name]),
            "data_offsets": [end, end + size],
        }
        end += size
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 8) % 4096)
    done = 0
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        progress(0, end)
        for name, tensor in zip(order, tensors, strict=True):
            if tensor.dtype != types[name] or tuple(tensor.shape) != shapes[name]:
                raise ValueError(f"{name} is {tensor.dtype} {tuple(tensor.shape)}")
            file.write(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
            done += entries[name]["data_offsets"][1] - entries[name]["data_offsets"][0]
            progress(done, end)


def _tokenizer(path: Path, header: Header, folder: Path) -> None:
    from tokenizers import pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast.from_pretrained(
        path.parent, gguf_file=path.name, local_files_only=True
    )
    if header.metadata.get("tokenizer.ggml.pre") in ("smollm", "starcoder", "refact", "command-r"):
        # llama.cpp (llama-vocab.cpp) splits off every digit for these before GPT-2's rule;
        # transformers has no entry for them and would let a space join the first digit.
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False),
            ]
        )
    tokenizer.save_pretrained(folder)


def _generation(header: Header, folder: Path) -> None:
    def number(name: str) -> int | None:
        found = header.metadata.get(f"tokenizer.ggml.{name}_token_id")
        return found if isinstance(found, int) else None

    ends = [number(name) for name in ("eos", "eot", "eom")]
    said = {
        "bos_token_id": number("bos"),
        "eos_token_id": sorted({end for end in ends if end is not None}),
        "pad_token_id": number("padding"),
        "do_sample": False,
    }
    text = json.dumps({name: value for name, value in said.items() if value not in (None, [])})
    (folder / "generation_config.json").write_text(text, encoding="utf-8")
