"""Checkpoints that are broken, or lie, or attack: one typed line, soon, and nothing run."""

import json
import pickle
import shutil
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support.cpu_time import cpu_seconds
from tui.checkpoints.errors import CheckpointError
from tui.host.errors import UserError
from tui.models.inspect import inspect_folder, require_loadable
from tui.worker.load.checkpoint_folder import open_folder
from tui.worker.load.loader import open_chat_format, open_weights

DATA = Path(__file__).parents[2] / "data"


def copied(case: str, into: Path) -> Path:
    folder = into / case
    shutil.copytree(DATA / case / "checkpoint", folder)
    return folder


@pytest.fixture
def qwen(tmp_path: Path) -> Path:
    return copied("qwen-tiny-a", tmp_path)


@pytest.fixture
def baichuan(tmp_path: Path) -> Path:
    return copied("baichuan2-tiny-a", tmp_path)


def refused(folder: Path, dtype: str = "fp32") -> CheckpointError:
    before = cpu_seconds()
    with pytest.raises(CheckpointError) as caught:
        open_weights(folder, dtype)
    assert cpu_seconds() - before < 10
    assert caught.value.message
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 300
    return caught.value


def edit(folder: Path, change: dict[str, Any], remove: tuple[str, ...] = ()) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text()) | change
    for key in remove:
        config.pop(key)
    path.write_text(json.dumps(config))


def first_shard(folder: Path) -> Path:
    return sorted(folder.glob("*.safetensors"))[0]


def test_no_folder_and_no_weights(tmp_path: Path, qwen: Path) -> None:
    assert refused(tmp_path / "nothing").cause == "not_found"
    for file in qwen.glob("model*"):
        file.unlink()
    error = refused(qwen)
    assert error.cause == "not_found"
    assert "model.safetensors" in error.message


def test_truncated_shard(qwen: Path) -> None:
    shard = first_shard(qwen)
    shard.write_bytes(shard.read_bytes()[:-100])
    error = refused(qwen)
    assert error.cause == "damaged"
    assert shard.name in error.message


def test_truncated_bin(baichuan: Path) -> None:
    shard = baichuan / "pytorch_model.bin"
    shard.write_bytes(shard.read_bytes()[:-1000])
    assert "pytorch_model.bin" in refused(baichuan).message


def test_missing_shard(qwen: Path) -> None:
    shard = first_shard(qwen)
    shard.unlink()
    error = refused(qwen)
    assert error.message == f"1 of 3 weight files are missing: {shard.name}"
    assert inspect_folder(qwen).missing == (shard.name,)


def test_index_that_leaves_the_folder(qwen: Path) -> None:
    index = qwen / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "../../etc/secret.safetensors"}}))
    assert "outside" in refused(qwen).message


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", '{"model_type": 3}', "\x00", "[" * 10**5])
def test_config_that_is_none(qwen: Path, text: str) -> None:
    (qwen / "config.json").write_text(text)
    assert "config.json" in refused(qwen).message


@pytest.mark.parametrize(
    "change",
    [
        {"num_hidden_layers": 4},
        {"num_hidden_layers": 10**6},
        {"num_hidden_layers": 10**30},
        {"num_hidden_layers": -1},
        {"num_hidden_layers": "three"},
        {"num_hidden_layers": True},
        {"hidden_size": 65536},
        {"vocab_size": 16_000_000},
        {"intermediate_size": 4_000_000},
        {"num_attention_heads": 7},
        {"kv_channels": 999},
        {"layer_norm_epsilon": "small"},
        {"rotary_emb_base": {"a": 1}},
    ],
)
def test_config_that_lies(qwen: Path, change: dict[str, Any]) -> None:
    edit(qwen, change)
    refused(qwen)


@pytest.mark.parametrize(
    "change",
    [
        {"num_hidden_layers": 2},
        {"intermediate_size": 3_000_000},
        {"num_key_value_heads": 3},
        {"num_attention_heads": 5},
        {"rms_norm_eps": "x"},
        {"rope_scaling": {"type": "no such thing"}},
    ],
)
def test_native_config_that_lies(tmp_path: Path, change: dict[str, Any]) -> None:
    folder = copied("deepseek-tiny-a", tmp_path)
    edit(folder, change)
    refused(folder)


def test_wrong_shape_names_the_tensor(qwen: Path) -> None:
    shard = next(s for s in qwen.glob("*.safetensors") if "transformer.ln_f.weight" in load_file(s))
    tensors = load_file(shard)
    tensors["transformer.ln_f.weight"] = torch.ones(32)
    save_file(tensors, shard)
    error = refused(qwen)
    assert error.message == "model.norm.weight has shape [32], config.json makes it [64]"


def test_missing_and_unexpected_tensors_are_named(qwen: Path) -> None:
    shard = next(s for s in qwen.glob("*.safetensors") if "transformer.ln_f.weight" in load_file(s))
    tensors = load_file(shard)
    gain = tensors.pop("transformer.ln_f.weight")
    save_file(tensors, shard)
    assert "model.norm.weight" in refused(qwen).message
    tensors |= {"transformer.ln_f.weight": gain, "surprise": torch.ones(2)}
    save_file(tensors, shard)
    assert "surprise" in refused(qwen).message


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers(qwen: Path, value: float) -> None:
    shard = next(s for s in qwen.glob("*.safetensors") if "lm_head.weight" in load_file(s))
    tensors = load_file(shard)
    tensors["lm_head.weight"][17, 3] = value
    save_file(tensors, shard)
    assert "lm_head.weight" in refused(qwen).message


@pytest.mark.parametrize("name", ["weights", "tokenizer"])
def test_lfs_pointer(qwen: Path, name: str) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4\n"
    if name == "weights":
        first_shard(qwen).write_text(pointer)
        error = refused(qwen)
    else:
        (qwen / "qwen.tiktoken").write_text(pointer)
        with pytest.raises(CheckpointError) as caught:
            open_chat_format(qwen)
        error = caught.value
    assert "git-lfs pointer" in error.message
    assert "git lfs pull" in error.next_step


def test_safetensors_header_of_100_mb(qwen: Path) -> None:
    shard = first_shard(qwen)
    with shard.open("wb") as file:
        file.write(struct.pack("<Q", 100_000_000))
        file.truncate(100_000_100)
    assert "header of 100 MB" in refused(qwen).message


@pytest.mark.parametrize(
    "header",
    [
        b"nonsense",
        b"[]",
        b'{"a": 1}',
        b'{"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 8]}}',
        b'{"a": {"dtype": "F32", "shape": [-4], "data_offsets": [0, -16]}}',
        b'{"a": {"dtype": "X9", "shape": [1], "data_offsets": [0, 4]}}',
        b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0]}}',
        b'{"a": {"dtype": "F32", "shape": [1e400], "data_offsets": [0, 4]}}',
    ],
)
def test_broken_safetensors_header(qwen: Path, header: bytes) -> None:
    shard = first_shard(qwen)
    shard.write_bytes(struct.pack("<Q", len(header)) + header + bytes(16))
    assert shard.name in refused(qwen).message


