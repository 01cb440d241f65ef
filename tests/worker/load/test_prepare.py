"""Reduced weights: close to the matrix they stand for, kept in the cache, made anew."""

import errno
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.support import tiny
from tests.support.kernels import needs_bf16, needs_kernels, needs_vnni
from tui.checkpoints import build_cache, quantised_cache
from tui.worker.control import Control, ForwardAborted
from tui.worker.decode.generate import generate_ids
from tui.worker.decode.sampling import SamplingParams
from tui.worker.kernels import build
from tui.worker.load import prepare
from tui.worker.load.loader import open_checkpoint
from tui.worker.load.mapped_file import map_tensors
from tui.worker.quant import (
    aligned_safetensors,
    calibrate,
    choose_format,
    linear_groups,
    native_linear,
    torch_linear,
)

PROMPT = [5, 17, 200, 31, 8, 99]
NOTHING = lambda done, total: None  # noqa: E731


@pytest.fixture(autouse=True)
def cache(tmp_path: Path) -> Path:
    torch.set_num_threads(2)
    return tmp_path / "duibi-cache"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_llama(tmp_path_factory.mktemp("tiny"), attention_bias=True)


def logits(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        return model(torch.tensor([PROMPT * 8])).logits[0].float()


def off(found: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((found - wanted).norm() / wanted.norm())


OURS = [
    pytest.param(native_linear.NativeBf16Linear, 1e-6, marks=needs_kernels),
    pytest.param(native_linear.NativeInt8Linear, 0.015, marks=needs_kernels),
    pytest.param(native_linear.NativeInt6Linear, 0.03, marks=needs_kernels),
    pytest.param(native_linear.NativeInt4Linear, 0.12, marks=needs_kernels),
]
TORCHS = [
    pytest.param(torch_linear.TorchBf16Linear, 0.004, marks=needs_bf16),
    pytest.param(torch_linear.TorchInt8Linear, 0.02, marks=needs_vnni),
    (torch_linear.TorchInt4Linear, 0.15),
    (torch_linear.WidenedBf16Linear, 1e-6),
    (torch_linear.WidenedInt8Linear, 0.015),
]
PLAIN = (torch_linear.WidenedBf16Linear, native_linear.NativeBf16Linear)


def made(kind: Any, weight: torch.Tensor, bias: torch.Tensor | None) -> Any:
    if kind is torch_linear.TorchBf16Linear:
        return kind(weight, bias)
    if kind in PLAIN:
        return kind((weight, bias))
    parts = kind.pack(weight, bias)
    said = {name: (part.dtype, part.shape) for name, part in parts.items()}
    assert said == kind.packed_specs(*weight.shape, bias is not None)
    return kind.from_packed(parts, weight.shape[0], False)


def test_a_few_rows_of_bytes_are_multiplied_without_widening_the_weights(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if torch.backends.cpu.get_cpu_capability() == "DEFAULT":
        pytest.skip("torch has no vector instructions here")
    kind = torch_linear.WidenedInt8Linear
    parts = kind.pack(torch.randn(64, 128), None)
    widened: list[int] = []
    whole = torch_linear._product_in_blocks

    def counted(x: torch.Tensor, weights: Any) -> torch.Tensor:
        widened.append(x.shape[0])
        return whole(x, weights)

    monkeypatch.setattr(torch_linear, "_product_in_blocks", counted)
    for rows in (1, torch_linear._PLAIN_ROWS, torch_linear._PLAIN_ROWS + 1):
        kind.from_packed(parts, 64, False)(torch.randn(rows, 128))
    assert widened == [torch_linear._PLAIN_ROWS + 1]
    kind.from_packed(parts, 64, True)(torch.randn(1, 128))
    assert widened[1:] == [1], "a sensitive layer keeps float32"


@pytest.mark.parametrize("rows", [1, 3, 16, 17, 64, 300])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize(("kind", "most"), [*TORCHS, *OURS])
def test_a_layer_is_the_layer_it_stands_for(
    kind: Any, most: float, rows: int, biased: bool
) -> None:
    torch.manual_seed(0)
    # Of no whole number of tiles where the kernel allows; one row of zeros.
    outputs = 96 if kind is torch_linear.TorchInt4Linear else 101
    weight, bias = torch.randn(outputs, 128), torch.randn(outputs) if biased else None
    weight[7] = 0
    if kind in PLAIN:
        weight = weight.bfloat16()
    kept = weight.clone()
    layer = made(kind, weight, bias)
    assert torch.equal(weight, kept)
    # Rows of very different size: one must not take the precision of another.
    x = (torch.randn(rows, 128) * torch.logspace(-2, 2, rows)[:, None]).bfloat16()
    wanted = torch.nn.functional.linear(x.float(), weight.float(), bias)
    found = layer(x[None])
    dtype = torch.float32 if kind in PLAIN else torch.bfloat16
    if kind is torch_linear.WidenedBf16Linear and rows <= torch_linear._PLAIN_ROWS:
        most = 0.004
    assert (found.dtype, found.shape) == (dtype, (1, rows, outputs))
    for row in range(rows):
        assert off(found[0, row], wanted[row]) < most


@needs_kernels
@pytest.mark.parametrize(
    "kind",
    [
        native_linear.NativeBf16Linear,
        native_linear.NativeInt8Linear,
        native_linear.NativeInt6Linear,
        native_linear.NativeInt4Linear,
    ],
)
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_no_number_stays_none_in_its_row_and_only_there(kind: Any, bad: float) -> None:
    layer = made(kind, torch.randn(64, 64).bfloat16().float(), None)
    x = torch.randn(3, 64).bfloat16()
    x[1, 5] = bad
    found = layer(x)
    assert not found[1].isfinite().any()
    assert found[[0, 2]].isfinite().all()


@pytest.mark.parametrize("widened_bytes", [1, torch_linear._WIDENED_BYTES])
def test_a_row_of_other_matrices_is_theirs_side_by_side(
    widened_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch_linear, "_WIDENED_BYTES", widened_bytes)
    torch.manual_seed(0)
    weights = [torch.randn(rows, 96).bfloat16() for rows in (300, 7, 256)]
    biases = [torch.randn(300), None, torch.randn(256)]
    layer, x = (
        torch_linear.WidenedBf16Linear(*zip(weights, biases, strict=True)),
        torch.randn(2, 5, 96).bfloat16().float(),
    )
    wanted = [
        torch.nn.functional.linear(x, weight.float(), bias)
        for weight, bias in zip(weights, biases, strict=True)
    ]
    assert off(layer(x), torch.cat(wanted, -1)) < 1e-6
    assert off(layer(x[:1, :3]), torch.cat(wanted, -1)[:1, :3]) < 0.004


@needs_kernels
def test_rounding_errors_go_where_the_inputs_are_small() -> None:
    torch.manual_seed(0)
    weight = torch.randn(64, 256) ** 3
    loud = torch.logspace(0, -2, 256)[torch.randperm(256)]
    x = (torch.randn(200, 256) * loud).bfloat16()
    wanted = x.float() @ weight.t()
    errors = [
        off(
            native_linear.NativeInt4Linear(
                native_linear.NativeInt4Linear.pack(weight, None, importance), 64
            )(x),
            wanted,
        )
        for importance in (None, loud.square())
    ]
    assert errors[1] < 0.9 * errors[0]


def test_every_layer_is_handed_over_once_with_what_its_inputs_weigh(folder: Path) -> None:
    checkpoint = open_checkpoint(folder)
    model = checkpoint.build("fp32", NOTHING)
    groups = [unit.members for unit in linear_groups.linear_groups(model)]
    seen: dict[int, torch.Tensor | None] = {}

    def take(number: int, importance: torch.Tensor | None) -> None:
        assert number not in seen
        seen[number] = importance

    calibrate.calibrate_groups(calibrate.Layers(model, groups), checkpoint.tokenizer, take)
    assert sorted(seen) == list(range(len(groups)))
    for number, names in enumerate(groups):
        importance = seen[number]
        if names == ("lm_head",):
            assert importance is None
            continue
        assert importance is not None
        assert importance.shape == (model.get_submodule(names[0]).in_features,)
        assert importance.min() > 0
        assert "forward" not in model.get_submodule(names[0]).__dict__


def test_a_failure_while_packing_is_not_lost(folder: Path) -> None:
    checkpoint = open_checkpoint(folder)
    model = checkpoint.build("fp32", NOTHING)
    groups = [unit.members for unit in linear_groups.linear_groups(model)]

    def take(number: int, importance: torch.Tensor | None) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        calibrate.calibrate_groups(calibrate.Layers(model, groups), checkpoint.tokenizer, take)


@pytest.mark.parametrize("dtype", ["bf16", "int8", "int4"])
def test_without_kernels_torchs_are_used_and_it_is_said(
    folder: Path, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "_try_load", lambda: (None, "there is no C compiler"))
    checkpoint = open_checkpoint(folder)
    wanted = logits(checkpoint.build("fp32", NOTHING))
    model, _, notes = prepare.prepare_model(checkpoint, dtype, NOTHING)
    assert not any(
        isinstance(
            m,
            native_linear.NativeBf16Linear
            | native_linear.NativeInt8Linear
            | native_linear.NativeInt6Linear
            | native_linear.NativeInt4Linear,
        )
        for m in model.modules()
    )
    assert off(logits(model), wanted) < 0.8
    slow = dtype == "int4" and torch.backends.cpu.get_cpu_capability() == "DEFAULT"
    assert len(notes) == int(slow)
    assert choose_format.kernels_of(model) == ("torch", "there is no C compiler")


@needs_kernels
@pytest.mark.parametrize(
    "kind",
    [
        native_linear.NativeBf16Linear,
        native_linear.NativeInt8Linear,
        native_linear.NativeInt6Linear,
        native_linear.NativeInt4Linear,
    ],
)
def test_a_pass_that_is_given_up_is_not_computed_to_its_end(kind: Any) -> None:
    weight, x, control = torch.randn(96, 64), torch.randn(5, 64), Control()
    layer = made(kind, weight, None)
    flag = build.stop_flag()
    assert flag is not None and not flag.value
    control.register([1])
    control.share_stop_flag(flag)
    control.begin(1)
    control.cancel([1])
    left = layer(x)
    with pytest.raises(ForwardAborted):
        control.check()
    control.end(1)
    assert not torch.equal(left, layer(x))
    assert off(layer(x), x @ weight.t()) < 0.2


@needs_vnni
def test_few_rows_get_finer_activations() -> None:
    torch.manual_seed(0)
    layer = torch_linear.TorchInt8Linear(torch_linear.TorchInt8Linear.pack(torch.eye(64), None))
    x = torch.randn(torch_linear._HIGH_PRECISION_ROWS + 1, 64)
    few, many = layer(x[:-1]), layer(x)
    assert off(few, x[:-1]) < 1e-4 < off(many, x) < 0.02


@pytest.mark.parametrize(("dtype", "most"), [("bf16", 0.06), ("int8", 0.15), ("int4", 0.8)])
def test_a_model_in_each_format_is_near_fp32_and_the_same_from_the_cache(
    folder: Path, dtype: str, most: float
) -> None:
    checkpoint = open_checkpoint(folder)
    wanted = logits(checkpoint.build("fp32", NOTHING))
    told: list[tuple[int, int]] = []
    first, device, notes = prepare.prepare_model(checkpoint, dtype, lambda *at: told.append(at))
    assert (device, notes) == ("cpu", [])
    assert told[-1][0] == told[-1][1] == checkpoint.checkpoint_bytes
    widened = not build.unavailable_reason() or not torch_linear.has_bf16()
    rest = torch.float32 if dtype == "bf16" and widened else torch.bfloat16
    embedding = first.get_input_embeddings().weight
    assert embedding.dtype == torch.bfloat16
    assert all(p.dtype == rest for p in first.parameters() if p is not embedding)
    assert not any(type(m) is torch.nn.Linear for m in first.modules())
    # The embedding stays as it is; of the rest, each weight takes its bits and little more.
    halves = 2 * checkpoint.parameters
    share = {"bf16": (1.0, 1.6), "int8": (0.5, 0.95), "int4": (0.25, 0.9)}[dtype]
    assert share[0] <= prepare.model_nbytes(first) / halves <= share[1]
    found = logits(first)
    assert 0 < off(found, wanted) < most
    again, _, _ = prepare.prepare_model(checkpoint, dtype, NOTHING)
    assert torch.equal(logits(again), found)
    with torch.inference_mode():
        one, two = (
            list(generate_ids(model, "cpu", PROMPT, SamplingParams(), 20, Control()))
            for model in (first, again)
        )
    assert one == two


def test_a_model_whose_head_is_its_embedding(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(tiny.write_llama(tmp_path / "m", tie_word_embeddings=True))
    wanted = logits(checkpoint.build("fp32", NOTHING))
    for _ in range(2):
        model, _, _ = prepare.prepare_model(checkpoint, "int8", NOTHING)
        assert off(logits(model), wanted) < 0.15


def kept(folder: Path) -> Path:
    (one,) = quantised_cache.entries_of(folder)
    return one.folder / "model.safetensors"


def test_what_is_kept_is_aligned_and_named_after_its_checkpoint(folder: Path) -> None:
    prepare.prepare_model(open_checkpoint(folder), "int4", NOTHING)
    for name, tensor in map_tensors(kept(folder)):
        assert tensor.data_ptr() % 64 == 0, name
    (one,) = quantised_cache.entries()
    assert (one.source, one.dtype) == (folder.resolve(), "int4")


@pytest.mark.parametrize("harm", ["cut", "flipped", "manifest", "gone"])
def test_a_damaged_file_is_made_again_and_said(folder: Path, harm: str) -> None:
    checkpoint = open_checkpoint(folder)
    first, _, _ = prepare.prepare_model(checkpoint, "int8", NOTHING)
    # Before its file is harmed: it is mapped.
    wanted = logits(first)
    file = kept(folder)
    whole = file.read_bytes()
    match harm:
        case "cut":
            file.write_bytes(whole[:-100])
        case "flipped":
            file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        case "manifest":
            (file.parent / build_cache.MANIFEST).write_text("{")
        case "gone":
            file.unlink()
    again, _, notes = prepare.prepare_model(checkpoint, "int8", NOTHING)
    said = "the kept weights were damaged: they were made again"
    assert notes == [said]
    assert file.read_bytes() == whole
    assert torch.equal(logits(again), wanted)


def test_another_checkpoint_or_recipe_is_not_taken_for_this_one(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tiny.write_llama(tmp_path / "other", seed=1, attention_bias=True)
    places = {
        quantised_cache.entry_folder(path, d, v)
        for path in (folder, other)
        for d in quantised_cache.QUANTISER_VERSIONS
        for v in "cd"
    }
    monkeypatch.setitem(quantised_cache.QUANTISER_VERSIONS, "int8", 99)
    places.add(quantised_cache.entry_folder(folder, "int8", "c"))
    assert len(places) == 9


def test_what_another_version_kept_is_made_again_and_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = open_checkpoint(folder)
    with monkeypatch.context() as other:
        other.setattr(quantised_cache, "QUANTISER_VERSIONS", {"int8": 1, "int4": 1})
        prepare.prepare_model(checkpoint, "int8", NOTHING)
        prepare.prepare_model(checkpoint, "int4", NOTHING)
    _, _, notes = prepare.prepare_model(checkpoint, "int8", NOTHING)
    said = "the kept weights were of another version: they were made again"
    assert notes == [said]
    now = {one.dtype: one.folder.name for one in quantised_cache.entries()}
    assert now["int8"].endswith(f"-{quantised_cache.QUANTISER_VERSIONS['int8']}")
    # The format that was not asked for stays until it is.
    assert now["int4"].endswith("-1")
    assert len(list(quantised_cache.entries())) == 2
    assert prepare.prepare_model(checkpoint, "int8", NOTHING)[2] == []


def test_without_space_it_runs_and_says_so(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = shutil._ntuple_diskusage(10**9, 10**9, 1000)
    monkeypatch.setattr("tui.worker.load.prepare.shutil.disk_usage", lambda path: full)
    checkpoint = open_checkpoint(folder)
    model, _, notes = prepare.prepare_model(checkpoint, "int4", NOTHING)
    (said,) = notes
    assert "not kept for the next load: no space for 0.0 GB" in said
    assert not list(quantised_cache.entries())
    assert not list(cache.rglob("*.safetensors"))
    monkeypatch.undo()
    monkeypatch.setenv("DUIBI_CACHE_DIR", str(cache))
    again, _, notes = prepare.prepare_model(checkpoint, "int4", NOTHING)
    assert notes == []
    assert torch.equal(logits(model), logits(again))


def test_a_cache_that_cannot_be_written_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*given: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(build_cache, "ensure", refuse)
    _, _, notes = prepare.prepare_model(open_checkpoint(folder), "int8", NOTHING)
    said = "int8 weights are not kept for the next load: Read-only file system"
    assert notes == [said]


def test_a_header_is_a_whole_number_of_pages(tmp_path: Path) -> None:
    shapes = {"odd": (torch.int8, (3,)), "even": (torch.float32, (64, 2))}
    writer = aligned_safetensors.SafetensorsWriter(tmp_path / "f", shapes, {"format": "pt"})
    values = {"odd": torch.tensor([1, 2, 3]).char(), "even": torch.randn(64, 2)}
    with pytest.raises(ValueError, match=r"odd is torch\.float32"):
        writer.write("odd", values["even"])
    for name, tensor in values.items():
        writer.write(name, tensor)
    writer.close()
    begin = 8 + int.from_bytes((tmp_path / "f").read_bytes()[:8], "little")
    assert begin % aligned_safetensors.PAGE == 0
    header = json.loads((tmp_path / "f").read_bytes()[8:begin])
    assert header["even"]["data_offsets"] == [0, 512]
    assert header["__metadata__"] == {"format": "pt"}
    found = dict(map_tensors(tmp_path / "f"))
    assert all(torch.equal(found[name], values[name]) for name in values)
