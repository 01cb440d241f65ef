"""Checkpoints of true shape with random weights, and the same weights as llama.cpp reads them."""

import json
import math
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.true_shape import put


@dataclass(frozen=True, slots=True)
class Size:
    """The shape of a Llama: hidden, layers, heads, key-value heads, feed-forward width."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    width: int
    vocab: int = 151936
    tied: bool = False

    @property
    def head_dim(self) -> int:
        """Width of a head."""
        return self.hidden // self.heads

    def layer(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of a layer's tensors."""
        found: dict[str, tuple[int, ...]] = {
            "input_layernorm.weight": (self.hidden,),
            "post_attention_layernorm.weight": (self.hidden,),
            "self_attn.o_proj.weight": (self.hidden, self.heads * self.head_dim),
            "mlp.down_proj.weight": (self.hidden, self.width),
        }
        for name, heads in (("q", self.heads), ("k", self.kv_heads), ("v", self.kv_heads)):
            found[f"self_attn.{name}_proj.weight"] = (heads * self.head_dim, self.hidden)
        for name in ("gate", "up"):
            found[f"mlp.{name}_proj.weight"] = (self.width, self.hidden)
        return found

    def tensors(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Names and shapes of all tensors."""
        yield "model.embed_tokens.weight", (self.vocab, self.hidden)
        if not self.tied:
            yield "lm_head.weight", (self.vocab, self.hidden)
        yield "model.norm.weight", (self.hidden,)
        for number in range(self.layers):
            for name, shape in self.layer().items():
                yield f"model.layers.{number}.{name}", shape

    def config(self) -> dict[str, object]:
        """What config.json says of it."""
        return {
            "hidden_size": self.hidden,
            "intermediate_size": self.width,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.head_dim,
            "vocab_size": self.vocab,
            "tie_word_embeddings": self.tied,
            "dtype": "bfloat16",
        }


SHAPES = {
    "0.5b": Size(896, 24, 14, 2, 4864),
    "1.5b": Size(1536, 28, 12, 2, 8960),
    "7b": Size(4096, 32, 32, 32, 11008),
}
"""Those of Qwen2.5-0.5B and 1.5B, and of Qwen-7B, without biases and with a head of its own."""

WORDS_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


def write(folder: Path, shape: str, words: Path, layers: int = 0) -> None:
    """A Llama of a shape in bf16, with the words of another checkpoint.

    One block of noise over and over: the values change nothing of what a token costs.
    """
    size = SHAPES[shape]
    size = replace(size, layers=layers or size.layers)
    config = json.loads((words / "config.json").read_text()) | size.config()
    folder.mkdir(parents=True, exist_ok=True)
    for name in WORDS_FILES:
        if (words / name).exists():
            shutil.copy(words / name, folder / name)
    put(folder / "model.safetensors", size.tensors())
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


def add_vocabulary(writer: Any, size: int) -> None:
    """Tokens without a meaning, ``size`` of them, for a GGUF file that is only computed with."""
    import gguf

    writer.add_vocab_size(size)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([f"<{n}>" for n in range(size)])
    writer.add_token_scores([0.0] * size)
    writer.add_token_types([gguf.TokenType.NORMAL] * size)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)


def to_gguf(checkpoint: Path, target: Path, kind: str = "BF16") -> None:
    """The weights of a Llama checkpoint as GGUF in BF16, Q8_0 or Q4_0 (norms in float32, with
    Q4_0 embeddings and head in Q8_0), words left out."""
    import gguf
    import numpy
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
    add_vocabulary(writer, vocab)
    (file,) = checkpoint.glob("*.safetensors")
    with safe_open(str(file), framework="pt") as stored:
        names = {name: _renamed(name) for name in stored.keys()}  # noqa: SIM118
        for name, other in names.items():
            part = stored.get_slice(name)
            shape, type_ = part.get_shape(), _type(part.get_shape(), other, kind)
            flat = len(shape) == 1
            raw = shape if flat else gguf.quant_shape_to_byte_shape(shape, type_)
            size, dtype = math.prod(raw) * (4 if flat else 1), "float32" if flat else "uint8"
            writer.add_tensor_info(other, raw, numpy.dtype(dtype), size, type_)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for name, other in names.items():
            tensor = stored.get_tensor(name)
            if name.endswith(("q_proj.weight", "k_proj.weight")):
                tensor = _interleaved(tensor, heads if "q_proj" in name else kv)
            type_ = _type(tensor.shape, other, kind)
            writer.write_tensor_data(gguf.quantize(tensor.float().numpy(), type_))
    writer.close()


def _type(shape: Sequence[int], name: str, kind: str) -> Any:
    """What a tensor is stored as."""
    import gguf

    if len(shape) == 1:
        return gguf.GGMLQuantizationType.F32
    is_head = name in ("token_embd.weight", "output.weight")
    return gguf.GGMLQuantizationType["Q8_0" if is_head and kind == "Q4_0" else kind]


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
