"""Whatever a server says, no key of the environment is stored, shown or logged, nor a part of
one."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.support.fault_server import FaultServer, Received, Reply
from tests.support.endpoints import clear_proxies
from tui.cli import run_command_line as run
from tui.host import paths
from tui.sessions import reader

KEYS = {
    "DUIBI_API_KEY": "sk-own-7c4a8d09ca3762af61e59520943dc26494f8941b",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYcanarykey",
    "OPENAI_API_KEY": "sk-proj-Zq3pXh0v1y9mB2nT",
}


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clear_proxies(monkeypatch)
    monkeypatch.chdir(tmp_path)
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)


def leaked(data: bytes | str) -> list[str]:
    """The keys of which eight characters in a row stand there."""
    text = data if isinstance(data, str) else data.decode("utf-8", "replace")
    return [
        name
        for name, key in KEYS.items()
        if any(key[i : i + 8] in text for i in range(len(key) - 7))
    ]


def in_pieces(size: int) -> Callable[[Reply, Received], None]:
    """Answers with every key, by so many characters, in the thoughts and in the answer."""

    def answer(reply: Reply, received: Received) -> None:
        reply.head()
        said = "".join(f" {name} is {key}." for name, key in KEYS.items())
        for i in range(0, len(said), size):
            reply.data(
                {"choices": [{"index": 0, "delta": {"reasoning_content": said[i : i + size]}}]}
            )
        for i in range(0, len(said), size):
            reply.token(said[i : i + size])
        reply.finish()
        reply.done()

    return answer


def in_an_error(status: int) -> Callable[[Reply, Received], None]:
    def answer(reply: Reply, received: Received) -> None:
        said = "; ".join(f"{key} or {key[5:17]}" for key in KEYS.values())
        body = json.dumps({"error": {"message": said, "code": KEYS["OPENAI_API_KEY"]}}).encode()
        reply.whole(status, body, Location=f"http://x/{KEYS['AWS_SECRET_ACCESS_KEY']}")

    return answer


BEHAVIOURS = (
    *(in_pieces(size) for size in (1, 3, 11, 500)),
    *(in_an_error(status) for status in (302, 400)),
)


def each_in_turn(reply: Reply, received: Received) -> None:
    BEHAVIOURS[received.number % len(BEHAVIOURS)](reply, received)


def test_nothing_of_a_key_is_left(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    models = (*KEYS.values(), "m")
    asked = [f"Is {KEYS['OPENAI_API_KEY']} a key?", *(f"Why {n}?" for n in range(11))]
    Path("set.txt").write_text("\n".join(asked))
    with FaultServer(each_in_turn, models=models) as server:
        assert run(["run", f"{server.url}#m", "--questions", "set.txt"]) == 1
        assert server.asked >= len(asked)
    (session,) = paths.sessions_dir().glob("*.duibi")
    for kind in ("md", "html", "csv", "jsonl", "cast"):
        assert run(["report", str(session), "--out", f"report.{kind}"]) == 0
        assert Path(f"report.{kind}").stat().st_mode & 0o777 == 0o600
    run(["run", "--resume", str(session), "--out", "run.json"])
    assert Path("run.json").stat().st_mode & 0o777 == 0o600
    run(["replay", str(session), "--plain", "--speed", "max"])
    run(["sessions", "show", str(session)])
    events = reader.read(session).events
    told = capfd.readouterr()
    assert "***" in told.out + told.err + "".join(map(str, events))
    assert leaked(told.out + told.err) == []
    Path("set.txt").unlink()
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert session in written and len(written) > 6
    assert {str(path): found for path in written if (found := leaked(path.read_bytes()))} == {}


def test_names_that_a_service_lists_show_no_key(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with FaultServer(in_pieces(3), models=tuple(KEYS.values())) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        for command in (["models", "list", "--services"], ["doctor"]):
            run(command)
        run(["models", "list", "--services", "--json"])
    told = capsys.readouterr()
    assert "***" in told.out and leaked(told.out + told.err) == []
