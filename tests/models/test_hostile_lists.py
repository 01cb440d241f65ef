"""What a hub or a server lists is no list, has no end, or names what is no model."""

import json
from typing import Any

import httpx2
import pytest

from tests.support.file_server import FileExchange, serving
from tui.cli import run_command_line as run
from tui.models import local_servers, net, ollama
from tui.services import Service
from tui.text.sanitise import clean

DEEP = b"[" * 100_000


@pytest.mark.parametrize(
    "listed",
    [
        *(b"null", b"[]", b"3", b'"x"', b"{", b"\xff\xfe", DEEP, b"", b"<html>\x1bc</html>"),
        *(b'{"siblings": null}', b'{"siblings": {"a": 1}}', b'{"siblings": "files"}'),
        b'{"siblings": [null, 3, "x", [], {"rfilename": 3}, {"lfs": 3}, {"rfilename": null}]}',
        b'{"siblings": [{"rfilename": "model.safetensors", "size": -1, "lfs": {"sha256": []}}]}',
        json.dumps({"siblings": [{"rfilename": "m.safetensors", "size": 10**300}]}).encode(),
        json.dumps({"siblings": [{"rfilename": "\x1b]0;x\x07\u202e.gguf", "size": 9}]}).encode(),
        json.dumps(
            {
                "siblings": [
                    {"rfilename": f"{up}model.safetensors", "size": 9} for up in ("../", "/")
                ]
            }
        ).encode(),
    ],
)
def test_a_list_of_hugging_face_is_a_list_or_one_line(
    listed: bytes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(lambda exchange: exchange.answer(200, listed, "application/json")) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert run(["models", "get", "hf:acme/Tiny", "--yes"]) in (2, 3)
    told = capsys.readouterr()
    assert not told.out and told.err == clean(told.err)
    assert "unexpected" not in told.err and "Traceback" not in told.err


def test_the_near_names_of_a_hub_do_nothing_to_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(exchange: FileExchange) -> None:
        is_search = "search=" in exchange.path
        names: list[Any] = [None, 3, {"id": 3}, {"id": "acme/Tiny\x1bc\u202e"}]
        body = json.dumps(names).encode() if is_search else b"{}"
        exchange.answer(200 if is_search else 404, body, "application/json")

    with serving(missing) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert run(["models", "get", "hf:acme/Tiny2", "--yes"]) == 2
    told = capsys.readouterr().err
    assert "did you mean hf:acme/Tiny" in told and told == clean(told)


class Endless:
    """A response that goes on; ``at`` is the clock, which each piece moves on by ``s`` seconds."""

    url = httpx2.URL("http://hub/list")

    def __init__(self, piece: bytes, s: float, monkeypatch: pytest.MonkeyPatch) -> None:
        self.piece, self.s, self.at, self.sent = piece, s, 0.0, 0
        monkeypatch.setattr("tui.models.net.time.monotonic", lambda: self.at)

    def iter_bytes(self) -> Any:
        while True:
            self.at += self.s
            self.sent += len(self.piece)
            yield self.piece


@pytest.mark.parametrize(
    ("piece", "s", "why"), [(b"x" * 1000, 0.0, "more than"), (b"x", 1.0, "still answering after")]
)
def test_an_answer_without_end_is_left(
    piece: bytes, s: float, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    response = Endless(piece, s, monkeypatch)
    with pytest.raises(net.UnreachableError, match=why):
        net.read_body(response, 10_000)  # type: ignore[arg-type]
    assert response.sent <= 11_000 and response.at < 100


def test_headers_without_end_are_left() -> None:
    def many(exchange: FileExchange) -> None:
        for _ in range(100):
            exchange.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)
        exchange.answer(200, b"{}", "application/json")

    with serving(many) as server:
        assert ollama.fetch(server.url) == b""
        with (
            net.http_client() as http,
            pytest.raises(net.UnreachableError, match="more than 262,144 bytes of headers"),
            http.stream("GET", server.url),
        ):
            pass


@pytest.mark.parametrize(
    "entry",
    [
        {"name": "m", "size": 10**300},
        {"name": "m", "size": -1},
        {"name": "m\x1b[2J", "size": 1},
        {"name": "m\u202e", "size": 1},
        {"name": ["m"], "size": 1},
        "m",
        None,
    ],
)
def test_what_is_no_model_of_a_server_is_left_out(entry: object) -> None:
    assert ollama.parse_tags(json.dumps({"models": [entry]}).encode()) == []


def test_what_a_server_says_of_a_model_is_a_number_or_nothing() -> None:
    for count in ("9" * 400, "1" + "0" * 310 + "B", "nan", "inf", "-1", "1e9"):
        told = {"name": "m", "size": 1, "details": {"parameter_size": count}}
        (model,) = ollama.parse_tags(json.dumps({"models": [told]}).encode())
        assert model.parameters == 0


def test_a_long_list_of_a_server_is_cut() -> None:
    many = [{"name": f"m{n}", "id": f"m{n}", "size": 1} for n in range(20_000)]
    assert len(ollama.parse_tags(json.dumps({"models": many}).encode())) == ollama.MOST_LISTED
    service = Service("lmstudio", base_url="http://127.0.0.1:1/v1")
    listed = local_servers.parse_list(json.dumps({"data": many}).encode(), service)
    assert len(listed) == ollama.MOST_LISTED
