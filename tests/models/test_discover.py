import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.support.checkpoints import (
    LFS_POINTER,
    LLAMA,
    llama_shapes,
    write_zero_llama,
    zero_safetensors,
)
from tests.support.small_gguf import write_gguf
from tui.models.catalogue import suggestions
from tui.models.discover import FoundModel, discover
from tui.models.reference import parse_reference
from tui.models.remove import removable_paths

FAMILIES: dict[str, dict[str, Any]] = {
    "llama": LLAMA,
    "qwen": {
        "model_type": "qwen", "hidden_size": 8, "num_attention_heads": 2, "vocab_size": 32,
        "num_hidden_layers": 1, "intermediate_size": 32, "seq_length": 64, "kv_channels": 4,
    },
    "chatglm3": {
        "model_type": "chatglm", "hidden_size": 8, "num_attention_heads": 2, "num_layers": 1,
        "padded_vocab_size": 32, "ffn_hidden_size": 16, "seq_length": 64, "kv_channels": 4,
        "multi_query_attention": True, "multi_query_group_num": 1,
    },
    "baichuan2": {
        "model_type": "baichuan", "hidden_size": 8, "num_attention_heads": 2, "vocab_size": 32,
        "num_hidden_layers": 1, "intermediate_size": 16, "max_position_embeddings": 64,
        "model_max_length": 64,
    },
}  # fmt: skip
TOKENIZER = {"qwen": "qwen.tiktoken", "llama": "tokenizer.json"}


@pytest.fixture(autouse=True)
def nothing_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "ms"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hf"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def by_reference(*roots: Path) -> dict[str, FoundModel]:
    return {found.reference: found for found in discover(roots)}


def test_every_layout_is_found_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ms, hf = tmp_path / "ms", tmp_path / "hf"
    write_zero_llama(ms / "models" / "acme--New-Chat" / "snapshots" / "master")
    write_zero_llama(ms / "models" / "acme--New-Chat" / "snapshots" / "v1.0")
    write_zero_llama(ms / "models" / "acme" / "Older-0___5B")
    write_zero_llama(ms / "hub" / "models" / "acme" / "Old")
    write_zero_llama(ms / "hub" / "acme" / "Oldest")
    blobs = hf / "models--acme--Linked" / "blobs"
    blobs.mkdir(parents=True)
    real, snapshot = (
        write_zero_llama(tmp_path / "real"),
        hf / "models--acme--Linked" / "snapshots" / "abc",
    )
    snapshot.mkdir(parents=True)
    for file in real.iterdir():
        # What is not what ``main`` means there is named by its path.
        (snapshot / file.name).symlink_to(file.rename(blobs / file.name))
    workspace = tmp_path / "workspace"
    write_zero_llama(workspace / "Qwen-7B-Chat")
    write_zero_llama(workspace / "models" / "deeper")
    (workspace / "again").symlink_to(workspace / "Qwen-7B-Chat")
    (workspace / "notes").mkdir()
    write_zero_llama(Path.cwd() / "clone")
    write_gguf(Path.cwd() / "tiny.gguf")
    found = {one.reference: one for one in discover((Path.cwd(), workspace))}
    assert set(found) == {
        "ms:acme/New-Chat",
        str(ms / "models" / "acme--New-Chat" / "snapshots" / "v1.0"),
        "ms:acme/Older-0.5B",
        "ms:acme/Old",
        "ms:acme/Oldest",
        str(snapshot),
        str(workspace / "Qwen-7B-Chat"),
        str(workspace / "models" / "deeper"),
        "./clone",
        "./tiny.gguf",
    } - {str(workspace / "again")}
    assert {one.state for one in found.values()} == {"complete"}
    assert found[str(snapshot)].label == "Linked"
    assert found["ms:acme/Older-0.5B"].label == "Older-0.5B"
    for reference in found:
        parse_reference(reference)


def test_what_a_header_tells(tmp_path: Path) -> None:
    write_zero_llama(tmp_path / "here" / "a")
    found = by_reference(Path.cwd())["./a"]
    elements = sum(
        shape[0] * (shape[1] if len(shape) > 1 else 1) for shape in llama_shapes().values()
    )
    assert (found.family, found.dtype, found.parameters) == ("llama", "bf16", elements)
    assert (found.shape.layers, found.shape.kv_heads, found.shape.head_dim, found.context) == (
        1,
        2,
        4,
        128,
    )
    assert found.size == (tmp_path / "here" / "a" / "model.safetensors").stat().st_size
    assert json.dumps(found.to_json())


@pytest.mark.parametrize("family", FAMILIES)
def test_lfs_pointers_are_told_in_every_family(family: str) -> None:
    folder = Path.cwd() / family
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(FAMILIES[family]))
    (folder / TOKENIZER.get(family, "tokenizer.model")).write_text("x")
    shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    index = {"weight_map": {"a": shards[0], "b": shards[1]}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    for shard in shards:
        (folder / shard).write_bytes(LFS_POINTER)
    found = by_reference(Path.cwd())[f"./{family}"]
    assert (found.state, found.family) == ("lfs", family)
    assert "git lfs pull" in found.why


@pytest.mark.parametrize("family", FAMILIES)
def test_a_missing_shard_is_told_in_every_family(family: str) -> None:
    folder = Path.cwd() / family
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(FAMILIES[family]))
    (folder / TOKENIZER.get(family, "tokenizer.model")).write_text("x")
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model-1.safetensors").write_bytes(zero_safetensors({"a": (32, 8)}))
    found = by_reference(Path.cwd())[f"./{family}"]
    assert found.state == "partial"
    assert "model-2.safetensors" in found.why


