"""Numbers of a config.json that a model is computed with, and what they can be: a rotary base of
zero, or more experts chosen than there are, would compute nonsense without an error."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from tui.checkpoints.errors import CheckpointError

_ABOVE_ZERO = frozenset((
    *("rope_theta", "rope_local_base_freq", "rotary_emb_base", "global_rope_theta"),
    *("local_rope_theta", "rope_ratio", "original_max_position_embeddings", "logits_scaling"),
    *("query_pre_attn_scalar", "attn_logit_softcapping", "final_logit_softcapping"),
    *("embedding_multiplier", "attention_multiplier", "residual_multiplier"),
    *("routed_scaling_factor", "scale_emb", "scale_depth", "logit_scale", "dim_model_base"),
))  # fmt: skip
"""Keys whose numbers are above zero."""
_ABOVE_ZERO_OF_POSITIONS = _ABOVE_ZERO | {
    *("factor", "alpha", "attention_factor", "low_freq_factor", "high_freq_factor"),
    *("beta_fast", "beta_slow", "short_factor", "long_factor"),
}
"""The same where it is said how positions are scaled; the last two are lists."""
_BELOW_ONE = frozenset((
    *("rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "layernorm_epsilon", "norm_eps"),
    "norm_epsilon",
))  # fmt: skip
"""Keys whose numbers are zero or little above."""
_SHARES = frozenset(("partial_rotary_factor", "rotary_pct"))
"""Keys whose numbers are above zero and at most one."""
_SIZES = frozenset((
    *("head_dim", "global_head_dim", "sliding_window", "attention_chunk_size", "kv_channels"),
    *("qk_rope_head_dim", "qk_nope_head_dim", "v_head_dim", "kv_lora_rank", "conv_L_cache"),
    *("num_key_value_heads", "num_attention_heads", "linear_conv_kernel_dim"),
    *("linear_num_key_heads", "linear_num_value_heads", "linear_key_head_dim"),
    *("linear_value_head_dim", "rotary_dim", "n_group", "topk_group"),
))  # fmt: skip
"""Keys whose numbers are whole and above zero."""
_POSITIONS = ("rope_parameters", "rope_scaling")
"""Keys of how positions are scaled; of some types for each kind of layer."""
_EXPERTS = ("num_experts", "n_routed_experts", "num_local_experts", "moe_num_experts")
_MOST_EXPERTS = 1 << 14
_CHOSEN = ("num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_k", "top_k_experts")


def check_numbers(config: Mapping[str, Any]) -> None:
    """Look at the numbers of a config.json and of the text half in it.

    Raises:
        CheckpointError: one cannot be (``damaged``).
    """
    inner = config.get("text_config")
    for part in (config, inner) if isinstance(inner, dict) else (config,):
        for key, value in _numbers(part):
            if not _can_be(key, value):
                raise CheckpointError("damaged", f"config.json: {key} cannot be {_shown(value)}")
        _check_heads(part)
        _check_experts(part)


def _numbers(part: Mapping[str, Any], of_positions: bool = False) -> Iterator[tuple[str, Any]]:
    """Keys whose values can be wrong and what these are, as deep as positions lie."""
    above = _ABOVE_ZERO_OF_POSITIONS if of_positions else _ABOVE_ZERO
    for key, value in part.items():
        is_unused = key == "sliding_window" and part.get("use_sliding_window") is False
        if value is None or is_unused:
            continue
        if isinstance(value, dict) and (of_positions or key in _POSITIONS):
            yield from _numbers(value, of_positions=True)
        elif isinstance(value, list) and key in above:
            yield from ((key, one) for one in value)
        elif not isinstance(value, list) and key in above | _BELOW_ONE | _SHARES | _SIZES:
            yield key, value


def _can_be(key: str, value: Any) -> bool:
    if key in _SIZES:
        return type(value) is int and value > 0
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return False
    if key in _BELOW_ONE:
        return 0 <= value < 1
    return 0 < value <= 1 if key in _SHARES else value > 0


def _shown(value: Any) -> str:
    return str(value)[:40]


def _check_heads(part: Mapping[str, Any]) -> None:
    width = part.get("head_dim")
    if type(width) is int and width % 2 and any(part.get(k) for k in ("rope_theta", *_POSITIONS)):
        # Positions turn the values of a head in pairs.
        raise CheckpointError("damaged", f"config.json: head_dim cannot be {width}")
    heads, shared = part.get("num_attention_heads"), part.get("num_key_value_heads")
    # Latent attention has no heads of keys and values.
    if type(heads) is not int or type(shared) is not int or part.get("kv_lora_rank"):
        return
    if heads % shared:
        raise CheckpointError(
            "damaged", f"config.json: {heads} attention heads cannot share {shared} key-value heads"
        )


def _check_experts(part: Mapping[str, Any]) -> None:
    count = _first(part, _EXPERTS)
    chosen = _first(part, _CHOSEN)
    if count is None or chosen is None or (count, chosen) == (0, 0):
        return
    if count > _MOST_EXPERTS:
        raise CheckpointError("damaged", f"config.json: {count} experts cannot be")
    groups, of_them = part.get("n_group") or 1, part.get("topk_group") or 1
    if of_them > groups or count % groups:
        raise CheckpointError(
            "damaged",
            f"config.json: {of_them} of {groups} groups of {count} experts cannot be chosen",
        )
    if chosen < 1 or chosen > count:
        raise CheckpointError(
            "damaged", f"config.json: {chosen} of {count} experts cannot be chosen for a token"
        )


def _first(part: Mapping[str, Any], keys: tuple[str, ...]) -> int | None:
    return next((part[key] for key in keys if type(part.get(key)) is int), None)
