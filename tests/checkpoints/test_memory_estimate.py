from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.random_models import LATENT, LINEAR, random_model
from tui.checkpoints.llama_cpp import FIRST_POOL, PUBLISHED
from tui.checkpoints.memory_estimate import (
    BYTES_PER_WEIGHT,
    USUAL_OTHERS,
    MemoryShape,
    kv_cache_bytes,
    loading_peak,
    max_parameters_in_gguf,
    predict_peak,
    reached_share,
)
from tui.models import demo
from tui.models.inspect import inspect_folder

PARAMETERS = 7_721_324_544
QWEN_7B = MemoryShape(32, 32, 128, 4096, 11008, 151936, stored="bf16")


def test_a_published_model_needs_what_was_measured() -> None:
    assert predict_peak(PARAMETERS, "bf16", QWEN_7B, 2048) / 2**30 == pytest.approx(18.5, rel=0.06)
    assert predict_peak(PARAMETERS, "fp32", QWEN_7B, 2048) > 32 * 2**30


def test_a_mixture_needs_what_was_measured() -> None:
    """Four layers of the shape of Qwen3-30B-A3B, every expert chosen (`benchmarks/memory.py`)."""
    shape = MemoryShape(4, 4, 128, 2048, 6144, 151936, stored="bf16")
    need = predict_peak(3_114_814_464, "int4", shape, 559)
    assert need == pytest.approx(1.99e9, rel=0.06)


def test_what_is_mapped_as_it_is_takes_nothing_to_load() -> None:
    made = loading_peak(PARAMETERS, "fp32", QWEN_7B)
    assert PARAMETERS * 4 < made < predict_peak(PARAMETERS, "fp32", QWEN_7B, 2048)
    assert {loading_peak(PARAMETERS, dtype, QWEN_7B) for dtype in ("bf16", "int8", "int4")} == {
        loading_peak(0, "bf16", MemoryShape())
    }


def test_the_cache_counts_for_every_answer_decoded_together() -> None:
    one = predict_peak(PARAMETERS, "bf16", QWEN_7B, 1000)
    eight = predict_peak(PARAMETERS, "bf16", QWEN_7B, 1000, other_tokens=7000)
    assert eight - one == pytest.approx(7 * 2 * 32 * 32 * 128 * 1000 * 4 * 1.5 * 1.04, abs=2)


def test_experts_that_are_not_reduced_count_in_16_bits() -> None:
    """Qwen3-30B-A3B, if its experts were not reached."""
    parameters, experts = 30_532_122_624, 48 * 128 * 3 * 2048 * 768
    reached = MemoryShape(48, 4, 128, 2048, 6144, 151936, stored="bf16")
    kept = replace(reached, kept_wide=experts)
    assert reached_share(parameters, reached) == 1
    assert reached_share(parameters, kept) == pytest.approx(0.04, abs=0.01)
    assert predict_peak(parameters, "int4", reached, 2048) < 20e9
    assert predict_peak(parameters, "int4", kept, 2048) > 58e9
    assert loading_peak(parameters, "int4", kept) > 58e9 > loading_peak(parameters, "int4", reached)


@given(
    st.integers(0, 10**11),
    st.sampled_from(list(BYTES_PER_WEIGHT)),
    st.integers(0, 100),
    st.integers(0, 2**16),
)
def test_more_of_anything_needs_no_less(
    parameters: int, dtype: str, layers: int, context: int
) -> None:
    need = predict_peak(parameters, dtype, MemoryShape(layers, 8, 128), context)
    assert need >= parameters * BYTES_PER_WEIGHT[dtype]
    assert predict_peak(parameters + 1000, dtype, MemoryShape(layers, 8, 128), context) > need
    assert predict_peak(parameters, dtype, MemoryShape(layers + 1, 8, 128), context) >= need
    assert (
        predict_peak(parameters, "fp32", MemoryShape(layers, 8, 128), context) + 50_000_000 >= need
    )


def test_a_gguf_holds_no_more_weights_than_its_smallest_layout() -> None:
    assert max_parameters_in_gguf(18) == 32


@pytest.mark.parametrize(("context", "measured"), [(2048, 1976e6), (8192, 2152e6)])
def test_a_file_as_published_needs_what_was_measured(context: int, measured: float) -> None:
    """Qwen2.5-Coder-1.5B-Instruct as Q4_K_M."""
    shape = MemoryShape(
        layers=28,
        kv_heads=2,
        head_dim=128,
        hidden=1536,
        width=8960,
        vocab=151936,
        tied=True,
        file_bytes=1_111_370_240,
        repacked_bytes=625_508_352,
    )
    need = predict_peak(1_543_714_304, PUBLISHED, shape, context)
    assert need == pytest.approx(measured, rel=0.06)
    assert need > measured


@pytest.mark.parametrize(
    ("parameters", "shape", "measured"),
    [
        (demo.PARAMETERS, demo.SHAPE, (376e6, 400e6)),
        (494_032_768, MemoryShape(24, 2, 64, 896, 4864, 151936, True, "", 485_452_288, 29_417_472),
         (794e6, 886e6)),
        (1_543_714_304, MemoryShape(28, 2, 128, 1536, 8960, 151936, True, "", 1_111_370_240,
         625_508_352), (2172e6, 2243e6)),
    ],
)  # fmt: skip
def test_a_run_of_a_file_as_published_takes_what_is_planned(
    parameters: int, shape: MemoryShape, measured: tuple[float, float]
) -> None:
    """`duibi run MODEL --questions smoke` on two cores, several times: all keys and values are
    taken at once, also those of a person who may ask."""
    others = USUAL_OTHERS
    low, high = measured
    need = predict_peak(parameters, PUBLISHED, shape, 2048, others)
    assert 0.9 * low < need < 1.1 * high
    alone = predict_peak(parameters, PUBLISHED, shape, 2048)
    assert need - alone == pytest.approx(
        1.04 * kv_cache_bytes(PUBLISHED, shape, others + FIRST_POOL), abs=2
    )


@pytest.mark.parametrize(
    "kind",
    ["deepseek_v3", "glm4_moe_lite", "minicpm3", "youtu", "qwen3_5_text", "qwen3"],
)
def test_the_cache_that_is_planned_is_what_transformers_holds(kind: str, tmp_path: Path) -> None:
    import torch
    from transformers import DynamicCache

    changes: dict[str, Any] = {"head_dim": 16} if "qwen" in kind else LATENT | {"v_head_dim": 24}
    changes |= LINEAR if kind == "qwen3_5_text" else {}
    model = random_model(kind, **changes)
    model.save_pretrained(tmp_path)
    tokens, cache = 50, DynamicCache(config=model.config)
    with torch.inference_mode():
        model(input_ids=torch.arange(tokens)[None], past_key_values=cache, use_cache=True)
    held = sum(
        one.numel()
        for layer in cache.layers
        for one in (getattr(layer, "keys", None), getattr(layer, "values", None))
        if one is not None
    )
    planned = kv_cache_bytes("bf16", inspect_folder(tmp_path).shape, tokens)
    assert planned == pytest.approx(4 * held, rel=0.03)
