"""A mixture of experts of true shape with random weights, and the same shape for llama.cpp."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.random_model import WORDS_FILES, add_vocabulary
from benchmarks.true_shape import noise, put

SHAPE: dict[str, Any] = {
    "model_type": "qwen3_moe",
    "architectures": ["Qwen3MoeForCausalLM"],
    "hidden_size": 2048,
    "intermediate_size": 6144,
    "moe_intermediate_size": 768,
    "num_experts": 128,
    "num_experts_per_tok": 8,
    "num_attention_heads": 32,
    "num_key_value_heads": 4,
    "head_dim": 128,
    "vocab_size": 151936,
    "max_position_embeddings": 40960,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000.0,
    "norm_topk_prob": True,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
    "hidden_act": "silu",
    "attention_bias": False,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}
"""That of Qwen3-30B-A3B but for its 48 layers."""

NAME = "30b-a3b"
_HIDDEN, _WIDTH = SHAPE["hidden_size"], SHAPE["moe_intermediate_size"]
_QUERIES = SHAPE["num_attention_heads"] * SHAPE["head_dim"]
_KEYS = SHAPE["num_key_value_heads"] * SHAPE["head_dim"]
_TOKENS = 320
"""Those of `benchmarks/support/tiny.py`, whose words such a checkpoint has."""

_LAYER: dict[str, tuple[str, tuple[int, ...]]] = {
    "input_layernorm": ("attn_norm", (_HIDDEN,)),
    "post_attention_layernorm": ("ffn_norm", (_HIDDEN,)),
    "self_attn.q_norm": ("attn_q_norm", (SHAPE["head_dim"],)),
    "self_attn.k_norm": ("attn_k_norm", (SHAPE["head_dim"],)),
    "self_attn.q_proj": ("attn_q", (_QUERIES, _HIDDEN)),
    "self_attn.k_proj": ("attn_k", (_KEYS, _HIDDEN)),
    "self_attn.v_proj": ("attn_v", (_KEYS, _HIDDEN)),
    "self_attn.o_proj": ("attn_output", (_HIDDEN, _QUERIES)),
    "mlp.gate": ("ffn_gate_inp", (SHAPE["num_experts"], _HIDDEN)),
}
_EXPERT: dict[str, tuple[str, tuple[int, ...]]] = {
    "gate_proj": ("ffn_gate_exps", (_WIDTH, _HIDDEN)),
    "up_proj": ("ffn_up_exps", (_WIDTH, _HIDDEN)),
    "down_proj": ("ffn_down_exps", (_HIDDEN, _WIDTH)),
}
_ENDS = {
    "model.embed_tokens": ("token_embd", (SHAPE["vocab_size"], _HIDDEN)),
    "lm_head": ("output", (SHAPE["vocab_size"], _HIDDEN)),
    "model.norm": ("output_norm", (_HIDDEN,)),
}


def _tensors(layers: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes as Qwen publishes them."""
    for name, (_, shape) in _ENDS.items():
        yield f"{name}.weight", shape
    for number in range(layers):
        block = f"model.layers.{number}."
        for name, (_, shape) in _LAYER.items():
            yield f"{block}{name}.weight", shape
        for expert in range(SHAPE["num_experts"]):
            for name, (_, shape) in _EXPERT.items():
                yield f"{block}mlp.experts.{expert}.{name}.weight", shape


