"""How much of a model int8 and int4 reach: told by names alone, and what is done."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.random_models import LATENT, LINEAR, ROUTED, random_model
from tui.checkpoints.memory_estimate import MemoryShape, reached_share, weights_bytes
from tui.checkpoints.reach import count_unreached, reach_remark
from tui.models.inspect import inspect_folder
from tui.worker.load.checkpoint_folder import open_folder
from tui.worker.load.families import family_of
from tui.worker.load.loader import model_spec_of, open_checkpoint
from tui.worker.load.prepare import prepare_model, reached_weights

KINDS: dict[str, dict[str, Any]] = {
    "llama": {},
    "gpt2": {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 64},
    "bloom": {"n_layer": 2, "n_head": 4},
    "qwen3_moe": ROUTED | {"decoder_sparse_step": 1},
    "qwen3_next": LINEAR | ROUTED | {"shared_expert_intermediate_size": 32},
    "deepseek_v3": ROUTED | LATENT | {"head_dim": 8},
    "gpt_oss": ROUTED | {"layer_types": ["sliding_attention", "full_attention"] * 2},
    "llama4_text": ROUTED | {"intermediate_size_mlp": 96},
    "mamba": {"num_hidden_layers": 2},
    "mamba2": {
        "num_hidden_layers": 2,
        "num_heads": 8,
        "head_dim": 16,
        "state_size": 16,
        "n_groups": 1,
    },
    "falcon_h1": {
        "mamba_d_ssm": 64,
        "mamba_n_heads": 4,
        "mamba_d_head": 16,
        "mamba_n_groups": 1,
        "mamba_d_state": 16,
    },
    "lfm2": {"layer_types": ["conv", "full_attention"] * 2},
    "granitemoe": ROUTED,
    "rwkv": {"num_hidden_layers": 2, "attention_hidden_size": 64},
}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_names_tell_what_the_formats_reach(kind: str, tmp_path: Path) -> None:
    random_model(kind, **({"head_dim": 16} | KINDS[kind])).save_pretrained(tmp_path)
    folder = open_folder(tmp_path)
    empty = model_spec_of(folder, family_of(folder.architecture.family)).empty
    reached, every = reached_weights(empty)
    kept, rows = count_unreached(folder.tensors, folder.architecture)
    told = folder.parameters - kept - rows
    words = folder.architecture.vocab * folder.architecture.hidden
    # Norms and biases have one dimension; of a tied head the words are the weights.
    assert (told - words) / (folder.parameters - words - rows) == pytest.approx(
        reached / every, abs=0.03
    )


def test_what_is_little_reached_is_said_at_load(tmp_path: Path) -> None:
    from benchmarks.support import tiny

    random_model("gpt2", n_embd=64, n_layer=2, n_head=4, n_positions=64).save_pretrained(tmp_path)
    tiny.write_tokenizer(tmp_path)
    _, _, remarks = prepare_model(open_checkpoint(tmp_path), "int4", lambda done, total: None)
    assert any(one.startswith("int8 and int4 reach 0% of this model") for one in remarks)
    assert reach_remark(0.95) == ""


def test_rows_of_further_tables_are_no_weights_that_an_answer_reads() -> None:
    shape = MemoryShape(4, 2, 16, 64, 96, 320, stored="bf16", tables=1_000_000)
    plain = MemoryShape(4, 2, 16, 64, 96, 320, stored="bf16")
    for dtype in ("bf16", "int8", "int4"):
        assert weights_bytes(3_000_000, dtype, shape) == weights_bytes(2_000_000, dtype, plain)
    assert weights_bytes(3_000_000, "fp32", shape) == 12_000_000
    assert reached_share(3_000_000, shape) == 1


def test_per_layer_embeddings_are_tables(tmp_path: Path) -> None:
    random_model(
        "gemma3n_text",
        head_dim=16,
        num_kv_shared_layers=0,
        layer_types=["sliding_attention", "full_attention"] * 2,
        laurel_rank=8,
        hidden_size_per_layer_input=16,
        vocab_size_per_layer_input=320,
        activation_sparsity_pattern=[0.0] * 4,
        altup_num_inputs=2,
    ).save_pretrained(tmp_path)
    assert inspect_folder(tmp_path).tables == 320 * 4 * 16
