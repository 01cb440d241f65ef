"""GGUF files as plain checkpoints: converted once, then loaded like any other.

The stored type is chosen so that nothing is lost: floats stay as they are in the file,
quantised values become fp32, in which every format's arithmetic is done (a scale times an
integer plus a minimum has more bits than bf16 keeps), so that ``@fp32`` and ``@bf16`` of
one file differ only by the type computed in. Where that would take more than
`EXACT_BYTES` on disk, quantised values are stored as bf16: half the size, and a rounding of
2^-9 beside the far coarser one of the file itself; `conversion_remarks` says so.
"""

import errno
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from tokenizers import pre_tokenizers

from tui.checkpoints import build_cache, gguf_cache
from tui.checkpoints.errors import CheckpointError
from tui.checkpoints.gguf_header import GgufHeader, read_header
from tui.host.errors import first_line
from tui.worker.checkpoint import Progress
from tui.worker.gguf.weights import FLOATS, write_weights

EXACT_BYTES = 8 << 30
"""A checkpoint larger than this in fp32 is stored in bf16."""
_SPARE = 64 << 20
_MOST_LAYERS = 1024


def convert_gguf(gguf_path: Path, progress: Progress, root: Path | None = None) -> Path:
    """The checkpoint folder (config.json, generation_config.json, model.safetensors,
    tokenizer files) made of a GGUF file, in ``root`` (default: `gguf_cache.root`);
    ``progress(done, total)`` counts bytes written.

    Raises:
        CheckpointError: ``not_found``, ``damaged``, ``unsupported`` or ``no_space``.
    """
    try:
        entry = gguf_cache.entry_folder(gguf_path, root)
    except OSError as error:
        raise CheckpointError("not_found", f"cannot read {gguf_path}: {error.strerror}") from None
    try:
        return gguf_cache.ensure(
            entry, gguf_path, lambda folder: _write_checkpoint(gguf_path, folder, progress)
        )
    except (CheckpointError, MemoryError):
        raise
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise _no_space(gguf_path, entry.parent) from None
        raise CheckpointError(
            "damaged", f"cannot convert {gguf_path.name}: {error.strerror or error}"
        ) from error
    except Exception as error:
        raise CheckpointError(
            "damaged",
            f"cannot convert {gguf_path.name}: {first_line(error)}",
            "download the file again",
        ) from error


def conversion_remarks(folder: Path) -> list[str]:
    """What a person should know of a converted checkpoint, one line each."""
    said = build_cache.manifest(folder).get("remarks", [])
    return [str(line) for line in said] if isinstance(said, list) else []


def stored_as(gguf_path: Path) -> str:
    """The format of the weights in a GGUF file that was converted, such as ``Q4_K_M``."""
    told = build_cache.manifest(gguf_cache.entry_folder(gguf_path)).get("stored")
    return told if isinstance(told, str) else read_header(gguf_path).stored


def _no_space(path: Path, folder: Path, arithmetic: str = "") -> CheckpointError:
    return CheckpointError(
        "no_space",
        f"no space to convert {path.name} in {folder}{arithmetic}",
        "free space there, or set DUIBI_CACHE_DIR to a folder on a larger disk",
    )


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"


def _refuse_scaled_positions(path: Path, header: GgufHeader) -> None:
    """Transformers' reading of the metadata drops how positions are scaled, without which a model
    answers worse and nobody knows why.

    Raises:
        CheckpointError: they are scaled.
    """
    key = f"{header.architecture}.rope.scaling"
    kind = header.metadata.get(f"{key}.type")
    if isinstance(kind, str) and kind not in ("", "none"):
        raise CheckpointError(
            "unsupported",
            f"{path.name} scales its positions ({kind[:20]}), which a converted copy would lose",
            "leave out the dtype: with the extra gguf the file is computed as published",
        )


def _write_checkpoint(path: Path, folder: Path, progress: Progress) -> dict[str, Any]:
    """Fill ``folder``; gives ``remarks`` for a person, and what the weights are ``stored`` as."""
    header = read_header(path)
    layers = header.metadata.get(f"{header.architecture}.block_count", 1)
    if not isinstance(layers, int) or not 0 < layers <= _MOST_LAYERS:
        raise CheckpointError("damaged", f"{path.name} tells of {layers} layers")
    elements = sum(tensor.elements for tensor in header.tensors)
    exact = 4 * elements <= EXACT_BYTES
    quantised = torch.float32 if exact else torch.bfloat16
    needed, free = elements * quantised.itemsize + _SPARE, shutil.disk_usage(folder).free
    if free < needed:
        raise _no_space(path, folder.parent, f": it takes {_gb(needed)}, {_gb(free)} are free")
    _refuse_scaled_positions(path, header)
    config = write_weights(path, header, folder / "model.safetensors", quantised, progress)
    config.save_pretrained(folder)
    _write_tokenizer(path, header, folder)
    _write_generation_config(header, folder)
    found = []
    if not exact and any(tensor.type not in FLOATS for tensor in header.tensors):
        found.append("weights of the GGUF file rounded to bf16: in fp32 they take too much disk")
    if any(tensor.name == "rope_freqs.weight" for tensor in header.tensors):
        found.append("the file's own RoPE factors are not applied: long contexts may suffer")
    return {"remarks": found, "stored": header.stored}


def _write_tokenizer(path: Path, header: GgufHeader, folder: Path) -> None:
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


def _write_generation_config(header: GgufHeader, folder: Path) -> None:
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
