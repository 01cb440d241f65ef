"""Numbers that a checkpoint must not hold are found wherever they stand."""

import pytest
import torch

from tui.worker.load.shards import first_not_finite


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_one_bad_number_is_found_at_any_place(dtype: torch.dtype, bad: float) -> None:
    for size in (1, 2, 33, 70_001):
        for place in {0, size // 2, size - 1}:
            tensor = torch.ones(size, 2, dtype=dtype)
            tensor[place, 1] = bad
            for shape in (tensor, tensor.T):
                assert first_not_finite({"good": torch.ones(3), "bad": shape}) == "bad"


def test_largest_numbers_nothing_and_integers_are_no_fault() -> None:
    largest = torch.full((9,), torch.finfo(torch.bfloat16).max, dtype=torch.bfloat16)
    tensors = {"largest": largest, "empty": torch.empty(0), "whole": torch.arange(4)}
    scales = torch.ones(40).to(torch.float8_e8m0fnu)
    assert first_not_finite(tensors | {"scales": scales}) is None