class Attack:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        import os

        return os.system, (f"touch {self.marker}",)


def test_malicious_pickle_runs_nothing(baichuan: Path, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    torch.save({"lm_head.weight": Attack(marker)}, baichuan / "pytorch_model.bin")
    error = refused(baichuan)
    assert "refused" in error.message
    assert not marker.exists()
    with pytest.raises(UserError):
        require_loadable(baichuan)
    assert not marker.exists()


def test_old_style_pickle_runs_nothing(baichuan: Path, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    (baichuan / "pytorch_model.bin").write_bytes(pickle.dumps(Attack(marker)))
    refused(baichuan)
    assert not marker.exists()


@pytest.mark.parametrize(
    "content", [b"", b"\x80\x02.", b"\x80\x02N.", b"garbage", b"c__main__\nx\n."]
)
def test_broken_pickle(baichuan: Path, content: bytes) -> None:
    with zipfile.ZipFile(baichuan / "pytorch_model.bin", "w") as archive:
        archive.writestr("archive/data.pkl", content)
        archive.writestr("archive/version", b"3\n")
    refused(baichuan)


@pytest.mark.parametrize(
    ("change", "remove", "said"),
    [
        ({"hidden_size": 5120}, (), "13B"),
        ({}, ("max_position_embeddings",), "13B"),
        ({"vocab_size": 64000}, (), "first"),
    ],
)
def test_other_baichuans(
    baichuan: Path, change: dict[str, Any], remove: tuple[str, ...], said: str
) -> None:
    edit(baichuan, change, remove)
    error = refused(baichuan)
    assert error.cause == "unsupported"
    assert said in error.message


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"position_encoding_2d": True}, "ChatGLM (the first)"),
        ({"_name_or_path": "THUDM/chatglm2-6b"}, "ChatGLM2"),
        ({"_name_or_path": "", "seq_length": 32768}, "ChatGLM2"),
        ({"_name_or_path": "THUDM/glm-4-9b-chat"}, "GLM-4"),
        ({"vision_config": {"hidden_size": 8}}, "images"),
    ],
)
def test_other_chatglms(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    folder = copied("chatglm3-tiny-a", tmp_path)
    edit(folder, change)
    error = refused(folder)
    assert error.cause == "unsupported"
    assert said in error.message


def test_vision_qwen(qwen: Path) -> None:
    edit(qwen, {"visual": {"width": 1664}})
    assert "images" in refused(qwen).message


def test_no_tokenizer(qwen: Path) -> None:
    open_folder(qwen)
    with pytest.raises(CheckpointError, match=r"qwen\.tiktoken"):
        open_chat_format(qwen)


def test_seam_says_it_in_one_line(qwen: Path) -> None:
    first_shard(qwen).unlink()
    done = subprocess.run(
        [sys.executable, "-m", "tui.worker.check", "logits", str(qwen)],
        input="[[1, 2]]",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("duibi: 1 of 3 weight files are missing")
    assert len(done.stderr.splitlines()) == 2
