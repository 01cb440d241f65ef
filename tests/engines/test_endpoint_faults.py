"""Every way a service fails has its documented cause, nothing is repeated unseen, and no
answer that is not whole passes for one."""

import socket

import pytest

from tests.support.endpoints import (
    bodies_of,
    clear_proxies,
    free_port,
    full_backlog,
    hasty,
    text_of,
)
from tests.support.fault_server import (
    END_CHUNK,
    Behaviour,
    FaultServer,
    Received,
    Reply,
    a_token,
    good,
    hang_up,
    head,
    keep_alive,
    status,
    then,
    wait,
)
from tui.engines.base import EngineError
from tui.engines.faults import CAUSES
from tui.events import Answered, Body, Cancelled, Failed, Note, Started

FINAL = (Answered, Failed, Cancelled)


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    clear_proxies(monkeypatch)


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
        bodies = bodies_of(hasty(server.url))
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
    engine = hasty(url, **changes)
    with pytest.raises(EngineError) as caught:
        engine.load(lambda _, body: seen.append(body) if isinstance(body, Note) else None)
    assert caught.value.exit_code == CAUSES[caught.value.cause].exit_code == 3
    assert caught.value.__cause__ is None and caught.value.next_step
    return caught.value, seen


def test_refused() -> None:
    error, seen = load_fault(f"http://127.0.0.1:{free_port()}/v1")
    assert error.cause == "refused"
    assert len(seen) == 2 and all(isinstance(b, Note) and b.answer == -1 for b in seen)
    error, _ = load_fault(f"http://localhost:{free_port()}/v1")
    assert error.cause == "refused"


def test_refused_in_mid_run_is_the_answers_failure() -> None:
    bodies = bodies_of(hasty(f"http://127.0.0.1:{free_port()}/v1"))
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


def test_connect_timeout() -> None:
    with full_backlog() as port:
        error, seen = load_fault(f"http://127.0.0.1:{port}/v1", connect_s=0.2)
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
