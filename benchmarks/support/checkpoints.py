"""Tiny checkpoint folders for tests that read headers and load nothing."""

import json
import struct
from pathlib import Path
from typing import Any

LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9949437424\n"
"""What a clone without LFS leaves in place of a large file."""
LLAMA: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 8,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "vocab_size": 32,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}


def llama_shapes(config: dict[str, Any] = LLAMA) -> dict[str, tuple[int, ...]]:
    """Names and shapes of all tensors of a Llama checkpoint."""
    hidden, width, vocab = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (vocab, hidden),
        "model.norm.weight": (hidden,),
        "lm_head.weight": (vocab, hidden),
    }
    for n in range(config["num_hidden_layers"]):
        layer = f"model.layers.{n}."
        for name in ("q", "k", "v", "o"):
            shapes[f"{layer}self_attn.{name}_proj.weight"] = (hidden, hidden)
        shapes[f"{layer}mlp.gate_proj.weight"] = (width, hidden)
        shapes[f"{layer}mlp.up_proj.weight"] = (width, hidden)
        shapes[f"{layer}mlp.down_proj.weight"] = (hidden, width)
        shapes[f"{layer}input_layernorm.weight"] = (hidden,)
        shapes[f"{layer}post_attention_layernorm.weight"] = (hidden,)
    return shapes


def zero_safetensors(
    shapes: dict[str, tuple[int, ...]], dtype: str = "BF16", width: int = 2
) -> bytes:
    """A safetensors file of zeros: 8 bytes of header length, the header, the data."""
    header, end = {}, 0
    for name, shape in shapes.items():
        size = width
        for extent in shape:
            size *= extent
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(end)


def write_zero_llama(folder: Path, **changes: Any) -> Path:
    """A complete Llama checkpoint folder with weights of zeros."""
    config = {**LLAMA, **changes}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(zero_safetensors(llama_shapes(config)))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "tokenizer_config.json").write_text("{}")
    return folder
