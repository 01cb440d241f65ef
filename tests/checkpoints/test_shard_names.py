"""Weight files as people have them: sets without an index, indexes of other sets, both formats."""

import json
from pathlib import Path

import pytest

from tui.checkpoints.errors import CheckpointError
from tui.checkpoints.weight_headers import promised_names, read_config, shard_names

SET = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
BINS = ["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"]


def holding(folder: Path, *names: str, index: list[str] | None = None) -> list[str]:
    """The weight files of a folder with these files and an index of those."""
    for name in names:
        (folder / name).touch()
    if index:
        weight_map = {f"tensor{n}": name for n, name in enumerate(index)}
        said = {"metadata": {"total_size": 1}, "weight_map": weight_map}
        (folder / "model.safetensors.index.json").write_text(json.dumps(said))
    return shard_names(folder)


def test_a_set_needs_no_index(tmp_path: Path) -> None:
    assert holding(tmp_path, *SET) == SET


def test_a_set_of_bin_files_needs_none_either(tmp_path: Path) -> None:
    assert holding(tmp_path, *BINS) == BINS


def test_what_is_missing_of_a_set_is_named(tmp_path: Path) -> None:
    assert holding(tmp_path, SET[1]) == SET


def test_a_wrong_index_beside_a_whole_file_is_passed_over(tmp_path: Path) -> None:
    assert holding(tmp_path, "model.safetensors", index=SET) == ["model.safetensors"]


def test_an_index_of_another_set_is_passed_over(tmp_path: Path) -> None:
    others = ["model-00001-of-00003.safetensors"]
    assert holding(tmp_path, *SET, index=others) == SET


def test_an_index_that_was_cut_off_is_no_reason_to_leave_files_out(tmp_path: Path) -> None:
    assert holding(tmp_path, *SET, index=SET[:1]) == SET


def test_an_index_of_other_files_promises_nothing(tmp_path: Path) -> None:
    holding(tmp_path, "model.safetensors", index=SET)
    assert promised_names(tmp_path, ["model.safetensors"]) == set()
    assert promised_names(tmp_path, SET) == {"tensor0", "tensor1"}


def test_an_index_of_absent_files_alone_names_them(tmp_path: Path) -> None:
    assert holding(tmp_path, SET[0], index=SET) == SET


def test_of_several_sets_the_whole_one_counts(tmp_path: Path) -> None:
    assert holding(tmp_path, "a-00002-of-00003.safetensors", *SET) == SET


@pytest.mark.parametrize("name", ["model.fp16.safetensors", "Qwen3-0.6B.safetensors"])
def test_the_only_weight_file_may_have_any_name(tmp_path: Path, name: str) -> None:
    assert holding(tmp_path, name) == [name]


@pytest.mark.parametrize(
    "names",
    [
        ("adapter_model.safetensors",),
        ("vae.safetensors", "unet.safetensors"),
        ("consolidated.00.pth", "optimizer.pt", "training_args.bin"),
    ],
)
def test_what_may_be_anything_is_no_model(tmp_path: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(CheckpointError, match=r"holds no model\.safetensors"):
        holding(tmp_path, *names)


def test_whole_bin_files_serve_where_safetensors_are_cut(tmp_path: Path) -> None:
    assert holding(tmp_path, SET[0], "pytorch_model.bin") == ["pytorch_model.bin"]


def test_safetensors_come_before_bin_files(tmp_path: Path) -> None:
    assert holding(tmp_path, *SET, "pytorch_model.bin") == SET


def test_a_whole_file_comes_before_a_set_without_an_index(tmp_path: Path) -> None:
    assert holding(tmp_path, *SET, "model.safetensors") == ["model.safetensors"]


def test_an_adapter_is_told_from_a_model(tmp_path: Path) -> None:
    said = {"peft_type": "LORA", "base_model_name_or_path": "/data/Qwen-7B-Chat"}
    (tmp_path / "adapter_config.json").write_text(json.dumps(said))
    with pytest.raises(CheckpointError, match=r"adapter \(LORA\) for /data/Qwen-7B-Chat"):
        read_config(tmp_path)
