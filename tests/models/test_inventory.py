"""What can be used here beyond the caches: named folders and a running Ollama."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.support.checkpoints import write_zero_llama
from tests.support.file_server import FileExchange, FileServer, serving
from tests.support.folders import empty_place
from tui.cli import run_command_line as run
from tui.host import paths
from tui.models import ollama
from tui.models.inventory import find_models
from tui.models.reference import parse_reference
from tui.settings import load

# As the API documentation of Ollama shows an answer, with one entry of each oddity.
TAGS = {
    "models": [
        {
            "name": "qwen2.5:0.5b",
            "model": "qwen2.5:0.5b",
            "modified_at": "2026-10-04T23:34:03Z",
            "size": 397821319,
            "digest": "a8b0c51577010a279d933d14c2a8ab4b268079d44c5c8830c0a93900f1827c67",
            "details": {
                "format": "gguf", "family": "qwen2", "families": ["qwen2"],
                "parameter_size": "494.03M", "quantization_level": "Q4_K_M",
            },
        },
        {"name": "bare:latest", "size": 5},
        {"name": "evil\x1b[2J", "size": 5},
        {"name": "odd", "size": "large"},
        {"name": "words", "size": 7, "details": {"family": "\x1b]0;x", "parameter_size": 3}},
        "nonsense",
    ]
}  # fmt: skip


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:1")
    return empty_place(tmp_path, monkeypatch)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    def answer(exchange: FileExchange) -> None:
        known = exchange.path == "/api/tags"
        body = json.dumps(TAGS).encode() if known else b"{}"
        exchange.answer(200 if known else 404, body, "application/json")

    with serving(answer) as started:
        monkeypatch.setenv("OLLAMA_HOST", started.url.removeprefix("http://"))
        yield started


def test_a_running_ollama_is_found_with_its_models(server: FileServer) -> None:
    found = {one.reference: one for one in find_models({}, (), {})}
    assert list(found) == ["ollama:qwen2.5:0.5b", "ollama:bare:latest", "ollama:words"]
    one = found["ollama:qwen2.5:0.5b"]
    assert (one.family, one.dtype, one.size, one.state) == (
        "qwen2", "Q4_K_M", 397821319, "complete",
    )  # fmt: skip
    assert one.parameters == 494_030_000 and one.served
    assert one.size < one.predict_memory("bf16", 2048) < one.size * 1.2
    assert found["ollama:words"].family == ""
    assert parse_reference(one.reference).kind == "service"


def test_the_list_shows_them(server: FileServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "list"]) == 0
    row = next(li for li in capsys.readouterr().out.splitlines() if "qwen2.5:0.5b" in li)
    assert "qwen2" in row and "398 MB" in row and row.endswith("running in Ollama")


def test_where_no_ollama_runs_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert find_models({}, (), {}) == []
    assert run(["models", "list"]) == 0
    assert "ollama" not in capsys.readouterr().err


@pytest.mark.parametrize("answer", [b"", b"[]", b"{", b'{"models": 3}', b"[" * 100_000])
def test_any_answer_is_survived(answer: bytes) -> None:
    assert ollama.parse_tags(answer) == []


def test_settings_name_further_places(tmp_path: Path, here: Path) -> None:
    write_zero_llama(tmp_path / "far" / "away" / "deep" / "Named")
    write_zero_llama(tmp_path / "disk" / "team" / "Shared")
    (paths.config_dir() / "duibi.toml").write_text(
        f'model_folders = ["{tmp_path}/disk"]\n[aliases]\n'
        f'q = "{tmp_path}/far/away/deep/Named@int8"\n'
        'gone = "./not-here"\ngpt = "openai:gpt-4o"\nbad = "no such thing"\n'
    )
    settings = load()
    found = find_models(settings.aliases, settings.model_folders, settings.run.services)
    assert [one.label for one in found] == ["Shared", "Named"]
    assert all(one.state == "complete" for one in found)
