"""Models from Hugging Face, or a mirror of it."""

import hashlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.support.consent import quiet, yes
from tests.support.file_server import FileExchange, FileServer, serving
from tests.support.hub import MODEL, WEIGHTS, tiny_chat
from tui.cli import run_command_line as run
from tui.host.errors import EXIT_INTERRUPTED, UserError
from tui.models.reference import parse_reference
from tui.models.resolve import fetch

NAME = f"hf:{MODEL}"


class FakeHuggingFace:
    """What Hugging Face answers; ``cuts`` drops the line after so many bytes of the weights."""

    def __init__(self) -> None:
        self.files = tiny_chat()
        self.cuts: list[int] = []
        self.tokens: list[str] = []
        self.sends_other = False

    def __call__(self, exchange: FileExchange) -> None:
        path = unquote(exchange.path)
        self.tokens.append(exchange.headers.get("Authorization", ""))
        if path == f"/api/models/{MODEL}/revision/main?blobs=true":
            rows = [{"rfilename": name, **self._blob(name)} for name in self.files]
            rows += [{"rfilename": "../evil.safetensors", "size": 9}]
            exchange.answer(200, json.dumps({"siblings": rows}).encode(), "application/json")
        elif path.startswith("/api/models?search="):
            found = json.dumps([{"id": MODEL}, {"id": "other/thing"}]).encode()
            exchange.answer(200, found, "application/json")
        elif path.startswith(f"/{MODEL}/resolve/main/"):
            content = self.files[path.rpartition("/")[2]]
            is_weights = path.endswith(".safetensors")
            if is_weights and self.sends_other:
                content = content[:-1] + b"?"
            exchange.send_file(content, self.cuts.pop(0) if is_weights and self.cuts else None)
        else:
            exchange.answer(401, b'{"error":"Invalid username or password."}', "application/json")

    def _blob(self, name: str) -> dict[str, object]:
        content = self.files[name]
        sha = hashlib.sha256(content).hexdigest()
        lfs = {"lfs": {"sha256": sha, "size": len(content)}} if len(content) > 1000 else {}
        return {"size": len(content), **lfs}


@pytest.fixture
def served(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[tuple[FakeHuggingFace, FileServer]]:
    made = FakeHuggingFace()
    with serving(made) as server:
        monkeypatch.delenv("HF_TOKEN", raising=False)
        for name, value in (
            ("HF_ENDPOINT", server.url),
            ("HF_HUB_CACHE", str(tmp_path / "hf")),
            ("MODELSCOPE_CACHE", str(tmp_path / "ms")),
            ("NO_PROXY", "127.0.0.1"),
        ):
            monkeypatch.setenv(name, value)
        yield made, server


def test_a_model_comes_whole_into_the_cache_of_its_hub(
    served: tuple[FakeHuggingFace, FileServer],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_canary0123456789")
    assert run(["models", "get", NAME, "--yes"]) == 0
    out, err = capsys.readouterr()
    folder = tmp_path / "hf" / "models--acme--Tiny-Chat" / "snapshots" / "main"
    assert out.strip() == str(folder) and "Hugging Face" in err and "canary" not in err
    names = ["config.json", "model.safetensors", "tokenizer.json"]
    assert sorted(path.name for path in folder.iterdir()) == names
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert set(served[0].tokens) == {"Bearer hf_canary0123456789"}
    # It is there now, and is taken as it is.
    asked = len(served[1].requests)
    assert fetch(parse_reference(NAME), yes, quiet) == folder and len(served[1].requests) == asked
    assert run(["models", "rm", NAME, "--yes"]) == 0 and not folder.exists()


def test_a_download_goes_on_where_it_was_cut(
    served: tuple[FakeHuggingFace, FileServer], tmp_path: Path
) -> None:
    made, server = served
    made.cuts = [700_000]
    folder = fetch(parse_reference(NAME), yes, quiet)
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    ranges = [range_ for path, range_ in server.requests if "model.safetensors" in path]
    assert ranges[0] == "" and ranges[-1].startswith("bytes=") and ranges[-1] != "bytes=0-"


def test_a_wrong_name_is_told_with_the_nearest_one(
    served: tuple[FakeHuggingFace, FileServer], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["models", "get", "hf:acme/Tiny-Chatt", "--yes"]) == 2
    told = capsys.readouterr().err
    assert "Hugging Face has no model acme/Tiny-Chatt" in told and f"did you mean {NAME}?" in told
    assert run(["models", "get", "hf:nothing", "--yes"]) == 2
    assert "e.g. hf:" in capsys.readouterr().err


def test_other_content_and_a_stop_leave_no_whole_file(
    served: tuple[FakeHuggingFace, FileServer], tmp_path: Path
) -> None:
    served[0].sends_other = True
    with pytest.raises(UserError, match=r"wrong content was sent: model\.safetensors"):
        fetch(parse_reference(NAME), yes, quiet)
    stop = threading.Event()
    stop.set()
    with pytest.raises(UserError, match="was stopped; what came is kept") as caught:
        fetch(parse_reference(NAME), yes, quiet, None, stop)
    assert caught.value.exit_code == EXIT_INTERRUPTED
    assert not list((tmp_path / "hf").rglob("model.safetensors"))
