"""`duibi run` and `report` of GGUF files: of several architectures, in parts, kept by Ollama."""

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support.commands import in_this_process
from tests.support.small_architectures import write_architecture
from tests.support.small_gguf import write_gguf
from tui.checkpoints.gguf_header import read_header

pytest.importorskip("xllamacpp")
SHORT = ("--questions", "smoke", "--max-new-tokens", "4", "--greedy", "--no-measure")
MAMBA, WHOLE = 106_176, 114_752


def test_an_empty_chat_template_is_not_passed_over(tmp_path: Path) -> None:
    file, empty = write_gguf(tmp_path / "tiny.gguf"), tmp_path / "empty.jinja"
    empty.write_text("\n")
    code, _, told = in_this_process("run", str(file), *SHORT, "--chat-template", str(empty))
    assert code == 2 and f"{empty}: is empty" in told and "Jinja chat template" in told


def test_a_report_has_the_facts_of_their_headers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "ollama"))
    mamba = write_architecture(tmp_path / "q?x=1.gguf", "mamba")
    parts = write_gguf(tmp_path / "parts.gguf", parts=3)
    named = parts.with_name("parts-00002-of-00003.gguf")
    keep(tmp_path / "ollama", write_gguf(tmp_path / "made", metadata={"general.license": "mit"}))
    names = (str(mamba), str(named), "ollama-file:tiny:1b", "ollama-file:tiny")
    code, printed, told = in_this_process(
        "run", *names, *SHORT, "--json", "--sessions", str(tmp_path / "s")
    )
    assert code == 0, told
    result = json.loads(printed)
    models = result["models"]
    assert [one["label"] for one in models] == ["q?x=1", "parts", "tiny:1b", "tiny:latest"]
    assert [one["family"] for one in models] == ["mamba", "llama", "llama", "llama"]
    assert [one["parameters"] for one in models] == [MAMBA, WHOLE, WHOLE, WHOLE]
    assert [one["weights_of"] for one in models] == [None, None, None, 2]
    assert all(a["state"] == "answered" for one in models for a in one["answers"])
    for language, own in (("en", "from this machine's disk"), ("zh", "本机文件")):
        code, report, told = in_this_process("report", result["session"], "--lang", language)
        assert code == 0, told
        stored = read_header(mamba).mixture
        for fact in (stored, "mit", "ollama pull tiny:1b", own, str(named), "mamba"):
            assert fact in report


def keep(folder: Path, file: Path) -> None:
    """A model by two names, as ``ollama pull`` leaves it."""
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    blob = folder / "blobs" / f"sha256-{digest}"
    blob.parent.mkdir(parents=True)
    file.rename(blob)
    layer = {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{digest}"}
    for tag in ("1b", "latest"):
        manifest = folder / "manifests" / "registry.ollama.ai" / "library" / "tiny" / tag
        manifest.parent.mkdir(parents=True, exist_ok=True)
        manifest.write_text(json.dumps({"schemaVersion": 2, "layers": [layer]}))


def test_a_run_that_has_no_room_on_the_disk_leaves_no_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_gguf(tmp_path / "small.gguf")
    no_room = SimpleNamespace(free_bytes=lambda folder: 1)
    monkeypatch.setattr("tui.models.conversion.filesystem", no_room)
    folder = tmp_path / "sessions"
    code, _, told = in_this_process("run", f"{file}@fp32", *SHORT, "--sessions", str(folder))
    assert code == 2 and "no space to convert small.gguf" in told
    assert not [*folder.glob("*.duibi")]
