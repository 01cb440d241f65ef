import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.models.memory import BYTES_PER_WEIGHT, predict, weights_in_gguf

QWEN_7B = (7_721_324_544, 32, 32, 128)


def test_a_published_model_needs_what_was_measured() -> None:
    parameters, *shape = QWEN_7B
    assert predict(parameters, "bf16", *shape, 2048) / 2**30 == pytest.approx(18.5, rel=0.06)
    assert predict(parameters, "fp32", *shape, 2048) > 32 * 2**30


def test_the_cache_counts_for_every_answer_decoded_together() -> None:
    parameters, *shape = QWEN_7B
    one = predict(parameters, "bf16", *shape, 1000)
    eight = predict(parameters, "bf16", *shape, 1000, answers=8)
    assert eight - one == pytest.approx(7 * 2 * 32 * 32 * 128 * 1000 * 4 * 1.5 * 1.04, abs=2)


@given(
    st.integers(0, 10**11),
    st.sampled_from(list(BYTES_PER_WEIGHT)),
    st.integers(0, 100),
    st.integers(0, 2**16),
)
def test_more_of_anything_needs_no_less(
    parameters: int, dtype: str, layers: int, context: int
) -> None:
    need = predict(parameters, dtype, layers, 8, 128, context)
    assert need >= parameters * BYTES_PER_WEIGHT[dtype]
    assert predict(parameters + 1000, dtype, layers, 8, 128, context) > need
    assert predict(parameters, dtype, layers + 1, 8, 128, context) >= need
    assert predict(parameters, "fp32", layers, 8, 128, context) >= need


def test_a_gguf_holds_no_more_weights_than_its_smallest_layout() -> None:
    assert weights_in_gguf(18) == 32
