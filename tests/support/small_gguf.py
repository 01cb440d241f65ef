"""Small GGUF files with every tensor in another format."""

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

from benchmarks.support import tiny

LAYERS, HIDDEN, HEADS, KV, WIDTH = 2, 64, 4, 2, 128
KINDS = (Type.Q4_0, Type.Q8_0, Type.Q5_1, Type.F16, Type.BF16, Type.F32, Type.Q4_1)


def write_gguf(path: Path, arch: str = "llama", **changes: Any) -> Path:
    """A small Llama with a byte-level tokenizer and every tensor in another format."""
    random = np.random.default_rng(0)
    vocab = tiny.tokenizer().get_vocab_size()
    writer = gguf.GGUFWriter(path, arch)
    writer.add_name("tiny")
    writer.add_block_count(changes.get("layers", LAYERS))
    writer.add_context_length(256)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(WIDTH)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(vocab)
    write_words(writer, changes.get("template", tiny.TEMPLATE))
    if "scaling" in changes:
        writer.add_string(f"{arch}.rope.scaling.type", changes["scaling"])
    if "split" in changes:
        writer.add_uint16("split.count", changes["split"])
    shapes = {"token_embd": (vocab, HIDDEN), "output": (vocab, HIDDEN), "output_norm": (HIDDEN,)}
    for n in range(LAYERS):
        shapes |= {
            f"blk.{n}.attn_q": (HIDDEN, HIDDEN),
            f"blk.{n}.attn_k": (HIDDEN * KV // HEADS, HIDDEN),
            f"blk.{n}.attn_v": (HIDDEN * KV // HEADS, HIDDEN),
            f"blk.{n}.attn_output": (HIDDEN, HIDDEN),
            f"blk.{n}.ffn_gate": (WIDTH, HIDDEN),
            f"blk.{n}.ffn_up": (WIDTH, HIDDEN),
            f"blk.{n}.ffn_down": (HIDDEN, WIDTH),
            f"blk.{n}.attn_norm": (HIDDEN,),
            f"blk.{n}.ffn_norm": (HIDDEN,),
        }
    for left_out in changes.get("without", ()):
        del shapes[left_out]
    for number, (name, shape) in enumerate(shapes.items()):
        values = random.standard_normal(shape, dtype=np.float32)
        kind = Type.F32 if len(shape) == 1 else KINDS[number % len(KINDS)]
        raw = values if kind == Type.F32 else gguf.quantize(values, kind)
        writer.add_tensor(f"{name}.weight", raw, raw_dtype=kind)
    finish(writer)
    return path


def write_words(writer: gguf.GGUFWriter, template: str = tiny.TEMPLATE) -> None:
    words = tiny.tokenizer()
    model = json.loads(words.to_str())["model"]
    tokens = sorted(words.get_vocab(), key=words.get_vocab().__getitem__)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if t.startswith("<|") else 1 for t in tokens])
    writer.add_token_merges([" ".join(m) if isinstance(m, list) else m for m in model["merges"]])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(template)


def finish(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
