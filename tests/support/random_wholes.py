"""Tiny models of any type that also sees or hears, with random weights: the sizes of the type's own
configuration, each made small by its name."""

from pathlib import Path
from typing import Any

SMALL: dict[str, Any] = {
    **dict.fromkeys(("hidden_size", "d_model", "embed_dim", "dim", "out_hidden_size"), 32),
    **dict.fromkeys(("output_dim", "projection_dim", "text_hidden_size", "conv_dim"), 32),
    **dict.fromkeys(("intermediate_size", "intermediate_size_mlp", "ffn_dim", "mlp_dim"), 48),
    **dict.fromkeys(("encoder_ffn_dim", "decoder_ffn_dim"), 48),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size"), 16),
    **dict.fromkeys(("num_hidden_layers", "depth", "num_layers", "n_layers"), 2),
    **dict.fromkeys(("encoder_layers", "decoder_layers"), 2),
    **dict.fromkeys(("num_attention_heads", "num_heads", "attention_heads"), 4),
    **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 4),
    **dict.fromkeys(("num_experts", "n_routed_experts", "num_local_experts"), 4),
    **dict.fromkeys(("moe_num_experts", "linear_num_value_heads", "mamba_num_heads"), 4),
    **dict.fromkeys(("num_experts_per_tok", "moe_k", "num_key_value_heads", "patch_size"), 2),
    **dict.fromkeys(("linear_num_key_heads", "altup_num_inputs"), 2),
    **dict.fromkeys(("head_dim", "global_head_dim", "qk_rope_head_dim", "qk_nope_head_dim"), 8),
    **dict.fromkeys(("v_head_dim", "linear_key_head_dim", "linear_value_head_dim"), 8),
    **dict.fromkeys(("image_size", "laurel_rank", "ssm_state_size", "num_mel_bins"), 8),
    **dict.fromkeys(("q_lora_rank", "kv_lora_rank", "hidden_size_per_layer_input"), 16),
    **dict.fromkeys(("max_source_positions", "mamba_head_dim", "codebook_size"), 16),
    **dict.fromkeys(("n_group", "topk_group", "first_k_dense_replace", "n_shared_experts"), 1),
    **dict.fromkeys(("n_groups", "num_global_layers", "bos_token_id"), 1),
    **dict.fromkeys(("vocab_size", "vocab_size_per_layer_input"), 320),
    "max_position_embeddings": 256,
    "initializer_range": 0.2,
    "num_kv_shared_layers": 0,
    "pad_token_id": 0,
    "eos_token_id": 2,
}
_LAYERS = ("num_hidden_layers", "depth", "num_layers")
_POSITIONS = ("rope_parameters", "rope_scaling")


def small(said: dict[str, Any]) -> dict[str, Any]:
    """A configuration with sizes of `SMALL`, in each of its parts; of a list with an entry for each
    layer the first and the last."""
    layers = next((said[key] for key in _LAYERS if isinstance(said.get(key), int)), 0)
    made: dict[str, Any] = {}
    for key, value in said.items():
        is_size = isinstance(value, int | float) and not isinstance(value, bool)
        if key in _POSITIONS and isinstance(value, dict):
            section = value.get("mrope_section")
            made[key] = value | ({"mrope_section": [2, 1, 1]} if section else {})
        elif isinstance(value, dict):
            made[key] = small(value)
        elif key == "deepstack_visual_indexes":
            made[key] = [0]
        elif key == "cross_attention_layers":
            made[key] = [1]
        elif key in SMALL and is_size:
            made[key] = SMALL[key]
        elif key in SMALL and isinstance(value, list):
            made[key] = [SMALL[key]] * min(2, len(value))
        elif isinstance(value, list) and len(value) == layers > 2:
            made[key] = [value[0], value[-1]]
        else:
            made[key] = value
    return made


_LARGEST = 1 << 20


def random_whole(kind: str, **text: Any) -> Any:
    """The model of a type, with changes of its text half's configuration; raises whatever
    transformers raises where sizes do not go together. What stays large in the other halves is
    neither filled nor saved (`save_small`)."""
    import torch
    from transformers import AutoConfig, AutoModelForMultimodalLM
    from transformers.initialization import no_init_weights

    torch.manual_seed(0)
    usual = AutoConfig.for_model(kind)
    said = small(usual.to_dict())
    for key in ("model_type", "architectures"):
        said.pop(key, None)
    if text:
        said["text_config"] |= text
    with no_init_weights():
        model = AutoModelForMultimodalLM.from_config(type(usual)(**said)).eval()
    for one in model.parameters():
        if one.numel() <= _LARGEST:
            torch.nn.init.normal_(one, 0, 0.2)
    return model


def save_small(model: Any, folder: Path) -> None:
    """Write the checkpoint of a model without what is large in it."""
    held = {name: one for name, one in model.state_dict().items() if one.numel() <= _LARGEST}
    model.save_pretrained(folder, state_dict=held)
