"""Small GGUF files with every tensor in another format."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

from benchmarks.support import tiny
from tests.support.split_gguf import split_gguf

LAYERS, HIDDEN, HEADS, KV, TIMES = 2, 64, 4, 2, 2
KINDS = (Type.Q4_0, Type.Q8_0, Type.Q5_1, Type.F16, Type.BF16, Type.F32, Type.Q4_1)


def write_gguf(path: Path, arch: str = "llama", **changes: Any) -> Path:
    """A small model with a byte-level tokenizer and every tensor in another format.

    ``changes``: ``hidden`` size; ``layers`` that the metadata tells of; ``without`` names of
    tensors; ``scaling`` of positions; ``parts`` of a split model, whose first is given back;
    ``head``: ``own``, ``none`` or ``repeated`` (the embeddings in another format); ``biases``;
    ``kinds`` of tensors; ``more`` tensors in fp32, their shapes by their whole names; ``metadata``:
    further keys; ``template``, empty for none; ``renamed`` words; ``seed`` of the values.
    """
    random = np.random.default_rng(changes.get("seed", 0))
    vocab, hidden = tiny.tokenizer().get_vocab_size(), changes.get("hidden", HIDDEN)
    writer = gguf.GGUFWriter(path, arch)
    writer.add_name("tiny")
    writer.add_block_count(changes.get("layers", LAYERS))
    writer.add_context_length(changes.get("context", 256))
    writer.add_embedding_length(hidden)
    writer.add_feed_forward_length(TIMES * hidden)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(vocab)
    template, pre = changes.get("template", tiny.TEMPLATE), changes.get("pre", "smollm")
    write_words(writer, template, pre, changes.get("renamed", {}))
    if "scaling" in changes:
        writer.add_string(f"{arch}.rope.scaling.type", changes["scaling"])
        writer.add_float32(f"{arch}.rope.scaling.factor", 4.0)
    for key, value in changes.get("metadata", {}).items():
        for known in writer.kv_data:
            known.pop(key, None)  # Some versions refuse a key that is written twice.
        writer.add_key_value(key, value, _value_type(value))
    values = {
        f"{name}.weight": random.standard_normal(shape, dtype=np.float32) * changes.get("scale", 1)
        for name, shape in _shapes(vocab, hidden, changes.get("head", "own") == "own").items()
        if name not in changes.get("without", ())
    }
    if changes.get("biases"):
        for name, width in (
            ("q", HIDDEN),
            ("k", HIDDEN * KV // HEADS),
            ("v", HIDDEN * KV // HEADS),
        ):
            for n in range(LAYERS):
                bias = random.standard_normal(width, dtype=np.float32)
                values[f"blk.{n}.attn_{name}.bias"] = bias
    if changes.get("head") == "repeated":
        values["output.weight"] = values["token_embd.weight"]
    kinds = changes.get("kinds", KINDS)
    for number, (name, value) in enumerate(values.items()):
        kind = Type.F32 if value.ndim == 1 else kinds[number % len(kinds)]
        if name == "output.weight" and changes.get("head") == "repeated":
            kind = Type.Q8_0
        raw = value if kind == Type.F32 else _quantised(value, kind)
        writer.add_tensor(name, raw, raw_dtype=kind)
    for name, shape in changes.get("more", {}).items():
        value = random.standard_normal(shape, dtype=np.float32)
        # A state that does not fade grows beyond all numbers.
        writer.add_tensor(name, -np.abs(value) if name.endswith("ssm_a") else value)
    finish(writer)
    if "parts" not in changes:
        return path
    parts = split_gguf(path, changes["parts"], path.parent)
    path.unlink()
    return parts[0]


def _quantised(value: Any, kind: Type) -> Any:
    """The values in a format; zeros in one that the package does not write."""
    try:
        return gguf.quantize(value, kind)
    except NotImplementedError:
        block, block_bytes = gguf.GGML_QUANT_SIZES[kind]
        return np.zeros((len(value), value.shape[-1] // block * block_bytes), dtype=np.uint8)


def _shapes(vocab: int, hidden: int, has_head: bool) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {"token_embd": (vocab, hidden)}
    if has_head:
        shapes["output"] = (vocab, hidden)
    shapes["output_norm"] = (hidden,)
    for n in range(LAYERS):
        shapes |= {
            f"blk.{n}.attn_q": (hidden, hidden),
            f"blk.{n}.attn_k": (hidden * KV // HEADS, hidden),
            f"blk.{n}.attn_v": (hidden * KV // HEADS, hidden),
            f"blk.{n}.attn_output": (hidden, hidden),
            f"blk.{n}.ffn_gate": (TIMES * hidden, hidden),
            f"blk.{n}.ffn_up": (TIMES * hidden, hidden),
            f"blk.{n}.ffn_down": (hidden, TIMES * hidden),
            f"blk.{n}.attn_norm": (hidden,),
            f"blk.{n}.ffn_norm": (hidden,),
        }
    return shapes


def _value_type(value: Any) -> gguf.GGUFValueType:
    if isinstance(value, bool):
        return gguf.GGUFValueType.BOOL
    if isinstance(value, list):
        return gguf.GGUFValueType.ARRAY
    if isinstance(value, int):
        return gguf.GGUFValueType.UINT32 if value >= 0 else gguf.GGUFValueType.INT32
    return gguf.GGUFValueType.STRING if isinstance(value, str) else gguf.GGUFValueType.FLOAT32


def write_words(
    writer: gguf.GGUFWriter,
    template: str = tiny.TEMPLATE,
    pre: str = "smollm",
    renamed: Mapping[str, str] = {},
) -> None:
    words = tiny.tokenizer()
    model = json.loads(words.to_str())["model"]
    tokens = sorted(words.get_vocab(), key=words.get_vocab().__getitem__)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list([renamed.get(token, token) for token in tokens])
    writer.add_token_types([3 if t.startswith("<|") else 1 for t in tokens])
    writer.add_token_merges([" ".join(m) if isinstance(m, list) else m for m in model["merges"]])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    if template:
        writer.add_chat_template(template)


def finish(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
