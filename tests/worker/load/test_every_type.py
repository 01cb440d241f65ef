"""Every kind of model that people compared in 2026, tiny and random: the same numbers as the class
of transformers, next tokens in int8 and int4 within a stated divergence of those in bf16, and an
answer in every format."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.support import tiny
from tests.support.random_models import LATENT, LINEAR, ROUTED, random_model
from tui.cli import run_command_line as run
from tui.worker.load.loader import open_checkpoint, open_weights
from tui.worker.load.prepare import prepare_model

EXPERTS = ROUTED | {"shared_expert_intermediate_size": 32}
PLAIN = (
    *("qwen2", "qwen3", "glm4", "internlm3", "hunyuan_v1_dense", "ernie4_5", "seed_oss", "smollm3"),
    *("phi3", "olmo3", "exaone4", "ministral3", "llama", "gemma4_unified_text"),
)
CAPPED = {"final_logit_softcapping": 2.0}
FARTHEST = {"int8": 0.02, "int4": 0.25}
"""The mean Kullback-Leibler divergence from bf16, in nats. Where one kind comes near it another
choice of experts has tipped over, or (linear attention) a state is far from where it was."""
_RANGE = 0.1
"""The deviation of the weights. With 0.2 some of these models are no measure: of Zamba2 rounding
the weights to bf16 alone costs 0.004, and to 8 bits, computed by its own class in fp32, 0.09."""
SHARED: dict[str, Any] = {
    "layers_block_type": ["mamba", "hybrid"] * 2,
    "n_mamba_heads": 8,
    "mamba_d_state": 16,
    "adapter_rank": 8,
    "num_key_value_heads": 4,
}
"""Of Zamba2: two layers of one weight."""
TYPES: dict[str, dict[str, Any]] = {kind: {} for kind in PLAIN} | {
    "gemma2": CAPPED | {"attn_logit_softcapping": 5.0, "sliding_window": 8},
    "gemma3_text": CAPPED | {"attn_logit_softcapping": 5.0, "sliding_window": 8},
    "gemma4_text": CAPPED,
    "granite": {
        "logits_scaling": 0.5,
        "embedding_multiplier": 12.0,
        "attention_multiplier": 0.1,
        "residual_multiplier": 0.3,
    },
    "cohere2": {"logit_scale": 0.3, "sliding_window": 8},
    "rwkv": {"num_hidden_layers": 2, "attention_hidden_size": 64},
    "zamba2": SHARED,
    "qwen3_moe": EXPERTS | {"decoder_sparse_step": 1},
    "qwen3_next": LINEAR | EXPERTS,
    "qwen3_5_text": LINEAR,
    "qwen3_5_moe_text": LINEAR | EXPERTS,
    "qwen4_exp_text": LINEAR
    | EXPERTS
    | {
        "ple_embed_dim": 16,
        "ple_layer_ids": [1],
        "ngram_vocab_size_base": 64,
        "make_ngram_vocab_size_divisible_by": 8,
        "split_ngram_parts": 2,
        "heads_per_ngram": 2,
        "hc_lowrank": 8,
        "indexer_n_heads": 2,
        "indexer_kv_heads": 1,
        "indexer_head_dim": 16,
        "indexer_budget": 16,
        "indexer_compress_ratio": 4,
    },
    "glm4_moe": EXPERTS,
    "glm4_moe_lite": EXPERTS | LATENT,
    "deepseek_v2": EXPERTS | LATENT | {"moe_layer_freq": 1},
    "deepseek_v3": EXPERTS | LATENT | {"head_dim": 8},
    "deepseek_v4": EXPERTS,
    "minicpm3": LATENT,
    "hunyuan_v1_moe": EXPERTS | {"moe_topk": 2},
    "hy_v3": EXPERTS,
    "ernie4_5_moe": EXPERTS | {"moe_num_experts": 4, "moe_k": 2, "moe_layer_start_index": 1},
    "gpt_oss": EXPERTS | {"layer_types": ["sliding_attention", "full_attention"] * 2},
    "inkling_text": EXPERTS | {"logits_mup_width_multiplier": 1.0},
    "inkling2_text": EXPERTS
    | {
        "swa_num_attention_heads": 4,
        "swa_num_key_value_heads": 2,
        "swa_head_dim": 16,
        "layer_types": ["hybrid_sliding", "hybrid"] * 2,
        "sliding_window_size": 8,
        "unpadded_vocab_size": 320,
        "d_rel": 8,
        "rel_extent": 32,
        "n_layers_per_attn_res_block": 2,
    },
    "minimax_m2": EXPERTS,
    "mimo_v2_flash": EXPERTS,
    "llama4_text": EXPERTS | {"intermediate_size_mlp": 96},
    "dots1": EXPERTS,
    "youtu": LATENT | {"head_dim": 8},
    "lfm2": {"layer_types": ["conv", "full_attention"] * 2},
    "falcon_h1": {
        "mamba_d_ssm": 64,
        "mamba_n_heads": 4,
        "mamba_d_head": 16,
        "mamba_n_groups": 1,
        "mamba_d_state": 16,
    },
    "gemma3n_text": {
        "num_kv_shared_layers": 2,
        "layer_types": ["sliding_attention", "full_attention"] * 2,
        "laurel_rank": 8,
        "hidden_size_per_layer_input": 16,
        "vocab_size_per_layer_input": 320,
        "activation_sparsity_pattern": [0.5] * 4,
        "altup_num_inputs": 2,
    },
    "openai-gpt": {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 512},
}


def write(folder: Path, kind: str) -> Any:
    """A checkpoint of a type as transformers writes it; the model itself."""
    model = random_model(kind, **({"head_dim": 16, "initializer_range": _RANGE} | TYPES[kind]))
    with torch.no_grad():
        for name, one in model.named_parameters():
            # Routers decide at once: rounding changes no choice.
            if name.endswith(("mlp.gate.weight", "router.weight")) and one.dim() == 2:
                one.mul_(10)
    model.save_pretrained(folder)
    tiny.write_tokenizer(folder)
    return model.float()


def next_tokens(folder: Path, dtype: str) -> torch.Tensor:
    """The logarithms of their probabilities behind each token of a text."""
    model, _, _ = prepare_model(open_checkpoint(folder), dtype, lambda done, total: None)
    with torch.inference_mode():
        return (
            model(input_ids=torch.tensor([[3, 17, 5, 80, 2, 44] * 4]))
            .logits.float()
            .log_softmax(-1)
        )


@pytest.mark.parametrize("dtype", ["bf16", "int8"])
@pytest.mark.parametrize("kind", ["mamba", "mamba2"])
def test_code_that_reads_the_weight_of_a_layer_finds_it(
    kind: str, dtype: str, tmp_path: Path
) -> None:
    sizes = {"num_heads": 8, "head_dim": 16, "state_size": 16, "n_groups": 1}
    changes = {"num_hidden_layers": 1} | (sizes if kind == "mamba2" else {})
    random_model(kind, **changes).save_pretrained(tmp_path)
    tiny.write_tokenizer(tmp_path)
    exact = open_checkpoint(tmp_path).build("fp32", lambda done, total: None)
    for _ in range(2):  # made, then loaded as it was kept
        found = next_tokens(tmp_path, dtype)
        with torch.inference_mode():
            wanted = exact(input_ids=torch.tensor([[3, 17, 5, 80, 2, 44] * 4])).logits
        assert (found - wanted.log_softmax(-1)).abs().mean() < 0.1 * wanted.std()


def test_norms_that_layers_share_are_kept_with_the_reduced_weights(tmp_path: Path) -> None:
    random_model("zamba2", **SHARED).save_pretrained(tmp_path)
    tiny.write_tokenizer(tmp_path)
    for _ in range(2):  # made, then loaded as it was kept
        model, _, _ = prepare_model(open_checkpoint(tmp_path), "int8", lambda done, total: None)
        for layer in (1, 3):
            shared = model.model.layers[layer].shared_transformer
            assert shared.input_layernorm.weight.eq(1).all(), layer


@pytest.mark.slow
@pytest.mark.parametrize("kind", TYPES)
def test_it_computes_what_its_class_does_and_answers_in_every_format(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = write(tmp_path / kind, kind)
    _, ours = open_weights(tmp_path / kind, "fp32")
    ids = torch.tensor([[3, 17, 5, 80, 2, 44]])
    with torch.no_grad():
        expected, found = theirs(input_ids=ids).logits, ours(input_ids=ids).logits
    assert expected.std() > 0.1
    assert (found - expected).abs().max() < 1e-4
    del theirs, ours
    wanted = next_tokens(tmp_path / kind, "bf16")
    for dtype, most in FARTHEST.items():
        found = next_tokens(tmp_path / kind, dtype)
        divergence = float((wanted.exp() * (wanted - found)).sum(-1).mean())
        assert divergence < most, dtype
    models = [f"{tmp_path / kind}@{dtype}" for dtype in ("bf16", "int8", "int4")]
    (tmp_path / "asked.txt").write_text("hello\n")
    asked = ["--questions", str(tmp_path / "asked.txt"), "--max-new-tokens", "4"]
    code = run(["run", *models, *asked, "--json"])
    told = json.loads(capsys.readouterr().out)["models"]
    assert [one["error"] for one in told] == [None] * 3
    assert [answer["state"] for one in told for answer in one["answers"]] == ["answered"] * 3
    assert code == 0


def test_reduced_weights_keep_the_biases_of_a_router(tmp_path: Path) -> None:
    theirs = write(tmp_path / "model", "glm4_moe")
    router = "model.layers.1.mlp.gate.e_score_correction_bias"
    theirs.get_buffer(router).copy_(torch.tensor([0.5, -1.0, 2.0, 0.25]))
    theirs.save_pretrained(tmp_path / "model")
    for _ in range(2):  # made, then loaded as it was kept
        checkpoint = open_checkpoint(tmp_path / "model")
        ours, _, _ = prepare_model(checkpoint, "int8", lambda done, total: None)
        assert ours.get_buffer(router).float().equal(theirs.get_buffer(router).float())
