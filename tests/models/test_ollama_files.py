"""The models that Ollama keeps, found by name without a server."""

import hashlib
import json
from pathlib import Path

import pytest

from tests.support.small_gguf import write_gguf
from tui.cli import run_command_line as run
from tui.host.errors import UserError
from tui.models import ollama_files
from tui.models.discover import discover
from tui.models.reference import parse_reference
from tui.models.resolve import resolve


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "ollama"))
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "ms"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "ollama"


def keep(folder: Path, name: str, *kinds: str) -> Path:
    """A model as ``ollama pull`` leaves it; gives its file."""
    made = write_gguf(folder.parent / "made")
    blob = folder / "blobs" / f"sha256-{hashlib.sha256(name.encode()).hexdigest()}"
    blob.parent.mkdir(parents=True, exist_ok=True)
    made.rename(blob)
    digest = blob.name.replace("-", ":")
    layers = [
        {"mediaType": f"application/vnd.ollama.image.{kind}", "digest": digest, "size": 1}
        for kind in kinds or ("template", "model")
    ]
    manifest = folder / "manifests" / name
    manifest.parent.mkdir(parents=True)
    manifest.write_text(json.dumps({"schemaVersion": 2, "layers": layers}))
    return blob


def test_models_have_the_names_that_ollama_gives_them(folder: Path) -> None:
    blob = keep(folder, "registry.ollama.ai/library/qwen3/4b")
    keep(folder, "registry.ollama.ai/acme/tiny/latest")
    keep(folder, "hf.co/acme/other/Q4_K_M")
    assert [one.name for one in ollama_files.find_all()] == [
        "acme/tiny:latest",
        "hf.co/acme/other:Q4_K_M",
        "qwen3:4b",
    ]
    assert ollama_files.find("qwen3:4b").blob == blob
    assert ollama_files.find("acme/tiny").name == "acme/tiny:latest"
    with pytest.raises(UserError, match="keeps no model qwen3:latest") as caught:
        ollama_files.find("qwen3")
    assert "ollama-file:qwen3:4b" in caught.value.next_step


def test_they_are_listed_and_loaded_as_local_files(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blob = keep(folder, "registry.ollama.ai/library/qwen3/4b")
    (found,) = (one for one in discover(()) if one.reference == "ollama-file:qwen3:4b")
    assert (found.label, found.state, found.family) == ("qwen3:4b", "complete", "llama")
    for text in ("ollama-file:qwen3:4b@int8", f"{blob}@int8"):
        made = resolve(parse_reference(text), lambda _: False, lambda *_: None)
        assert (made.checkpoint, made.dtype, made.parameters) == (blob, "int8", 114_752)
    assert run(["models", "inspect", "ollama-file:qwen3:4b"]) == 0
    assert "114,752" in capsys.readouterr().out
    assert run(["models", "inspect", "ollama-file:qwen4"]) == 2
    assert "Ollama keeps no model" in capsys.readouterr().err
    assert run(["models", "rm", "ollama-file:qwen3:4b", "--yes"]) == 2
    assert "ollama rm qwen3:4b" in capsys.readouterr().err


def test_a_file_of_two_names_is_listed_by_both(folder: Path) -> None:
    blob = keep(folder, "registry.ollama.ai/library/qwen3/4b")
    manifest = folder / "manifests" / "registry.ollama.ai" / "library" / "qwen3" / "4b"
    manifest.with_name("latest").write_bytes(manifest.read_bytes())
    names = ["ollama-file:qwen3:4b", "ollama-file:qwen3:latest"]
    assert [one.reference for one in discover((), named=[blob])] == names
    made = [resolve(parse_reference(name), lambda _: False, lambda *_: None) for name in names]
    assert [one.label for one in made] == ["qwen3:4b", "qwen3:latest"]
    assert made[0].weights_key == made[1].weights_key


def test_what_only_ollama_can_put_together_is_refused(folder: Path) -> None:
    keep(folder, "registry.ollama.ai/library/tuned/latest", "model", "adapter")
    with pytest.raises(UserError, match="with an adapter") as caught:
        ollama_files.find("tuned")
    assert "ollama:tuned" in caught.value.next_step


@pytest.mark.parametrize("text", ["{", "[]", '{"layers": 3}', '{"layers": [{"digest": 1}]}'])
def test_manifests_of_another_form_are_left_out(folder: Path, text: str) -> None:
    keep(folder, "registry.ollama.ai/library/good/latest")
    bad = folder / "manifests" / "registry.ollama.ai" / "library" / "bad" / "latest"
    bad.parent.mkdir()
    bad.write_text(text)
    assert [one.name for one in ollama_files.find_all()] == ["good:latest"]
    with pytest.raises(UserError, match="is not here"):
        ollama_files.find("bad")