def write_indexed(folder: Path, files: dict[str, list[str]], **changes: Any) -> Path:
    """A Llama whose tensors lie in ``files``, all of them named in the index."""
    write_zero_llama(folder, **changes)
    (folder / "model.safetensors").unlink()
    shapes = llama_shapes(LLAMA | changes)
    placed = {name: file for file, names in files.items() for name in names}
    rest = "model-00001-of-00002.safetensors"
    index = {name: placed.get(name, rest) for name in shapes}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    for file in sorted({*index.values()}):
        own = {name: shape for name, shape in shapes.items() if index[name] == file}
        (folder / file).write_bytes(zero_safetensors(own))
    return folder


def test_a_tensor_that_the_index_promises_is_missed() -> None:
    lost = "model.layers.0.mlp.up_proj.weight"
    folder = write_indexed(Path.cwd() / "lacking", {"model-00002-of-00002.safetensors": [lost]})
    assert by_reference(Path.cwd())["./lacking"].state == "complete"
    (folder / "model-00002-of-00002.safetensors").write_bytes(zero_safetensors({"other": (2, 2)}))
    found = by_reference(Path.cwd())["./lacking"]
    assert (found.state, found.why) == (
        "partial",
        f"no file holds 1 of the tensors in the index: {lost}",
    )


def test_an_index_that_names_another_set_of_files_is_looked_up() -> None:
    folder = write_indexed(
        Path.cwd() / "other", {"model-00003-of-00003.safetensors": ["model.norm.weight"]}
    )
    (folder / "model-00003-of-00003.safetensors").unlink()
    (folder / "model-00002-of-00002.safetensors").write_bytes(zero_safetensors({"a": (2, 2)}))
    found = by_reference(Path.cwd())["./other"]
    assert found.state == "partial" and "model.norm.weight" in found.why


def test_what_the_model_does_not_need_is_not_missed() -> None:
    folder = write_indexed(Path.cwd() / "whole", {}, tie_word_embeddings=True)
    index = folder / "model.safetensors.index.json"
    said = json.loads(index.read_text())["weight_map"]
    said |= dict.fromkeys(("model.layers.0.self_attn.rotary_emb.inv_freq",), next(iter(said)))
    shapes = {n: s for n, s in llama_shapes().items() if n != "lm_head.weight"}
    files = set(said.values()) - {next(iter(said))}
    index.write_text(json.dumps({"weight_map": dict.fromkeys(said, files.pop())}))
    (folder / "model-00001-of-00002.safetensors").write_bytes(zero_safetensors(shapes))
    assert by_reference(Path.cwd())["./whole"].state == "complete"


def test_fewer_layers_than_config_says_are_missed() -> None:
    write_zero_llama(Path.cwd() / "short")
    config = Path.cwd() / "short" / "config.json"
    config.write_text(json.dumps(LLAMA | {"num_hidden_layers": 4}))
    found = by_reference(Path.cwd())["./short"]
    assert (found.state, found.why) == (
        "partial",
        "config.json says layers 4, the weight files say 1",
    )


def test_other_states(tmp_path: Path) -> None:
    here = Path.cwd()
    cut = write_zero_llama(here / "cut") / "model.safetensors"
    cut.write_bytes(cut.read_bytes()[:-10])
    (write_zero_llama(here / "running") / "model.safetensors.incomplete").touch()
    (write_zero_llama(here / "no-weights") / "model.safetensors").unlink()
    write_zero_llama(here / "vision", vision_config={"a": 1})
    (write_zero_llama(here / "tokenizer-pointer") / "tokenizer.json").write_bytes(LFS_POINTER)
    (here / "pointer.gguf").write_bytes(LFS_POINTER)
    (here / "broken.gguf").write_bytes(b"nothing")
    (here / "web").mkdir()
    (here / "web" / "config.json").write_text('{"port": 80}')
    states = {name.removeprefix("./"): one.state for name, one in by_reference(here).items()}
    assert states == {
        "cut": "damaged",
        "running": "partial",
        "no-weights": "partial",
        "vision": "unsupported",
        "tokenizer-pointer": "lfs",
        "pointer.gguf": "lfs",
        "broken.gguf": "damaged",
    }


def test_a_deep_or_endless_tree_ends() -> None:
    deep = Path.cwd()
    for n in range(40):
        deep = deep / str(n)
        deep.mkdir()
    (deep / "loop").symlink_to(Path.cwd())
    assert discover([Path.cwd()]) == []


def test_the_short_list_can_be_typed_and_sized() -> None:
    listed = suggestions()
    assert [one.download_bytes for one in listed] == sorted(one.download_bytes for one in listed)
    for one in listed:
        assert parse_reference(one.reference).kind == "modelscope"
        assert one.parameters * 1.9 < one.download_bytes < one.parameters * 3
        assert one.predict_memory("bf16", 2048) > one.parameters * 2
        assert one.licence and one.note and one.note_zh
    assert {one.reference for one in listed if "comparison task" in one.note} == {
        "ms:ZhipuAI/chatglm3-6b",
        "ms:deepseek-ai/deepseek-llm-7b-chat",
        "ms:baichuan-inc/Baichuan2-7B-Chat",
        "ms:qwen/Qwen-7B-Chat",
    }


def test_what_hugging_face_calls_main_is_named_by_its_reference(tmp_path: Path) -> None:
    entry = tmp_path / "hf" / "models--acme--Tiny"
    folder = write_zero_llama(entry / "snapshots" / "abc")
    write_zero_llama(entry / "snapshots" / "old")
    (entry / "refs").mkdir()
    (entry / "refs" / "main").write_text("abc")
    found = by_reference()
    assert set(found) == {"hf:acme/Tiny", str(entry / "snapshots" / "old")}
    assert found["hf:acme/Tiny"].path == folder
    assert removable_paths(parse_reference("hf:acme/Tiny")) == [entry]