def write(folder: Path, words: Path, layers: int) -> None:
    """A checkpoint in bf16 with the words of another."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in WORDS_FILES:
        if (words / name).exists():
            shutil.copy(words / name, folder / name)
    config = json.loads((words / "config.json").read_text())
    config.pop("rope_parameters", None)
    write_weights(folder, layers, config)


def write_weights(folder: Path, layers: int, more: dict[str, Any], is_sparse: bool = False) -> None:
    """Its weights, and a config.json that says ``more`` than the shape. ``is_sparse``: the experts
    are zeros that take no room on the disk, and all of them are chosen, for what only counts
    memory."""
    zeros, given = (".experts.", _choosers()) if is_sparse else ("", {})
    put(folder / "model.safetensors", _tensors(layers), zeros, given)
    config = more | SHAPE | {"num_hidden_layers": layers}
    (folder / "config.json").write_text(json.dumps(config))


def _choosers() -> dict[str, bytes]:
    """A router that sends each token to experts of its own, and the norm before it. As the experts
    add nothing, what it sees is nearly the token's embedding: an expert has the sum of the
    embeddings of those tokens that choose it, every sixteenth."""
    import numpy

    known = (numpy.frombuffer(noise(), "<u2").astype("<u4") << 16).view("<f4")
    words = known.reshape(-1, _HIDDEN)[:_TOKENS]
    each = SHAPE["num_experts_per_tok"]
    groups = SHAPE["num_experts"] // each
    rows = numpy.stack([words[group::groups].sum(0) for group in range(groups)]).repeat(each, 0)
    ones = numpy.ones(_HIDDEN, "<f4")
    router, norm = ((one.view("<u4") >> 16).astype("<u2").tobytes() for one in (rows, ones))
    return {"mlp.gate.weight": router, "post_attention_layernorm.weight": norm}


def to_gguf(target: Path, layers: int, kind: str) -> None:
    """The same shape as GGUF in BF16, Q8_0 or Q4_0, words left out: the values, which change
    nothing of what a token costs, are one piece of noise for all tensors of a shape."""
    import gguf
    import numpy

    writer = gguf.GGUFWriter(str(target), "qwen3moe")
    writer.add_context_length(SHAPE["max_position_embeddings"])
    writer.add_embedding_length(_HIDDEN)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(SHAPE["intermediate_size"])
    writer.add_expert_feed_forward_length(_WIDTH)
    writer.add_expert_count(SHAPE["num_experts"])
    writer.add_expert_used_count(SHAPE["num_experts_per_tok"])
    writer.add_head_count(SHAPE["num_attention_heads"])
    writer.add_head_count_kv(SHAPE["num_key_value_heads"])
    writer.add_key_length(SHAPE["head_dim"])
    writer.add_value_length(SHAPE["head_dim"])
    writer.add_rope_freq_base(SHAPE["rope_theta"])
    writer.add_layer_norm_rms_eps(SHAPE["rms_norm_eps"])
    add_vocabulary(writer, SHAPE["vocab_size"])
    random = (numpy.frombuffer(noise(), "<u2").astype("<u4") << 16).view("<f4")
    made: dict[tuple[Any, ...], Any] = {}

    def values(shape: tuple[int, ...], type_: Any) -> Any:
        rows = numpy.resize(random, (min(shape[0], 1024), *shape[1:]))
        if (shape, type_) not in made:
            packed = gguf.quantize(rows, type_)
            made[shape, type_] = numpy.resize(packed, (shape[0], *packed.shape[1:]))
        return made[shape, type_]

    types = gguf.GGMLQuantizationType
    wide = types["Q8_0" if kind == "Q4_0" else kind]
    for name, shape in _ENDS.values():
        type_ = types.F32 if len(shape) == 1 else wide
        writer.add_tensor(f"{name}.weight", values(shape, type_), raw_dtype=type_)
    for number in range(layers):
        for name, shape in _LAYER.values():
            type_ = types.F32 if len(shape) == 1 or name == "ffn_gate_inp" else types[kind]
            writer.add_tensor(f"blk.{number}.{name}.weight", values(shape, type_), raw_dtype=type_)
        for name, shape in _EXPERT.values():
            one = values(shape, types[kind])
            all_ = numpy.broadcast_to(one, (SHAPE["num_experts"], *one.shape))
            writer.add_tensor(f"blk.{number}.{name}.weight", all_, raw_dtype=types[kind])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
