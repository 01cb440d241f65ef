"""Tiny mixtures of experts with random weights, as transformers writes them."""

from pathlib import Path
from typing import Any

from benchmarks.support import tiny
from tests.support.random_models import random_model

SIZES: dict[str, Any] = {
    "moe_intermediate_size": 96,
    "num_hidden_layers": 3,
    "head_dim": 16,
    "num_experts": 8,
    "num_local_experts": 8,
    "n_routed_experts": 8,
    "num_experts_per_tok": 2,
    "tie_word_embeddings": False,
}
"""What they take beside the sizes of every type."""
_LATENT = {
    "q_lora_rank": 32,
    "kv_lora_rank": 32,
    "qk_rope_head_dim": 16,
    "qk_nope_head_dim": 16,
    "v_head_dim": 16,
    "head_dim": 16,
    "num_key_value_heads": 4,
    "n_group": 2,
    "topk_group": 1,
    "first_k_dense_replace": 1,
    "n_shared_experts": 1,
}
KINDS: dict[str, dict[str, Any]] = {
    "qwen3_moe": {"decoder_sparse_step": 1},
    "qwen2_moe": {"shared_expert_intermediate_size": 96, "decoder_sparse_step": 1},
    "glm4_moe": {"first_k_dense_replace": 1, "n_group": 2, "topk_group": 1},
    "deepseek_v2": _LATENT | {"moe_layer_freq": 1},
    "deepseek_v3": _LATENT,
    "gpt_oss": {"layer_types": ["sliding_attention", "full_attention", "sliding_attention"]},
    "minimax_m2": {},
    "mixtral": {},
    "hunyuan_v1_moe": {"moe_topk": 2},
    "ernie4_5_moe": {"moe_num_experts": 8, "moe_k": 2, "moe_layer_start_index": 1},
    "dots1": {"first_k_dense_replace": 1, "n_shared_experts": 1, "n_group": 2, "topk_group": 1},
    "olmoe": {},
    "granitemoe": {},
}
"""Model types and what their configurations need beside `SIZES`."""


def write_mixture(folder: Path, kind: str, dtype: str = "bfloat16", **changes: Any) -> Path:
    """A checkpoint of a type with random weights, as published."""
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    model = random_model(kind, **(SIZES | KINDS.get(kind, {}) | changes))
    with torch.no_grad():
        for name, one in model.named_parameters():
            # Routers decide at once, so that rounding changes no choice.
            is_router = name.endswith(("gate.weight", "router.weight")) and one.dim() == 2
            if one.dim() > 1:
                one.normal_(0, 1.0 if is_router else 0.2)
    model.to(getattr(torch, dtype)).save_pretrained(folder)
    tiny.write_tokenizer(folder)
    return folder
