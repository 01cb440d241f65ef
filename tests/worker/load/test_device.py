"""Every tensor of the loop is made on the model's device. Where there is no GPU, torch's
``meta`` stands for one: it computes no values, but refuses what lies on another device."""

from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.support import tiny
from tests.support.gpu import needs_gpu
from tui.events import Answered, Delta, Failed
from tui.worker.control import Control
from tui.worker.decode import batch as batches
from tui.worker.decode.attention import attach, new_kv_cache
from tui.worker.decode.batch import DecodeBatch
from tui.worker.load import device, prepare
from tui.worker.load.loader import open_checkpoint
from tui.worker.loaded_model import LoadedModel
from tui.worker.measure import PeakMemory
from tui.worker_protocol import DecodeRequest

TOKEN = 70


class Fixed:
    """Stands for `Sampler`: there are no values to choose by."""

    likeliest = ()

    def __init__(self, sampling: Any, prompt: Any, limit: int, place: str) -> None:
        self._place = place

    def __call__(self, logits: torch.Tensor) -> int:
        assert logits.device.type == self._place
        return TOKEN


@pytest.mark.parametrize("ours", [True, False])
def test_a_batch_stays_on_the_models_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ours: bool
) -> None:
    checkpoint = open_checkpoint(tiny.write_llama(tmp_path / "tiny"))
    model = checkpoint.build("fp32", lambda done, total: None).to("meta")
    if ours:
        attach(model)
    monkeypatch.setattr(batches, "Sampler", Fixed)
    made = DecodeBatch(
        LoadedModel(checkpoint, model, "meta", 4096), Control(), PeakMemory(), prompt_lookup=True
    )
    bodies = []
    # The third has its beginning in common with the first; alone, the last guesses.
    texts = ["hello world", "the fox", "hello world, how are you?"]
    for number, text in enumerate(texts):
        bodies += [body for _, body in made.admit(DecodeRequest(number, (("user", text),), 12, {}))]
        if not made.can_batch:
            while made:
                bodies += [body for _, body in made.step()]
    while made:
        bodies += [body for _, body in made.step()]
    assert not [body for body in bodies if isinstance(body, Failed)]
    ends = [body for body in bodies if isinstance(body, Answered)]
    assert sorted(end.answer for end in ends) == [0, 1, 2]
    assert all(end.output_tokens == 12 for end in ends)
    assert sum(body.n for body in bodies if isinstance(body, Delta)) == 36
    assert (max(end.batch for end in ends) == 3) == ours


def test_rows_are_let_in_by_the_free_memory_of_a_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = open_checkpoint(tiny.write_llama(tmp_path / "tiny"))
    model = checkpoint.build("bf16", lambda done, total: None)
    cache = new_kv_cache(model)
    model(input_ids=torch.zeros((1, 10), dtype=torch.long), past_key_values=cache)
    held = sum(part.nbytes for layer in cache.layers for part in (layer.keys, layer.values))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (100 * held, 200 * held))
    assert device.kv_cache_capacity(model, checkpoint.kv_values_per_token, "cuda") == 800
    assert device.kv_cache_capacity(model, checkpoint.kv_values_per_token, "cpu") == 0


def test_a_gpu_that_cannot_compute_is_said_and_the_cpu_computes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    ones = torch.ones

    def refused(*size: Any, **more: Any) -> torch.Tensor:
        if more.get("device") == "cuda":
            raise torch.OutOfMemoryError("no kernel image\nis available")
        return ones(*size, **more)

    monkeypatch.setattr(torch, "ones", refused)
    device.gpu_failure.cache_clear()
    try:
        checkpoint = open_checkpoint(tiny.write_llama(tmp_path / "tiny"))
        for dtype in ("bf16", "fp32"):
            _, place, remarks = prepare.prepare_model(checkpoint, dtype, lambda done, total: None)
            assert place == "cpu"
            assert remarks[-1] == "the GPU cannot be used (no kernel image): the CPU computes"
    finally:
        device.gpu_failure.cache_clear()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_the_cpu_computes_and_nothing_is_said() -> None:
    layer = torch.nn.Linear(2, 2)
    assert device.place_model(layer) == (layer, "cpu", [])


@needs_gpu
def test_a_gpu_computes_and_is_named() -> None:
    _, place, remarks = device.place_model(torch.nn.Linear(2, 2))
    assert place == "cuda"
    assert remarks == [f"computed by the GPU ({torch.cuda.get_device_name()})"]
