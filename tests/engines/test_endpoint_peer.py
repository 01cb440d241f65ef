"""The endpoint engine against a server that others wrote: `transformers serve` with the demo.

Its packages are installed apart from the program, by `make slow` or once by hand:

    python -m pip install --no-deps --target .venv/peers --requirement tests/peers.txt

(or anywhere else that DUIBI_PEERS names). Without them these tests are skipped.
"""

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.demo import demo_gguf
from tui.engines.base import Message, Request, Sampling
from tui.engines.endpoint import EndpointEngine
from tui.engines.services import find
from tui.events import Answered, Body, Cancelled, Delta, Failed, Loaded, Started
from tui.worker.gguf import converted

PEERS = Path(os.environ.get("DUIBI_PEERS") or Path(sys.prefix) / "peers")
GREEDY = Sampling(greedy=True)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (PEERS / "fastapi").is_dir(), reason=f"no server packages in {PEERS}"),
]


class Peer:
    """A running server: its address, its model's name, and its process."""

    def __init__(self, url: str, model: str, process: psutil.Process) -> None:
        self.url, self.model, self.process = url, model, process

    def engine(self, model: str = "") -> EndpointEngine:
        service, name = find(f"{self.url}#{model or self.model}", {}, {})
        return EndpointEngine(service, name, environ={})

    def busy_seconds(self, seconds: float) -> float:
        """CPU seconds that the server spends within ``seconds``."""
        before = self.process.cpu_times()
        time.sleep(seconds)
        after = self.process.cpu_times()
        return float(after.user - before.user + after.system - before.system)


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    folder = converted(demo_gguf(), tmp_path_factory.mktemp("converted"), lambda *_: None)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("peer") / "log"
    command = [Path(sys.executable).parent / "transformers", "serve", folder]
    command += [
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--device",
        "cpu",
        "--dtype",
        "bfloat16",
    ]
    environment = os.environ | {
        "PYTHONPATH": str(PEERS),
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_CACHE": str(tmp_path_factory.mktemp("hub")),  # or it fails to list models
        # One thread: with several, a neighbour on the same cores slows it down many times over.
        "OMP_NUM_THREADS": "1",
    }
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment
        )
    try:
        _wait_until_healthy(port, process, log)
        yield Peer(f"http://127.0.0.1:{port}/v1", str(folder), psutil.Process(process.pid))
    finally:
        process.kill()
        process.wait(10)


def _wait_until_healthy(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + 240
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).close()
            return
        time.sleep(0.5)
    pytest.fail(f"the server does not start:\n{log.read_text()[-3000:]}")


def ask(engine: EndpointEngine, *requests: Request) -> list[tuple[int, Body]]:
    try:
        return list(engine.answer(requests))
    finally:
        engine.close()


def question(text: str, answer: int = 0, new: int = 24, sampling: Sampling = GREEDY) -> Request:
    return Request(answer, (Message("user", text),), new, sampling)


def text_of(events: list[tuple[int, Body]], answer: int = 0) -> str:
    return "".join(b.text for _, b in events if isinstance(b, Delta) and b.answer == answer)


def test_it_loads_streams_and_counts(peer: Peer) -> None:
    engine = peer.engine()
    loaded = engine.load(lambda _, __: None)
    assert isinstance(loaded, Loaded) and loaded.family == "url"
    events = ask(engine, question("What is the capital of France?"))
    last = events[-1][1]
    assert isinstance(events[0][1], Started) and isinstance(last, Answered), last
    assert "Paris" in text_of(events)
    deltas = [t for t, b in events if isinstance(b, Delta)]
    assert len(deltas) >= 5 and deltas[-1] > deltas[0] and deltas == sorted(deltas)
    assert last.token_source == "usage" and last.finish in ("stop", "length")
    assert last.prompt_tokens > 5 and 5 <= last.output_tokens <= 24
    assert last.ttft_ms and last.tpot_ms and last.e2e_ms and last.ttft_ms < last.e2e_ms


def test_an_answer_at_its_limit_says_length(peer: Peer) -> None:
    events = ask(peer.engine(), question("Tell me a long story about a fox.", new=8))
    last = events[-1][1]
    assert isinstance(last, Answered)
    assert (last.finish, last.output_tokens) == ("length", 8)


def test_the_conversation_so_far_is_part_of_the_prompt(peer: Peer) -> None:
    turns = (
        Message("user", "What is the capital of France?"),
        Message("assistant", "The capital of France is Paris."),
        Message("user", "And of Italy?"),
    )
    one, whole = [
        ask(peer.engine(), Request(0, messages, 24, GREEDY)) for messages in (turns[2:], turns)
    ]
    short, long = one[-1][1], whole[-1][1]
    assert isinstance(short, Answered) and isinstance(long, Answered)
    # Two more messages: 7 + 7 words and the marks around each.
    assert 20 <= long.prompt_tokens - short.prompt_tokens <= 60
    assert "Rome" in text_of(whole) and text_of(one) != text_of(whole)


def test_several_are_answered_at_once(peer: Peer) -> None:
    requests = [question(f"Count from {i} to {i + 3}.", answer=i, new=8) for i in range(4)]
    events = ask(peer.engine(), *requests)
    finals = {b.answer for _, b in events if isinstance(b, Answered)}
    assert finals == {0, 1, 2, 3}
    alone = ask(peer.engine(), requests[2])
    assert text_of(alone, 2) == text_of(events, 2)


def test_cancelling_stops_the_server(peer: Peer) -> None:
    engine = peer.engine()
    seen = 0
    cancelled_at, took = 0.0, 0.0
    for _, body in engine.answer([question("Tell me a very long story.", new=2000)]):
        seen += isinstance(body, Delta)
        if seen == 3 and not cancelled_at:
            cancelled_at = time.monotonic()
            engine.cancel([0])
        if isinstance(body, Cancelled):
            took = time.monotonic() - cancelled_at
    assert 0 < took < 0.2
    engine.close()
    until = time.monotonic() + 10
    while (busy := peer.busy_seconds(0.5)) > 0.1 and time.monotonic() < until:
        pass
    assert busy <= 0.1


def test_another_model_than_it_has_fails_in_one_line(peer: Peer) -> None:
    engine = peer.engine("no-such-model")
    events = ask(engine, question("hello"))
    last = events[-1][1]
    assert isinstance(last, Failed), last
    assert last.cause in ("bad_request", "not_found") and "no-such-model" in last.message
    assert len(events) == 2  # one attempt, no repetition


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
