"""Checkpoints of true shape with random weights, and the same weights as llama.cpp reads them."""

import json
import shutil
import struct
from pathlib import Path
from typing import Any

from benchmarks.true_shape import BLOCK, noise

SHAPES = {
    "0.5b": {"hidden": 896, "inner": 4864, "layers": 24, "heads": 14, "kv": 2, "vocab": 151936},
    "1.5b": {"hidden": 1536, "inner": 8960, "layers": 28, "heads": 12, "kv": 2, "vocab": 151936},
    "7b": {"hidden": 4096, "inner": 11008, "layers": 32, "heads": 32, "kv": 32, "vocab": 151936},
}
"""Those of Qwen2.5-0.5B and 1.5B, and of Qwen-7B, without biases and with a head of its own."""

WORDS_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


def write(folder: Path, shape: str, words: Path, layers: int = 0) -> None:
    """A Llama of a shape in bf16, with the words of another checkpoint.

    One block of noise over and over: the values change nothing of what a token costs.
    """
    sizes = SHAPES[shape]
    layers = layers or sizes["layers"]
    hidden, inner, vocab = sizes["hidden"], sizes["inner"], sizes["vocab"]
    width = hidden // sizes["heads"]
    config = json.loads((words / "config.json").read_text()) | {
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": sizes["heads"],
        "num_key_value_heads": sizes["kv"],
        "head_dim": width,
        "vocab_size": vocab,
        "tie_word_embeddings": False,
        "dtype": "bfloat16",
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name in WORDS_FILES:
        if (words / name).exists():
            shutil.copy(words / name, folder / name)
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (vocab, hidden),
        "lm_head.weight": (vocab, hidden),
        "model.norm.weight": (hidden,),
    }
    for number in range(layers):
        layer = f"model.layers.{number}."
        for name in ("q_proj", "o_proj"):
            shapes[f"{layer}self_attn.{name}.weight"] = (hidden, hidden)
        for name in ("k_proj", "v_proj"):
            shapes[f"{layer}self_attn.{name}.weight"] = (width * sizes["kv"], hidden)
        for name in ("gate_proj", "up_proj"):
            shapes[f"{layer}mlp.{name}.weight"] = (inner, hidden)
        shapes[f"{layer}mlp.down_proj.weight"] = (hidden, inner)
        for name in ("input_layernorm", "post_attention_layernorm"):
            shapes[f"{layer}{name}.weight"] = (hidden,)
    header, end = {}, 0
    for key, size in shapes.items():
        stop = end + 2 * size[0] * (size[1] if len(size) > 1 else 1)
        header[key] = {"dtype": "BF16", "shape": size, "data_offsets": [end, stop]}
        end = stop
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    block = noise()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for start in range(0, end, BLOCK):
            file.write(block[: min(BLOCK, end - start)])
    (folder / "config.json").write_text(json.dumps(config))


_PARTS = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
_ENDS = {
    "model.embed_tokens.weight": "token_embd.weight",
    "lm_head.weight": "output.weight",
    "model.norm.weight": "output_norm.weight",
}


def to_gguf(checkpoint: Path, target: Path) -> None:
    """The weights of a Llama checkpoint as GGUF in bf16 (norms in float32), words left out."""
    import gguf
    import torch
    from safetensors import safe_open

    config = json.loads((checkpoint / "config.json").read_text())
    heads, vocab = config["num_attention_heads"], config["vocab_size"]
    kv = config["num_key_value_heads"]
    writer = gguf.GGUFWriter(str(target), "llama")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv)
    writer.add_rope_dimension_count(config.get("head_dim") or config["hidden_size"] // heads)
    theta = config.get("rope_theta") or (config.get("rope_parameters") or {}).get("rope_theta")
    writer.add_rope_freq_base(theta or 10000.0)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(vocab)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([f"<{n}>" for n in range(vocab)])
    writer.add_token_scores([0.0] * vocab)
    writer.add_token_types([gguf.TokenType.NORMAL] * vocab)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    (file,) = checkpoint.glob("*.safetensors")
    with safe_open(str(file), framework="pt") as stored:
        names = {name: _renamed(name) for name in stored.keys()}  # noqa: SIM118
        for name, other in names.items():
            part = stored.get_slice(name)
            shape, flat = part.get_shape(), len(part.get_shape()) == 1
            kind = gguf.GGMLQuantizationType.F32 if flat else gguf.GGMLQuantizationType.BF16
            size = 4 if flat else 2
            count = shape[0] * (1 if flat else shape[1])
            raw = shape if flat else (shape[0], 2 * shape[1])
            dtype = _numpy("float32" if flat else "uint8")
            writer.add_tensor_info(other, raw, dtype, size * count, kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for name in names:
            tensor = stored.get_tensor(name)
            if name.endswith(("q_proj.weight", "k_proj.weight")):
                tensor = _interleaved(tensor, heads if "q_proj" in name else kv)
            if tensor.ndim == 1:
                writer.write_tensor_data(tensor.float().numpy())
            else:
                tensor = tensor.to(torch.bfloat16).contiguous()
                writer.write_tensor_data(tensor.view(torch.uint8).numpy())
    writer.close()


def _numpy(name: str) -> Any:
    import numpy

    return numpy.dtype(name)


def _renamed(name: str) -> str:
    if name in _ENDS:
        return _ENDS[name]
    _, _, number, rest = name.split(".", 3)
    return f"blk.{number}.{_PARTS[rest.removesuffix('.weight')]}.weight"


def _interleaved(weight: Any, heads: int) -> Any:
    """llama.cpp turns neighbouring pairs, transformers' Llama halves."""
    rows, columns = weight.shape
    halves = weight.reshape(heads, 2, rows // heads // 2, columns)
    return halves.transpose(1, 2).reshape(rows, columns)
