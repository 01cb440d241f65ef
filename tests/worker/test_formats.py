"""Reduced weights: close to the matrix they stand for, kept in the cache, made anew."""

import errno
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support import tiny
from tui.models import reduced
from tui.worker import aligned, formats, packed
from tui.worker.choose import Sampling
from tui.worker.control import Control
from tui.worker.generate import Ready, tokens
from tui.worker.load import open_checkpoint

PROMPT = [5, 17, 200, 31, 8, 99]
NOTHING = lambda done, total: None  # noqa: E731


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    torch.set_num_threads(2)
    monkeypatch.setenv("DUIBI_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.llama(tmp_path_factory.mktemp("tiny"), attention_bias=True)


def logits(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        return model(torch.tensor([PROMPT * 8])).logits[0].float()


def off(found: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((found - wanted).norm() / wanted.norm())


@pytest.mark.parametrize("rows", [1, 3, 16, 17, 64])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize(
    ("kind", "most"), [(packed.Bf16, 0.004), (packed.Int8, 0.02), (packed.Int4, 0.15)]
)
def test_a_packed_layer_is_the_layer_it_stands_for(
    kind: Any, most: float, rows: int, biased: bool
) -> None:
    torch.manual_seed(0)
    weight, bias = torch.randn(96, 128), torch.randn(96) if biased else None
    kept = weight.clone()
    layer = kind(weight, bias) if kind is packed.Bf16 else kind(kind.parts(weight, bias))
    assert torch.equal(weight, kept)
    # Rows of very different size: one must not take the precision of another.
    x = (torch.randn(rows, 128) * torch.logspace(-2, 2, rows)[:, None]).bfloat16()
    wanted = torch.nn.functional.linear(x.float(), weight, bias)
    found = layer(x[None])
    assert (found.dtype, found.shape) == (torch.bfloat16, (1, rows, 96))
    for row in range(rows):
        assert off(found[0, row], wanted[row]) < most
    if kind is not packed.Bf16:
        said = {name: (part.dtype, part.shape) for name, part in kind.parts(weight, bias).items()}
        assert said == kind.shapes(96, 128, biased)


def test_few_rows_get_finer_activations() -> None:
    torch.manual_seed(0)
    layer = packed.Int8(packed.Int8.parts(torch.eye(64), None))
    x = torch.randn(packed._FINE_ROWS + 1, 64)
    few, many = layer(x[:-1]), layer(x)
    assert off(few, x[:-1]) < 1e-4 < off(many, x) < 0.02


@pytest.mark.parametrize(("dtype", "most"), [("bf16", 0.06), ("int8", 0.15), ("int4", 0.8)])
def test_a_model_in_each_format_is_near_fp32_and_the_same_from_the_cache(
    folder: Path, dtype: str, most: float
) -> None:
    checkpoint = open_checkpoint(folder)
    wanted = logits(checkpoint.build("fp32", NOTHING))
    told: list[tuple[int, int]] = []
    first, device, notes = formats.prepared(checkpoint, dtype, lambda *at: told.append(at))
    assert (device, notes) == ("cpu", [])
    assert told[-1][0] == told[-1][1] == checkpoint.checkpoint_bytes
    assert all(p.dtype == torch.bfloat16 for p in first.parameters())
    assert not any(type(m) is torch.nn.Linear for m in first.modules())
    found = logits(first)
    assert 0 < off(found, wanted) < most
    again, _, _ = formats.prepared(checkpoint, dtype, NOTHING)
    assert torch.equal(logits(again), found)
    ready = [Ready(checkpoint, model, "cpu", 4096) for model in (first, again)]
    with torch.inference_mode():
        one, two = (list(tokens(r, PROMPT, Sampling(), 20, Control())) for r in ready)
    assert one == two


def test_a_model_whose_head_is_its_embedding(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(tiny.llama(tmp_path / "m", tie_word_embeddings=True))
    wanted = logits(checkpoint.build("fp32", NOTHING))
    for _ in range(2):
        model, _, _ = formats.prepared(checkpoint, "int8", NOTHING)
        assert off(logits(model), wanted) < 0.15


def kept(folder: Path) -> Path:
    (one,) = reduced.kept_of(folder)
    return one.folder / "model.safetensors"


def test_what_is_kept_is_aligned_and_named_after_its_checkpoint(folder: Path) -> None:
    formats.prepared(open_checkpoint(folder), "int4", NOTHING)
    for name, tensor in aligned.mapped(kept(folder)):
        assert tensor.data_ptr() % 64 == 0, name
    (one,) = reduced.kept()
    assert (one.source, one.dtype) == (folder.resolve(), "int4")


@pytest.mark.parametrize("harm", ["cut", "flipped", "manifest", "gone"])
def test_a_damaged_file_is_made_again_and_said(folder: Path, harm: str) -> None:
    checkpoint = open_checkpoint(folder)
    first, _, _ = formats.prepared(checkpoint, "int8", NOTHING)
    file = kept(folder)
    whole = file.read_bytes()
    match harm:
        case "cut":
            file.write_bytes(whole[:-100])
        case "flipped":
            file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        case "manifest":
            (file.parent / reduced.MANIFEST).write_text("{")
        case "gone":
            file.unlink()
    again, _, notes = formats.prepared(checkpoint, "int8", NOTHING)
    assert notes == ["the kept weights were damaged: they were made again"]
    assert file.read_bytes() == whole
    assert torch.equal(logits(again), logits(first))


def test_another_checkpoint_or_recipe_is_not_taken_for_this_one(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tiny.llama(tmp_path / "other", seed=1, attention_bias=True)
    places = {reduced.place(path, d, v) for path in (folder, other) for d in "ab" for v in "cd"}
    monkeypatch.setattr(reduced, "RECIPE", 2)
    places.add(reduced.place(folder, "a", "c"))
    assert len(places) == 9


def test_without_space_it_runs_and_says_so(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = shutil._ntuple_diskusage(10**9, 10**9, 1000)  # type: ignore[attr-defined]
    monkeypatch.setattr(formats.shutil, "disk_usage", lambda path: full)
    checkpoint = open_checkpoint(folder)
    model, _, notes = formats.prepared(checkpoint, "int4", NOTHING)
    assert "not kept for the next load: no space for 0.0 GB" in notes[0]
    assert not list(reduced.kept())
    assert not list(cache.rglob("*.safetensors"))
    monkeypatch.undo()
    monkeypatch.setenv("DUIBI_CACHE_DIR", str(cache))
    again, _, notes = formats.prepared(checkpoint, "int4", NOTHING)
    assert notes == []
    assert torch.equal(logits(model), logits(again))


def test_a_cache_that_cannot_be_written_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*given: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(formats.converted, "ensure", refuse)
    _, _, notes = formats.prepared(open_checkpoint(folder), "int8", NOTHING)
    assert notes == ["int8 weights are not kept for the next load: Read-only file system"]


def test_a_header_is_a_whole_number_of_pages(tmp_path: Path) -> None:
    shapes = {"odd": (torch.int8, (3,)), "even": (torch.float32, (64, 2))}
    writer = aligned.Writer(tmp_path / "f", shapes)
    values = {"odd": torch.tensor([1, 2, 3]).char(), "even": torch.randn(64, 2)}
    for name, tensor in values.items():
        writer.put(name, tensor)
    writer.close()
    begin = 8 + int.from_bytes((tmp_path / "f").read_bytes()[:8], "little")
    assert begin % aligned.PAGE == 0
    assert json.loads((tmp_path / "f").read_bytes()[8:begin])["even"]["data_offsets"] == [0, 512]
    found = dict(aligned.mapped(tmp_path / "f"))
    assert all(torch.equal(found[name], values[name]) for name in values)
