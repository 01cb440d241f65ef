"""Models whose attention is not ours are decoded together by what they can, not by their names."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import DynamicCache

from benchmarks.support import tiny
from tests.support.random_models import LATENT, LINEAR, random_model
from tui.events import Answered, Delta
from tui.worker.control import Control
from tui.worker.decode import kv_cache, padded_batch
from tui.worker.decode.attention import supports_model
from tui.worker.decode.batch import DecodeBatch
from tui.worker.load.loader import open_checkpoint
from tui.worker.loaded_model import LoadedModel
from tui.worker.measure import PeakMemory
from tui.worker_protocol import DecodeRequest

WINDOW = 8
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "a sliding window": ("mistral", {"sliding_window": WINDOW}),
    "windows by turns and soft caps": (
        "gemma2",
        {
            "sliding_window": WINDOW,
            "head_dim": 16,
            "final_logit_softcapping": 2.0,
            "attn_logit_softcapping": 5.0,
        },
    ),
    "a part of each head is rotated": ("stablelm", {"partial_rotary_factor": 0.25}),
    "layers that share keys and values": (
        "gemma3n_text",
        {
            "head_dim": 16,
            "num_kv_shared_layers": 2,
            "layer_types": ["sliding_attention", "full_attention"] * 2,
            "sliding_window": WINDOW,
            "laurel_rank": 8,
            "hidden_size_per_layer_input": 16,
            "vocab_size_per_layer_input": 320,
            "activation_sparsity_pattern": [0.5] * 4,
            "altup_num_inputs": 2,
        },
    ),
    "logits that are scaled": (
        "granite",
        {
            "logits_scaling": 0.5,
            "embedding_multiplier": 12.0,
            "attention_multiplier": 0.1,
            "residual_multiplier": 0.3,
        },
    ),
    "logits that are scaled, windows by turns": (
        "cohere2",
        {"head_dim": 16, "logit_scale": 0.3, "sliding_window": WINDOW},
    ),
    "fused projections": ("phi3", {}),
    "norms behind the layers": ("glm4", {"head_dim": 16}),
    "latent attention": (
        "deepseek_v3",
        LATENT
        | {
            "n_routed_experts": 4,
            "n_group": 1,
            "topk_group": 1,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 32,
            "first_k_dense_replace": 2,
        },
    ),
}


def made(name: str) -> Any:
    kind, more = KINDS[name]
    return random_model(kind, **more)


@pytest.mark.parametrize("name", KINDS)
def test_rows_of_standard_attention_share_a_batch(name: str) -> None:
    model = made(name)
    assert not supports_model(model)
    assert padded_batch.can_pad(model)
    assert not padded_batch.keeps_state(model)
    with torch.inference_mode():
        pairs = padded_batch.row_logits(model)
    assert all((alone - together).abs().max() < 1e-4 for alone, together in pairs)


def test_a_state_in_place_of_keys_is_decoded_row_by_row() -> None:
    model = random_model("qwen3_next", **LINEAR, head_dim=16, num_experts=0)
    assert padded_batch.keeps_state(model)
    assert not padded_batch.can_pad(model)


def test_a_model_that_sees_its_padding_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    model = made("fused projections")

    def without_mask(held: torch.Tensor, length: int) -> dict[str, torch.Tensor]:
        return {"position_ids": held}

    monkeypatch.setattr(padded_batch, "padded_inputs", without_mask)
    assert not padded_batch.can_pad(model)


@pytest.mark.parametrize(
    "name", ["a sliding window", "latent attention", "layers that share keys and values"]
)
def test_texts_are_those_of_answers_made_alone(name: str, tmp_path: Path) -> None:
    model = made(name)
    model.save_pretrained(tmp_path)
    tiny.write_tokenizer(tmp_path, stop=319)
    checkpoint = dataclasses.replace(open_checkpoint(tmp_path), stop_ids=frozenset())
    built = checkpoint.build("fp32", lambda done, total: None)
    ready = LoadedModel(checkpoint, built, "cpu", 512, can_pad=padded_batch.can_pad(built))
    asked = ["hi", "the quick brown fox " * 3, "lazy dog", "hello world, how are you?"]
    # The longest comes late and leaves first, then the others grow beyond the window.
    jobs = [
        DecodeRequest(n, (("user", text),), limit)
        for n, (text, limit) in enumerate(zip(asked, (30, 6, 20, 25), strict=True))
    ]
    alone: dict[int, list[str]] = {}
    for job in jobs:
        run(DecodeBatch(ready, Control(), PeakMemory()), [job], alone)
    together: dict[int, list[str]] = {}
    batch = DecodeBatch(ready, Control(), PeakMemory())
    assert batch.can_batch
    assert run(batch, jobs, together) == 3
    assert together == alone


def run(batch: DecodeBatch, jobs: list[DecodeRequest], texts: dict[int, list[str]]) -> int:
    """Decode at most three at a time; the most that were decoded together."""
    line, most = list(jobs), 0
    while line or batch:
        events = list(batch.admit(line.pop(0))) if line and len(batch) < 3 else []
        for _, body in (*events, *batch.step()):
            if isinstance(body, Delta):
                texts.setdefault(body.answer, []).append(body.text)
            elif isinstance(body, Answered):
                most = max(most, body.batch)
    return most


def test_a_cache_without_a_row_is_that_of_the_others() -> None:
    model = made("a sliding window")
    with torch.inference_mode():
        caches = []
        for length in (20, 5):
            cache = DynamicCache(config=model.config)
            model(input_ids=torch.arange(length)[None], past_key_values=cache, use_cache=True)
            caches.append(cache)
        wanted = [layer.keys.clone() for layer in caches[1].layers]
        batch = kv_cache.append_row(caches[0], caches[1])
        kv_cache.remove_row(batch, 0, 5)
    assert batch.get_seq_length() == 5
    for layer, keys in zip(batch.layers, wanted, strict=True):
        assert torch.equal(layer.keys, keys)


def test_a_state_beside_keys_and_values_is_seen() -> None:
    model = random_model(
        "falcon_h1",
        num_hidden_layers=1,
        mamba_d_ssm=64,
        mamba_n_heads=4,
        mamba_d_head=16,
        mamba_d_state=16,
    )
    assert padded_batch.keeps_state(model)
