"""What a server sends without end is cut off, however little of it is an answer."""

from contextlib import suppress

import pytest

from benchmarks.support.fault_server import FaultServer, Received, Reply
from tests.support.bodies import text_of
from tests.support.endpoints import bodies_of, patient_engine
from tui.engines import http_attempt
from tui.events import Failed

HALF = b'data: {"choices": [{"delta": {"content": "half"}}]}\n\n'
EMPTY = b'data: {"choices": []}\n\n'
LOGPROBS = (
    b'data: {"choices": [{"index": 0, "delta": {}, "logprobs": {"content": '
    b'[{"token": "a", "logprob": -1}]}}]}\n\n'
)


def flood(piece: bytes, type_: str, begins: bytes) -> "list[Failed]":
    """How an answer ends whose body is ``begins`` and then ``piece`` again and again."""

    def endless(reply: Reply, received: Received) -> None:
        reply.head(200, type_)
        with suppress(OSError):
            reply.chunk(begins + piece)
            while True:
                reply.chunk(piece * 500)

    with FaultServer(endless) as server:
        bodies = bodies_of(patient_engine(server.url, first_token_s=30.0, stall_s=30.0))
        assert server.asked == 1
    assert text_of(bodies) == ("half" if begins else "")
    return [body for body in bodies if isinstance(body, Failed)]


@pytest.mark.parametrize(
    "begins", [b"", b'data: {"choices": [{"delta": {"content": "half"}}]}\n\n']
)
@pytest.mark.parametrize(
    ("type_", "piece"),
    [
        ("application/json", b"     \n\t"),
        ("text/event-stream", b"\r\n"),
        ("text/event-stream", b": still here\n"),
        ("text/event-stream", b": still here\n\n"),
        ("text/event-stream", b"data:\n\n"),
        ("text/event-stream", b"event: ping\ndata: {}\n\n"),
        ("text/event-stream", b"id: 7\nretry: 9\n"),
        ("text/event-stream", EMPTY),
        ("text/event-stream", LOGPROBS),
    ],
)
def test_what_is_no_answer_is_cut_off(
    type_: str, piece: bytes, begins: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_attempt, "_LONGEST_DOCUMENT", 1 << 18)
    (failed,) = flood(piece, type_, begins)
    assert failed.cause == "oversized" and "\n" not in failed.message


def test_white_space_behind_a_document_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_attempt, "_LONGEST_DOCUMENT", 1 << 18)

    def endless(reply: Reply, received: Received) -> None:
        reply.head(200, "application/json")
        with suppress(OSError):
            reply.chunk(b'{"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}')
            while True:
                reply.chunk(b" " * 4096)

    with FaultServer(endless) as server:
        *_, failed = bodies_of(patient_engine(server.url, first_token_s=30.0))
    assert isinstance(failed, Failed) and failed.cause == "oversized"


@pytest.mark.parametrize(
    ("first", "again", "cause"),
    [
        (b"HTTP/1.1 200 X\r\n", b"X-More: " + b"x" * 4096 + b"\r\n", None),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n", "oversized"),
        (b"HTTP/1.1 ", b"2", None),
    ],
)
def test_headers_without_end_are_cut_off(first: bytes, again: bytes, cause: str | None) -> None:
    def endless(reply: Reply, received: Received) -> None:
        with suppress(OSError):
            reply.raw(first)
            while True:
                reply.raw(again)

    with FaultServer(endless) as server:
        *_, failed = bodies_of(patient_engine(server.url, first_token_s=30.0))
    assert isinstance(failed, Failed) and "\n" not in failed.message
    assert failed.cause == cause or cause is None


def test_a_stream_that_drips_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """No token is late, and there is no end."""
    monkeypatch.setattr(http_attempt, "_LONGEST_ANSWER_S", 0.0)

    def drip(reply: Reply, received: Received) -> None:
        reply.head()
        reply.token("half")
        reply.token("")
        reply.token(" more")
        reply.wait_for_close(30)

    with FaultServer(drip) as server:
        *_, failed = bodies_of(patient_engine(server.url, stall_s=30.0))
    assert isinstance(failed, Failed) and failed.cause == "stalled"
    assert "was still answering after" in failed.message
