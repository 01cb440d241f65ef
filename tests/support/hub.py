"""A server on this machine that speaks ModelScope's API as its SDK uses it."""

import hashlib
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from benchmarks.support.checkpoints import LLAMA, llama_shapes, zero_safetensors
from tests.support.file_server import FileExchange, FileServer

MODEL = "acme/Tiny-Chat"
WEIGHTS = zero_safetensors(llama_shapes({**LLAMA, "vocab_size": 60_000}))
_SMALL = 100_000
_PIECE = 16_384


def tiny_chat() -> dict[str, bytes]:
    """A model as it is published: with weights in two forms, code, and a page about it."""
    return {
        "config.json": json.dumps({**LLAMA, "vocab_size": 60_000}).encode(),
        "tokenizer.json": b"{}",
        "model.safetensors": WEIGHTS,
        "pytorch_model.bin": b"x" * 5000,
        "modeling_tiny.py": b"raise SystemExit",
        "README.md": b"# Tiny",
    }


class FakeHub:
    """What the SDK asks for, answered as ModelScope answers. ``listed`` changes entries of the
    list, ``extra`` adds some, ``status`` refuses everything, ``cuts`` drops the line after so
    many bytes of a large file, ``stall_after`` holds it there while it is set, and ``pace`` is
    bytes a second."""

    def __init__(self, models: dict[str, dict[str, bytes]] | None = None) -> None:
        self.models = models or {MODEL: tiny_chat()}
        self.listed: dict[str, dict[str, Any]] = {}
        self.extra: list[dict[str, Any]] = []
        self.status = 200
        self.cuts: list[int] = []
        self.stall_after: int | None = None
        self.pace: int | None = None

    @property
    def files(self) -> dict[str, bytes]:
        """Those of the first model."""
        return next(iter(self.models.values()))

    def __call__(self, exchange: FileExchange) -> None:
        path = unquote(exchange.path.partition("?")[0])
        model, _, rest = path.removeprefix("/api/v1/models/").partition("/repo")
        files = self.models.get(model)
        if self.status != 200:
            body = {"Code": self.status, "Message": "no", "Success": False}
            exchange.answer(self.status, json.dumps(body).encode(), "application/json")
        elif files is not None and rest == "/files":
            listing = {"Code": 200, "Success": True, "Data": {"Files": self._list(files)}}
            exchange.answer(200, json.dumps(listing).encode(), "application/json")
        elif files is not None and not rest:
            self._send(exchange, files)
        else:
            exchange.answer(404, b"{}", "application/json")

    def _list(self, files: dict[str, bytes]) -> list[dict[str, Any]]:
        entries = [
            {
                "Path": name,
                "Name": name,
                "Type": "blob",
                "Size": len(content),
                "Sha256": hashlib.sha256(content).hexdigest(),
                **self.listed.get(name, {}),
            }
            for name, content in files.items()
        ]
        return entries + self.extra

    def _send(self, exchange: FileExchange, files: dict[str, bytes]) -> None:
        content = files.get(exchange.query["FilePath"])
        if content is None:
            exchange.answer(404, b"{}", "application/json")
        elif len(content) < _SMALL:
            exchange.send_file(content)
        elif self.pace:
            exchange.send_file(content, writer=self._slowly)
        else:
            stall = self.stall_after
            exchange.send_file(content, stall or (self.cuts.pop(0) if self.cuts else None))
            while stall and self.stall_after:
                time.sleep(0.02)

    def _slowly(self, exchange: FileExchange, body: bytes) -> None:
        for first in range(0, len(body), _PIECE):
            exchange.wfile.write(body[first : first + _PIECE])
            if pace := self.pace:
                time.sleep(_PIECE / pace)


def hub_environment(server: FileServer, folder: Path) -> dict[str, str]:
    """What a process must see to speak with the server and to keep everything in a folder."""
    return {
        "MODELSCOPE_ENDPOINT": server.url,
        "MODELSCOPE_CACHE": str(folder / "ms"),
        "MODELSCOPE_HOME": str(folder / "ms-home"),
        "HF_HUB_CACHE": str(folder / "hf"),
        "NO_PROXY": "127.0.0.1",
    }


def use_hub(server: FileServer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`hub_environment` for this process."""
    monkeypatch.delenv("MODELSCOPE_API_TOKEN", raising=False)
    for name, value in hub_environment(server, folder).items():
        monkeypatch.setenv(name, value)
