"""Mixtures of experts: the experts are read one by one, computed in every format, and kept."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from tests.support.kernels import needs_kernels
from tests.support.mixtures import KINDS, write_mixture
from tests.support.random_models import random_model
from tui.checkpoints.errors import CheckpointError
from tui.checkpoints.memory_estimate import loading_peak
from tui.models.describe import reach_of
from tui.models.inspect import inspect_folder
from tui.worker.load import deferred, kept_weights, prepare
from tui.worker.load.loader import open_checkpoint
from tui.worker.quant import choose_format
from tui.worker.quant.experts import Experts, apply_experts, expert_groups

PROMPT = [5, 17, 200, 31, 8, 99] * 4
NOTHING = lambda done, total: None  # noqa: E731
QUICK = ("qwen3_moe", "deepseek_v3", "gpt_oss", "hunyuan_v1_moe")
TURNS: dict[str, Any] = {
    "swa_num_attention_heads": 4,
    "swa_num_key_value_heads": 2,
    "swa_head_dim": 16,
    "d_rel": 8,
    "unpadded_vocab_size": 320,
    "n_layers_per_attn_res_block": 2,
    "rel_extent": 32,
}
"""Of Inkling 2."""
EVERY = [
    pytest.param(kind, marks=() if kind in QUICK else pytest.mark.slow) for kind in sorted(KINDS)
]


@pytest.fixture(autouse=True)
def two_threads() -> None:
    torch.set_num_threads(2)


def logits(model: Any, prompt: list[int] | None = None) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = model(torch.tensor([prompt or PROMPT])).logits[0].float()
    return found


def divergence(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """The mean Kullback-Leibler divergence of the next tokens."""
    p, q = wanted.log_softmax(-1), found.log_softmax(-1)
    return float((p.exp() * (p - q)).sum(-1).mean())


@pytest.mark.parametrize("kind", EVERY)
def test_a_mixture_says_in_every_format_what_its_class_says(kind: str, tmp_path: Path) -> None:
    folder = write_mixture(tmp_path, kind)
    checkpoint = open_checkpoint(folder)
    wanted = logits(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32))
    assert (logits(checkpoint.build("fp32", NOTHING)) - wanted).abs().max() < 1e-4
    # Of random weights: int8 and int4 lose more than with trained ones, and a choice of experts
    # may tip over.
    for dtype, most in (("bf16", 1e-4), ("int8", 0.25), ("int4", 1.2)):
        model, _, _ = prepare.prepare_model(checkpoint, dtype, NOTHING)
        assert divergence(logits(model), wanted) < most, dtype
        assert not list(expert_groups(model)), "every layer's experts are ours"
        assert any(isinstance(module, Experts) for module in model.modules())
        one = logits(model, PROMPT[:1])
        assert divergence(one, logits(checkpoint.build("fp32", NOTHING), PROMPT[:1])) < most


def test_experts_that_are_copied_for_bf16_are_in_the_plan(tmp_path: Path) -> None:
    turned = inspect_folder(write_mixture(tmp_path / "turned", "gpt_oss"))
    assert turned.transposed >= 3 * 8 * 3 * 64 * 96
    in_place = replace(turned.shape, transposed=0)
    more = [
        loading_peak(turned.parameters, dtype, turned.shape)
        - loading_peak(turned.parameters, dtype, in_place)
        for dtype in ("bf16", "int4")
    ]
    assert more == [pytest.approx(2 * turned.transposed * 1.04, abs=2), 0]
    assert inspect_folder(write_mixture(tmp_path / "in-place", "qwen3_moe")).transposed == 0


def test_layers_of_gpt_2_are_said_not_to_be_reached(tmp_path: Path) -> None:
    sizes = {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 64}
    random_model("gpt2", **sizes).save_pretrained(tmp_path)
    seen = inspect_folder(tmp_path)
    assert (seen.kept_wide, seen.tables) == (4 * 12 * 64 * 64, 512 * 64)
    assert reach_of(seen.parameters, seen.shape).startswith("int8 and int4 reach")


@pytest.mark.parametrize("dtype", ["int8", "int4"])
def test_what_is_kept_holds_the_experts(dtype: str, tmp_path: Path) -> None:
    checkpoint = open_checkpoint(write_mixture(tmp_path, "qwen3_moe"))
    made = prepare.prepare_model(checkpoint, dtype, NOTHING)[0]
    kept = prepare.prepare_model(checkpoint, dtype, NOTHING)[0]
    assert torch.equal(logits(made), logits(kept))
    reduced = prepare.model_nbytes(kept) / checkpoint.parameters
    # The tied formats of small matrices fill up tiles; embeddings stay in bfloat16.
    assert reduced < (1.2 if dtype == "int8" else 0.8)


def test_routers_and_the_choice_of_experts_stay_as_they_are(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(write_mixture(tmp_path, "qwen3_moe"))
    model = prepare.prepare_model(checkpoint, "int4", NOTHING)[0]
    stored = checkpoint.build("bf16", NOTHING)
    for mine, theirs in zip(model.model.layers, stored.model.layers, strict=True):
        assert torch.equal(mine.mlp.gate.weight, theirs.mlp.gate.weight)


def test_bf16_experts_lie_where_the_file_does(tmp_path: Path) -> None:
    if not choose_format.reads_bf16_in_place():
        pytest.skip("oneDNN has an order of its own here")
    checkpoint = open_checkpoint(write_mixture(tmp_path, "qwen3_moe"))
    read = checkpoint.build_deferred("bf16", NOTHING)
    weights = read.experts["model.layers.0.mlp.experts"]
    assert len(weights.up) == 8
    assert [tuple(part.shape) for part in weights.up[3].parts] == [(96, 64), (96, 64)]
    # One repeated zero stands in the model meanwhile.
    place = read.model.model.layers[0].mlp.experts.gate_up_proj
    assert place.untyped_storage().nbytes() == 2


@pytest.mark.parametrize("are_sorted_here", [True, False])
def test_experts_whose_gate_and_up_take_turns_row_by_row_are_what_their_class_reads(
    are_sorted_here: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not are_sorted_here:  # as of any rule that only transformers knows
        monkeypatch.setattr(deferred, "_separates_rows", lambda converter: False)
    folder = write_mixture(tmp_path, "inkling2_text", **TURNS)
    assert inspect_folder(folder).transposed > 0
    checkpoint = open_checkpoint(folder)
    read = checkpoint.build_deferred("bf16", NOTHING)
    assert len(read.experts) == (3 if are_sorted_here else 0)
    whole = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    for group in expert_groups(whole):
        weights = kept_weights.expert_weights(read, group)
        for part, each in ((group.up, weights.up), (group.down, weights.down)):
            wanted = whole.get_parameter(part.members[0])
            assert all(torch.equal(each[n].to(torch.bfloat16), wanted[n]) for n in range(8))
    for dtype in ("bf16", "int8", "int4"):
        model = prepare.prepare_model(checkpoint, dtype, NOTHING)[0]
        assert logits(model).isfinite().all()


@needs_kernels
@pytest.mark.parametrize("dtype", ["bf16", "int8", "int4"])
def test_the_kernel_computes_what_its_experts_do_one_by_one(dtype: str, tmp_path: Path) -> None:
    checkpoint = open_checkpoint(write_mixture(tmp_path, "qwen3_moe", num_hidden_layers=1))
    experts = prepare.prepare_model(checkpoint, dtype, NOTHING)[0].model.layers[0].mlp.experts
    assert experts.fused is not None
    for rows in (1, 3, 40):
        x = torch.randn(rows, 64).to(torch.float32 if dtype == "bf16" else torch.bfloat16)
        chosen = torch.stack([torch.randperm(8)[:2] for _ in range(rows)])
        chosen[0, 1] = 8  # stands for no expert
        chosen[-1] = 3  # twice the same
        shares = torch.rand(rows, 2)
        wanted = apply_experts(x, chosen, shares, 8, experts._compute)
        found = experts(x, chosen, shares)
        assert found.dtype == x.dtype
        most = 2.0**-7 * wanted.abs().max() if dtype != "bf16" else 1e-4
        assert (found.float() - wanted).abs().max() <= most


def test_only_chosen_experts_are_computed() -> None:
    seen: list[tuple[int, int]] = []

    def compute(expert: int, x: torch.Tensor) -> torch.Tensor:
        seen.append((expert, len(x)))
        return x * (expert + 1)

    hidden = torch.arange(6.0).reshape(3, 2)
    chosen = torch.tensor([[1, 4], [4, 2], [9, 1]])
    shares = torch.tensor([[0.5, 0.5], [1.0, 0.0], [0.5, 0.5]])
    found = apply_experts(hidden, chosen, shares, 8, compute)
    assert seen == [(1, 2), (2, 1), (4, 2)], "the ninth stands for none"
    assert torch.equal(found, hidden * torch.tensor([[3.5], [5.0], [1.0]]))


def test_a_lost_expert_is_damage(tmp_path: Path) -> None:
    folder = write_mixture(tmp_path, "qwen3_moe")
    stored = load_file(folder / "model.safetensors")
    del stored["model.layers.1.mlp.experts.5.up_proj.weight"]
    save_file(stored, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match=r"expert 5"):
        prepare.prepare_model(open_checkpoint(folder), "int4", NOTHING)
