"""Small GGUF files of several architectures, with the tensors and keys that llama.cpp asks for."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support.small_gguf import HEADS, HIDDEN, KV, LAYERS, TIMES, write_gguf

HEAD = HIDDEN // HEADS
EXPERTS, EXPERT_WIDTH = 4, 64
INNER, STATE, CONV, RANK = 128, 16, 4, 4
"""Of a state space."""
LATENT, TURNED, PLAIN = 32, 8, 16
"""Of DeepSeek's attention: width of the joint keys and values, of their turned part, of a head."""

Shapes = Mapping[str, Sequence[int]]
_GATED = ("ffn_gate", "ffn_up", "ffn_down")
_SEPARATE = ("attn_q", "attn_k", "attn_v")
_Q_AND_K_NORM: Shapes = {"attn_q_norm.weight": (HEAD,), "attn_k_norm.weight": (HEAD,)}
_JOINED: Shapes = {
    "attn_qkv.weight": ((HEADS + 2 * KV) * HEAD, HIDDEN),
    "ffn_up.weight": (2 * TIMES * HIDDEN, HIDDEN),
}
_AFTER: Shapes = {"post_attention_norm.weight": (HIDDEN,), "post_ffw_norm.weight": (HIDDEN,)}
_EXPERTS: Shapes = {
    "ffn_gate_inp.weight": (EXPERTS, HIDDEN),
    "ffn_gate_exps.weight": (EXPERTS, EXPERT_WIDTH, HIDDEN),
    "ffn_up_exps.weight": (EXPERTS, EXPERT_WIDTH, HIDDEN),
    "ffn_down_exps.weight": (EXPERTS, HIDDEN, EXPERT_WIDTH),
}
_SHARED: Shapes = {
    "ffn_gate_shexp.weight": (EXPERT_WIDTH, HIDDEN),
    "ffn_up_shexp.weight": (EXPERT_WIDTH, HIDDEN),
    "ffn_down_shexp.weight": (HIDDEN, EXPERT_WIDTH),
}
_CHOOSING = {
    "expert_count": EXPERTS,
    "expert_used_count": 2,
    "expert_feed_forward_length": EXPERT_WIDTH,
}


def _model(
    more: Shapes | None = None,
    without: Sequence[str] = (),
    keys: Mapping[str, Any] | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """``more`` and ``without`` are tensors of each layer, ``keys`` behind the architecture's
    name."""
    return {"more": more or {}, "without": without, "keys": keys or {}, **changes}


ARCHITECTURES: dict[str, dict[str, Any]] = {
    "llama": _model(),
    "llama of experts": _model(
        _EXPERTS, _GATED, {**_CHOOSING, "feed_forward_length": EXPERT_WIDTH}
    ),
    "qwen2": _model(biases=True),
    "qwen2moe": _model(
        {**_EXPERTS, **_SHARED, "ffn_gate_inp_shexp.weight": (HIDDEN,)},
        _GATED,
        {**_CHOOSING, "expert_shared_feed_forward_length": EXPERT_WIDTH},
        biases=True,
    ),
    "qwen3": _model(_Q_AND_K_NORM),
    "qwen3moe": _model({**_Q_AND_K_NORM, **_EXPERTS}, _GATED, _CHOOSING),
    "gemma2": _model(
        _AFTER,
        keys={
            "attention.sliding_window": 64,
            "attn_logit_softcapping": 50.0,
            "final_logit_softcapping": 30.0,
            "attention.key_length": HEAD,
            "attention.value_length": HEAD,
        },
        head="none",
    ),
    "gemma3": _model(
        {**_AFTER, **_Q_AND_K_NORM},
        keys={
            "attention.sliding_window": 64,
            "attention.key_length": HEAD,
            "attention.value_length": HEAD,
        },
        head="none",
    ),
    "phi3": _model(_JOINED, (*_SEPARATE, "ffn_gate", "ffn_up"), {"rope.dimension_count": HEAD}),
    "chatglm": _model(
        {**_JOINED, "attn_qkv.bias": ((HEADS + 2 * KV) * HEAD,)},
        (*_SEPARATE, "ffn_gate", "ffn_up"),
        {"rope.dimension_count": HEAD // 2},
    ),
    "internlm2": _model(),
    "deepseek2": _model(
        {
            "attn_q_a.weight": (LATENT, HIDDEN),
            "attn_q_a_norm.weight": (LATENT,),
            "attn_q_b.weight": (HEADS * (PLAIN + TURNED), LATENT),
            "attn_kv_a_mqa.weight": (LATENT + TURNED, HIDDEN),
            "attn_kv_a_norm.weight": (LATENT,),
            "attn_kv_b.weight": (HEADS * 2 * PLAIN, LATENT),
            "attn_output.weight": (HIDDEN, HEADS * PLAIN),
            **_EXPERTS,
            **_SHARED,
        },
        (*_SEPARATE, "attn_output", *_GATED),
        {
            **_CHOOSING,
            "expert_shared_count": 1,
            "expert_weights_scale": 1.0,
            "leading_dense_block_count": 0,
            "attention.head_count_kv": HEADS,
            "attention.q_lora_rank": LATENT,
            "attention.kv_lora_rank": LATENT,
            "attention.key_length": PLAIN + TURNED,
            "attention.value_length": PLAIN,
            "rope.dimension_count": TURNED,
        },
    ),
    "mamba": _model(
        {
            "ssm_in.weight": (2 * INNER, HIDDEN),
            "ssm_conv1d.weight": (INNER, CONV),
            "ssm_conv1d.bias": (INNER,),
            "ssm_x.weight": (RANK + 2 * STATE, INNER),
            "ssm_dt.weight": (INNER, RANK),
            "ssm_dt.bias": (INNER,),
            "ssm_a": (INNER, STATE),
            "ssm_d": (INNER,),
            "ssm_out.weight": (HIDDEN, INNER),
        },
        (*_SEPARATE, "attn_output", "ffn_norm", *_GATED),
        {
            "feed_forward_length": 0,
            "attention.head_count": 0,
            "attention.head_count_kv": 0,
            "ssm.conv_kernel": CONV,
            "ssm.inner_size": INNER,
            "ssm.state_size": STATE,
            "ssm.time_step_rank": RANK,
        },
    ),
    "baichuan": _model(),
}
"""By the name of the architecture, with a word behind where there are several of one."""


def write_architecture(path: Path, name: str, **metadata: Any) -> Path:
    """A small model of one of `ARCHITECTURES`; ``metadata``: further keys."""
    changes, arch = dict(ARCHITECTURES[name]), name.partition(" ")[0]
    of_each, left_out = changes.pop("more"), changes.pop("without")
    more = {f"blk.{n}.{tensor}": shape for n in range(LAYERS) for tensor, shape in of_each.items()}
    without = [f"blk.{n}.{tensor}" for n in range(LAYERS) for tensor in left_out]
    keys = {f"{arch}.{key}": value for key, value in changes.pop("keys").items()}
    return write_gguf(path, arch, more=more, without=without, metadata=keys | metadata, **changes)
