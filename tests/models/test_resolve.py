import json
from pathlib import Path

import pytest

from benchmarks.support.checkpoints import LFS_POINTER, write_zero_llama
from benchmarks.support.demo import link_demo
from tests.support.consent import never_asked, quiet
from tests.support.folders import empty_place
from tests.support.small_gguf import write_gguf
from tui.host.errors import UserError
from tui.host.paths import cache_dir
from tui.models import demo
from tui.models.reference import parse_reference
from tui.models.resolve import resolve, resolve_all, unique_labels
from tui.models.resolved import ResolvedModel


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return empty_place(tmp_path, monkeypatch)


def resolved(text: str) -> ResolvedModel:
    return resolve(parse_reference(text), never_asked, quiet)


def refused(text: str) -> str:
    with pytest.raises(UserError) as caught:
        resolved(text)
    assert caught.value.exit_code == 2
    assert "\n" not in caught.value.message
    return f"{caught.value.message} -> {caught.value.next_step}"


def test_the_demo_is_its_file() -> None:
    path = link_demo(cache_dir())
    one = resolved("demo@fp32")
    assert (one.checkpoint, one.dtype, one.label) == (path, "fp32", "demo@fp32")
    assert (one.family, one.context, one.checkpoint_bytes) == ("llama", 8192, demo.SIZE)
    assert one.engine == "local"
    assert (one.mixture, one.licence) == ("Q4_1 210, F32 61, Q8_0 1", "apache-2.0")


def test_a_folder_is_inspected_and_bf16_by_default(here: Path) -> None:
    folder = write_zero_llama(here / "Tiny-Chat")
    one = resolved("./Tiny-Chat")
    assert (one.checkpoint, one.dtype, one.family) == (folder, "bf16", "llama")
    assert one.label == "Tiny-Chat@bf16"
    assert one.parameters > 0 and one.checkpoint_bytes == one.parameters * 2
    assert json.loads(json.dumps(one.to_json()))["checkpoint"] == str(folder)


def test_a_gguf_is_known_by_its_header(here: Path) -> None:
    size = write_gguf(here / "tiny.gguf").stat().st_size
    one = resolved("tiny.gguf@bf16")
    assert (one.checkpoint, one.label, one.checkpoint_bytes) == (
        here / "tiny.gguf", "tiny@bf16", size,
    )  # fmt: skip
    assert (one.family, one.parameters, one.context) == ("llama", 114_752, 256)
    (here / "in-folder").mkdir()
    (here / "tiny.gguf").rename(here / "in-folder" / "tiny.gguf")
    assert resolved("./in-folder").checkpoint == here / "in-folder" / "tiny.gguf"
    (here / "in-folder" / "other.gguf").write_bytes(b"GGUF" + bytes(60))
    assert "other.gguf, tiny.gguf" in refused("./in-folder")


def test_a_downloaded_model_needs_no_network(tmp_path: Path) -> None:
    folder = write_zero_llama(tmp_path / "ms" / "models" / "acme--Tiny" / "snapshots" / "master")
    assert resolved("ms:acme/Tiny").checkpoint == folder
    assert resolved("ms:acme/Tiny").label == "Tiny@bf16"


def test_labels_differ_in_a_run(here: Path) -> None:
    link_demo(cache_dir())
    write_zero_llama(here / "a" / "Tiny")
    write_zero_llama(here / "b" / "Tiny")
    texts = ["demo@bf16", "demo@fp32", "demo@bf16", "demo@bf16", "./a/Tiny", "./b/Tiny"]
    references = [parse_reference(text) for text in texts]
    found = resolve_all(references, never_asked, quiet)
    labels = [one.label for one in unique_labels(found)]
    assert labels == [
        "demo@bf16", "demo@fp32", "demo@bf16 #2", "demo@bf16 #3", "Tiny@bf16", "Tiny@bf16 #2",
    ]  # fmt: skip


def test_nothing_is_fetched_for_a_run_with_a_misspelt_name() -> None:
    with pytest.raises(UserError, match="no folder"):
        resolve_all([parse_reference("demo"), parse_reference("./nope")], never_asked, quiet)


def test_what_is_not_there_names_the_nearest(here: Path) -> None:
    write_zero_llama(here / "Qwen-7B-Chat")
    assert "did you mean ./Qwen-7B-Chat?" in refused("./qwen-7b-caht")
    assert f"did you mean {here}/Qwen-7B-Chat?" in refused(f"{here}/Qwen-7B-Cha")
    assert "ms:qwen/Other" in refused("qwen/Other")
    assert "duibi models list" in refused("/nowhere/at/all")
    (here / "weights.gguf").write_bytes(b"GGUF" + bytes(60))
    assert "did you mean ./weights.gguf?" in refused("weigths.gguf")


def test_a_base_without_its_folder_sign_is_shown_with_it(here: Path) -> None:
    write_zero_llama(here / "m" / "base")
    (here / "m" / "lora").mkdir()
    (here / "m" / "lora" / "adapter_config.json").write_text("{}")
    (here / "m" / "lora" / "adapter_model.safetensors").write_bytes(b"")
    assert refused("m/lora+m/base").endswith("-> did you mean m/lora+./m/base?")


def test_an_adapter_that_stands_behind_or_before_a_file_says_why(here: Path) -> None:
    (here / "lora").mkdir()
    (here / "lora" / "adapter_config.json").write_text("{}")
    (here / "lora" / "adapter_model.safetensors").write_bytes(b"")
    (here / "small.gguf").write_bytes(b"GGUF" + bytes(60))
    assert "an adapter stands before its base: ./lora+demo" in refused("demo+./lora")
    assert "small.gguf is a GGUF file: no adapter is merged into one" in refused("lora+small.gguf")


def test_what_cannot_be_used_says_why(here: Path) -> None:
    (here / "empty").mkdir()
    (write_zero_llama(here / "none") / "model.safetensors").unlink()
    (write_zero_llama(here / "pointers") / "model.safetensors").write_bytes(LFS_POINTER)
    (here / "pointer.gguf").write_bytes(LFS_POINTER)
    (here / "text.gguf").write_text("hello")
    (here / "file").write_text("hello")
    assert "config.json" in refused("./empty")
    assert "model.safetensors" in refused("./none")
    assert "git lfs pull" in refused("./pointers")
    assert "lfs pull" in refused("pointer.gguf")
    assert "not a GGUF file" in refused("text.gguf")
    assert "is a file" in refused("./file")


@pytest.mark.parametrize(
    "text", ["openai:gpt-4o", "http://localhost:1/v1#x", "session:a#b", "pasted:x"]
)
def test_what_holds_no_weights_here_is_found_by_who_knows_it(text: str) -> None:
    assert "no weights" in refused(text)
    made = ResolvedModel(text, text, "endpoint", Path(), "")
    assert resolve(parse_reference(text), never_asked, quiet, resolve_remote=lambda _: made) is made
