"""Every way a service fails has its documented cause, nothing is repeated unseen, and no
answer that is not whole passes for one."""

import json
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from tests.support.endpoints import clear_proxies
from tests.support.fault_server import END_CHUNK, Behaviour, FaultServer, Received, Reply, good
from tui.engines.base import EngineError, Message, Request
from tui.engines.endpoint import EndpointEngine
from tui.engines.faults import CAUSES
from tui.engines.services import Service
from tui.events import Answered, Body, Cancelled, Delta, Failed, Note, Started

FINAL = (Answered, Failed, Cancelled)


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    clear_proxies(monkeypatch)


def engine_for(url: str, **changes: float) -> EndpointEngine:
    clocks = {"connect_s": 1.0, "first_token_s": 0.4, "stall_s": 0.3} | changes
    service = Service("test", title="test", base_url=url, key_required=False, **clocks)  # type: ignore[arg-type]
    return EndpointEngine(service, "m", first_wait_s=0.02, environ={})


def ask(engine: EndpointEngine, *answers: int) -> list[Body]:
    message = (Message("user", "hello"),)
    requests = [Request(answer, message, 64) for answer in answers or (0,)]
    try:
        return [body for _, body in engine.answer(requests)]
    finally:
        engine.close()


def text_of(bodies: list[Body]) -> str:
    return "".join(b.text for b in bodies if isinstance(b, Delta))


def then(*steps: Callable[[Reply], object]) -> Behaviour:
    def behave(reply: Reply, _: Received) -> None:
        for step in steps:
            step(reply)

    return behave


def hang_up(_: Reply) -> None:
    raise ConnectionError


def wait(reply: Reply) -> None:
    reply.wait_for_close()


def keep_alive(reply: Reply) -> None:
    for _ in range(40):
        reply.chunk(b": keep-alive\n\n")
        time.sleep(0.05)


def head(reply: Reply) -> None:
    reply.head()


def a_token(reply: Reply) -> None:
    reply.token("half")


def status(code: int, message: str = "", **headers: str) -> Behaviour:
    body = json.dumps({"error": {"message": message or f"status {code}"}}).encode()
    return then(lambda r: r.whole(code, body, **headers))


