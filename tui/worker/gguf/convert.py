"""GGUF files as plain checkpoints: converted once, then loaded like any other.

Floats stay as they are in the file; quantised values become the dtype that is asked for. In fp32
nothing is lost: every format's arithmetic is done in it (a scale times an integer plus a minimum
has more bits than bf16 keeps). Weights to be reduced again to int8 or int4 are only needed while
that is done: what stays then is the form `gguf_cache.WORDS`, a folder with all but the weights.
"""

import errno
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from tokenizers import pre_tokenizers
from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS

from tui.checkpoints import build_cache, gguf_cache
from tui.checkpoints.errors import CheckpointError
from tui.checkpoints.gguf_header import GgufHeader, conversion_bytes, read_header
from tui.checkpoints.weight_headers import WEIGHTS_ELSEWHERE
from tui.host.errors import first_line
from tui.worker.checkpoint import Progress
from tui.worker.gguf.weights import can_read, write_shapes, write_weights

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_PLAIN_CUTS = ("gpt-2", "phi-2", "olmo", "mpt", "jais")
"""``tokenizer.ggml.pre`` of vocabularies whose texts are cut by GPT-2's rule (llama-vocab.cpp)."""
_DIGIT_CUTS = ("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b")
"""The same with every digit by itself before (llama-vocab.cpp)."""
_OWN_RULE_KINDS = ("gpt2",)
"""``tokenizer.ggml.model`` of vocabularies whose texts are cut by such a rule at all."""
_MOST_LAYERS = 1024


def convert_gguf(
    gguf_path: Path, progress: Progress, root: Path | None = None, form: str = "fp32"
) -> Path:
    """The checkpoint folder (config.json, generation_config.json, model.safetensors,
    tokenizer files) made of a GGUF file, in ``root`` (default: `gguf_cache.root`), with quantised
    values in the dtype ``form``; with `gguf_cache.WORDS` weights.json in place of the weights.
    ``progress(done, total)`` counts bytes written.

    Raises:
        CheckpointError: ``not_found``, ``damaged``, ``unsupported`` or ``no_space``.
    """
    try:
        entry = gguf_cache.entry_folder(gguf_path, form, root)
    except OSError as error:
        raise CheckpointError("not_found", f"cannot read {gguf_path}: {error.strerror}") from None
    try:
        return gguf_cache.ensure(
            entry, gguf_path, lambda folder: _write_checkpoint(gguf_path, folder, form, progress)
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


def _no_space(path: Path, folder: Path, sizes: tuple[str, str] | None = None) -> CheckpointError:
    """``sizes``: what it takes, and what is free, where that is known."""
    said = f"no space to convert {path.name} in {folder}"
    if sizes:
        needed, free = sizes
        said = f"no space to convert {path.name} in {folder}: it takes {needed}, {free} are free"
    return CheckpointError(
        "no_space",
        said,
        "free space there, or set DUIBI_CACHE_DIR to a folder on a larger disk",
    )


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"


def _refuse_what_would_be_lost(path: Path, header: GgufHeader) -> None:
    """Transformers' reading of the metadata drops how positions are scaled, and cuts texts by
    GPT-2's rule where it does not know the file's own. Without these a model answers worse, and
    nobody knows why. Some formats only llama.cpp reads.

    Raises:
        CheckpointError: the file says such a thing.
    """
    kind = header.text(f"{header.architecture}.rope.scaling.type")
    has_factors = any(one.name.startswith("rope_f") for one in header.tensors)
    cut = header.text("tokenizer.ggml.pre")
    unread = sorted({one.type.name for one in header.tensors if not can_read(one.type)})
    known = ("", "default", *_PLAIN_CUTS, *_DIGIT_CUTS, *GGUF_PRE_TOKENIZER_SPLITS)
    why = ""
    if kind not in ("", "none") or has_factors:
        scaled = kind[:20] or "by factors"
        why = f"{path.name} scales its positions ({scaled}), which a converted copy would lose"
    elif header.text("tokenizer.ggml.model") in _OWN_RULE_KINDS and cut not in known:
        why = f"{path.name} cuts its texts as {cut[:20]}, which a converted copy would lose"
    elif unread:
        why = f"{path.name} holds tensors as {', '.join(unread)}, which only llama.cpp reads"
    if why:
        step = "leave out the dtype: with the extra gguf the file is computed as published"
        raise CheckpointError("unsupported", why, step)


def _write_checkpoint(path: Path, folder: Path, form: str, progress: Progress) -> dict[str, Any]:
    """Fill ``folder``; gives ``remarks`` for a person."""
    header = read_header(path)
    layers = header.metadata.get(f"{header.architecture}.block_count", 1)
    if not isinstance(layers, int) or not 0 < layers <= _MOST_LAYERS:
        raise CheckpointError("damaged", f"{path.name} tells of {layers} layers")
    _refuse_what_would_be_lost(path, header)
    if form == gguf_cache.WORDS:
        config = write_shapes(path, header, folder / WEIGHTS_ELSEWHERE)
    else:
        needed, free = conversion_bytes(header, form), shutil.disk_usage(folder).free
        if free < needed:
            raise _no_space(path, folder.parent, (_gb(needed), _gb(free)))
        config = write_weights(path, header, folder / "model.safetensors", DTYPES[form], progress)
    config.save_pretrained(folder)
    _write_tokenizer(header, folder)
    _write_generation_config(header, folder)
    is_told = header.text("tokenizer.ggml.pre") not in ("", "default")
    is_cut = header.text("tokenizer.ggml.model") in _OWN_RULE_KINDS
    guessed = "the file does not tell by which rule its texts are cut: GPT-2's is taken"
    return {"remarks": [] if is_told or not is_cut else [guessed]}


def _write_tokenizer(header: GgufHeader, folder: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    path = header.files[0]
    tokenizer = PreTrainedTokenizerFast.from_pretrained(
        path.parent, gguf_file=path.name, local_files_only=True
    )
    if header.text("tokenizer.ggml.pre") in _DIGIT_CUTS:
        # Transformers has no entry for them and would let a space join the first digit.
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