FAULTS: dict[str, tuple[Behaviour, str, str, int]] = {
    # name: what the server does, the cause, the text that is kept, the requests it sees
    "headers never": (then(wait), "no_response", "", 1),
    "first token never": (then(head, wait), "no_first_token", "", 1),
    "keep-alive comments only": (then(head, keep_alive), "no_first_token", "", 1),
    "role only, then nothing": (
        then(head, lambda r: r.data({"choices": [{"delta": {"role": "assistant"}}]}), wait),
        "no_first_token",
        "",
        1,
    ),
    "stall in mid stream": (then(head, a_token, wait), "stalled", "half", 1),
    "keep-alives in mid stream": (then(head, a_token, keep_alive), "stalled", "half", 1),
    "cut in mid line": (
        then(head, a_token, lambda r: r.chunk(b'data: {"choices": [{"del'), hang_up),
        "cut",
        "half",
        1,
    ),
    "cut before finish": (then(head, a_token, hang_up), "cut", "half", 1),
    "closed before finish": (
        then(head, a_token, lambda r: r.raw(END_CHUNK)),
        "cut",
        "half",
        1,
    ),
    "done without finish": (then(head, a_token, Reply.done), "cut", "half", 1),
    "HTML 200": (
        then(lambda r: r.whole(200, b"<html>hi</html>", "text/html")),
        "not_streamed",
        "",
        1,
    ),
    "JSON 200 without stream": (
        then(lambda r: r.whole(200, b'{"choices":[{"message":{"content":"hi"}}]}')),
        "not_streamed",
        "",
        1,
    ),
    "JSON 200 with an error": (
        then(lambda r: r.whole(200, b'{"error":{"message":"maximum context length is 9"}}')),
        "context_overflow",
        "",
        1,
    ),
    "invalid JSON line": (
        then(head, a_token, lambda r: r.chunk(b"data: {nope}\n\n"), Reply.finish, Reply.done),
        "malformed",
        "half",
        1,
    ),
    "invalid UTF-8": (
        then(head, a_token, lambda r: r.chunk(b'data: {"x":"\xff\xfe"}\n\n'), Reply.done),
        "malformed",
        "half",
        1,
    ),
    "1 MiB line": (
        then(head, a_token, lambda r: r.token("x" * 2**20), Reply.finish, Reply.done),
        "oversized",
        "half",
        1,
    ),
    "a line without an end": (
        then(head, a_token, *[lambda r: r.chunk(b"x" * 2**16)] * 20),
        "oversized",
        "half",
        1,
    ),
    "error in mid stream": (
        then(head, a_token, lambda r: r.data({"error": {"message": "out of capacity"}})),
        "server_error",
        "half",
        1,
    ),
    "error event in mid stream": (
        then(head, a_token, lambda r: r.chunk(b"event: error\ndata: out of capacity\n\n")),
        "server_error",
        "half",
        1,
    ),
    "finished by a filter": (
        then(head, a_token, lambda r: r.finish("content_filter"), Reply.done),
        "content_filter",
        "half",
        1,
    ),
    "finished in an unknown way": (
        then(head, a_token, lambda r: r.finish("insufficient_system_resource"), Reply.done),
        "unfinished",
        "half",
        1,
    ),
    "400": (status(400), "bad_request", "", 1),
    "400, too long": (status(400, "maximum context length is 8192"), "context_overflow", "", 1),
    "401": (status(401), "unauthorized", "", 1),
    "402": (status(402), "quota", "", 1),
    "403": (status(403), "forbidden", "", 1),
    "404": (status(404), "not_found", "", 1),
    "429": (status(429), "rate_limited", "", 3),
    "429, no money": (status(429, "insufficient_quota"), "quota", "", 1),
    "500": (status(500), "server_error", "", 3),
    "503 in HTML": (
        then(lambda r: r.whole(503, b"<html>down</html>", "text/html")),
        "server_error",
        "",
        3,
    ),
    "redirect": (
        then(lambda r: r.whole(308, b"", Location="http://127.0.0.1:1/v1")),
        "redirect",
        "",
        1,
    ),
    "closed without a word": (then(hang_up), "disconnected", "", 3),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_has_its_cause_and_keeps_what_came(name: str) -> None:
    behave, cause, kept, requests = FAULTS[name]
    with FaultServer(behave) as server:
        bodies = ask(engine_for(server.url))
        assert server.asked == requests
    last = bodies[-1]
    assert isinstance(last, Failed)
    assert (last.cause, last.answer) == (cause, 0)
    assert last.message and last.next_step and "\n" not in last.message
    assert text_of(bodies) == kept
    assert not any(isinstance(b, Answered) for b in bodies)
    notes = [b for b in bodies if isinstance(b, Note)]
    assert len(notes) == requests - 1  # every repetition is seen
    assert all(n.answer == 0 and "trying again" in n.text for n in notes)
    assert sum(isinstance(b, Started) for b in bodies) == requests
    assert sum(isinstance(b, FINAL) for b in bodies) == 1


def load_fault(url: str, **changes: float) -> tuple[EngineError, list[Body]]:
    seen: list[Body] = []
    engine = engine_for(url, **changes)
    with pytest.raises(EngineError) as caught:
        engine.load(lambda _, body: seen.append(body))
    assert caught.value.exit_code == CAUSES[caught.value.cause].exit_code == 3
    assert caught.value.__cause__ is None and caught.value.next_step
    return caught.value, seen


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def test_refused() -> None:
    error, seen = load_fault(f"http://127.0.0.1:{free_port()}/v1")
    assert error.cause == "refused"
    assert len(seen) == 2 and all(isinstance(b, Note) and b.answer == -1 for b in seen)
    error, _ = load_fault(f"http://localhost:{free_port()}/v1")
    assert error.cause == "refused"


def test_refused_in_mid_run_is_the_answers_failure() -> None:
    bodies = ask(engine_for(f"http://127.0.0.1:{free_port()}/v1"))
    assert isinstance(bodies[-1], Failed) and bodies[-1].cause == "refused"
    assert sum(isinstance(b, Note) for b in bodies) == 2


def test_dns() -> None:
    error, seen = load_fault("http://no-such-host.invalid/v1", connect_s=10)
    assert error.cause == "dns" and "no-such-host.invalid" in error.message
    assert len(seen) == 2


def test_tls() -> None:
    with FaultServer(good("x")) as server:
        error, seen = load_fault(f"https://127.0.0.1:{server.port}/v1")
    assert error.cause == "tls" and not seen


@pytest.fixture
def full_backlog() -> Iterator[int]:
    """A port whose queue is full, so that no connection comes up."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for each in fillers:
            each.setblocking(False)
            each.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
        for each in fillers:
            each.close()


def test_connect_timeout(full_backlog: int) -> None:
    error, seen = load_fault(f"http://127.0.0.1:{full_backlog}/v1", connect_s=0.2)
    assert error.cause == "connect_timeout" and len(seen) == 2


def test_a_tls_handshake_that_never_comes_is_a_connect_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        error, _ = load_fault(f"https://127.0.0.1:{port}/v1", connect_s=0.2)
    assert error.cause == "connect_timeout"


def test_401_is_known_when_the_model_is_loaded() -> None:
    def refuse(reply: Reply, _: Received) -> None:
        reply.whole(401, b'{"error":{"message":"no"}}')

    with FaultServer(refuse) as server:
        error, seen = load_fault(f"{server.url}/other")
    assert error.cause == "unauthorized" and not seen


# -- what looks like a fault and is none -----------------------------------------------------


def answered(behave: Behaviour) -> tuple[Answered, list[Body], FaultServer]:
    with FaultServer(behave) as server:
        bodies = ask(engine_for(server.url))
    assert isinstance(bodies[-1], Answered), bodies[-1]
    return bodies[-1], bodies, server


def test_cut_after_finish_is_complete() -> None:
    last, bodies, _ = answered(then(head, a_token, Reply.finish, hang_up))
    assert last.finish == "stop" and text_of(bodies) == "half"


@pytest.mark.parametrize("junk", [b"data: {nope}\n\n", b"\xff" * 10, b"x" * 2**20])
def test_junk_after_finish_takes_nothing_away(junk: bytes) -> None:
    last, bodies, _ = answered(then(head, a_token, Reply.finish, lambda r: r.chunk(junk), hang_up))
    assert last.finish == "stop" and text_of(bodies) == "half"


def test_silence_after_finish_is_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.engines.exchange.GRACE_S", 0.4)
    last, _, _ = answered(then(head, a_token, lambda r: r.finish("length"), wait))
    assert last.finish == "length"
    assert last.e2e_ms is not None and last.e2e_ms < 400  # the grace is no latency


def test_chunks_without_choices_are_passed_over() -> None:
    empty = {"choices": [], "prompt_filter_results": []}
    last, bodies, _ = answered(
        then(
            head,
            lambda r: r.data(empty),
            a_token,
            lambda r: r.data(empty),
            Reply.finish,
            Reply.done,
        )
    )
    assert last.finish == "stop" and text_of(bodies) == "half"


def test_a_missing_usage_is_an_estimate_and_says_so() -> None:
    text = "这是一个比较长的回答" * 10
    last, _, _ = answered(then(head, lambda r: r.token(text), Reply.finish, Reply.done))
    assert (last.token_source, last.output_tokens) == ("estimate", 60)


@pytest.mark.parametrize("code", [408, 409, 429, 500, 502, 503])
def test_a_passing_error_is_repeated_visibly_and_its_wait_is_no_latency(code: int) -> None:
    def behave(reply: Reply, received: Received) -> None:
        if received.number < 2:
            return status(code, Retry_After="0.15")(reply, received)
        return good("a", "b")(reply, received)

    started = time.monotonic()
    last, bodies, server = answered(behave)
    assert time.monotonic() - started > 0.3
    assert server.asked == 3
    notes = [b.text for b in bodies if isinstance(b, Note)]
    assert len(notes) == 2 and f"HTTP {code}" in notes[0] and "0.15 s (1 of 2)" in notes[0]
    assert last.e2e_ms is not None and last.e2e_ms < 300


@pytest.mark.parametrize("asked", ["99999999", "1e400", "Fri, 31 Dec 9999 23:59:59 GMT", "inf"])
def test_an_absurd_retry_after_is_cut_to_a_minute(
    asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.engines.endpoint.LONGEST_WAIT_S", 0.2)
    started = time.monotonic()
    with FaultServer(status(429, Retry_After=asked)) as server:
        bodies = ask(engine_for(server.url))
    assert isinstance(bodies[-1], Failed) and bodies[-1].cause == "rate_limited"
    assert 0.4 < time.monotonic() - started < 2


@pytest.mark.parametrize("asked", ["nan", "-5", "soon", ""])
def test_a_meaningless_retry_after_does_no_harm(asked: str) -> None:
    with FaultServer(status(429, Retry_After=asked)) as server:
        bodies = ask(engine_for(server.url))
        assert server.asked == 3
    assert isinstance(bodies[-1], Failed) and bodies[-1].cause == "rate_limited"


def test_a_redirect_is_not_followed_with_the_key() -> None:
    with FaultServer(good("x")) as other:
        there = f"{other.url}/chat/completions"
        with FaultServer(then(lambda r: r.whole(307, b"", Location=there))) as server:
            bodies = ask(engine_for(server.url))
        assert other.asked == 0
    assert isinstance(bodies[-1], Failed) and there in bodies[-1].message


def test_a_servers_message_is_one_clean_short_line() -> None:
    said = "\x1b]52;c;AAAA\x07no\r\n\u202ebad" + "x" * 5000
    with FaultServer(status(400, said)) as server:
        bodies = ask(engine_for(server.url))
    assert isinstance(bodies[-1], Failed)
    message = bodies[-1].message
    assert message.isprintable() and len(message) < 400


def test_a_server_that_never_stops_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.engines.completion.LONGEST_ANSWER", 1000)
    with FaultServer(then(head, *[lambda r: r.token("x" * 100)] * 50)) as server:
        bodies = ask(engine_for(server.url))
    assert isinstance(bodies[-1], Failed) and bodies[-1].cause == "oversized"
    assert len(text_of(bodies)) == 1000
