"""What looks like a fault and is none, and what a fault must not do to anyone."""

import time
from contextlib import suppress
from typing import Any

import pytest

from benchmarks.support.fault_server import (
    Behaviour,
    FaultServer,
    Received,
    Reply,
    error_status,
    good_answer,
    hang_up,
    in_order,
    never_answer,
    send_head,
    send_token,
)
from tests.support.bodies import text_of
from tests.support.endpoints import bodies_of, collect_events, patient_engine, request
from tui.events import Answered, Body, Event, Failed, Logprobs, Note, json_form


def answered(behave: Behaviour) -> tuple[Answered, list[Body], FaultServer]:
    with FaultServer(behave) as server:
        bodies = bodies_of(patient_engine(server.url))
    assert isinstance(bodies[-1], Answered), bodies[-1]
    return bodies[-1], bodies, server


def test_cut_after_finish_is_complete() -> None:
    last, bodies, _ = answered(in_order(send_head, send_token, Reply.finish, hang_up))
    assert last.finish == "stop" and text_of(bodies) == "half"


@pytest.mark.parametrize("junk", [b"data: {nope}\n\n", b"\xff" * 10, b"x" * 2**20])
def test_junk_after_finish_takes_nothing_away(junk: bytes) -> None:
    last, bodies, _ = answered(
        in_order(send_head, send_token, Reply.finish, lambda r: r.chunk(junk), hang_up)
    )
    assert last.finish == "stop" and text_of(bodies) == "half"


def test_silence_after_finish_is_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.engines.http_attempt.GRACE_S", 0.4)
    started = time.monotonic()
    last, _, _ = answered(
        in_order(send_head, send_token, lambda r: r.finish("length"), never_answer)
    )
    took_ms = 1000 * (time.monotonic() - started)
    assert last.finish == "length"
    assert last.e2e_ms is not None and last.e2e_ms + 400 <= took_ms  # the grace is no latency


def test_chunks_without_choices_are_passed_over() -> None:
    empty: dict[str, Any] = {"choices": [], "prompt_filter_results": []}
    last, bodies, _ = answered(
        in_order(
            send_head,
            lambda r: r.data(empty),
            send_token,
            lambda r: r.data(empty),
            Reply.finish,
            Reply.done,
        )
    )
    assert last.finish == "stop" and text_of(bodies) == "half"


@pytest.mark.parametrize("field", ["content", "reasoning_content"])
def test_a_stream_without_end_is_cut_off(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.engines.http_attempt.LONGEST_REASONING", 500)

    def endless(reply: Reply, received: Received) -> None:
        reply.head()
        with suppress(OSError):
            while True:
                reply.data({"choices": [{"index": 0, "delta": {field: "again and again "}}]})

    last, bodies, _ = answered(endless)
    assert last.finish == "length" and last.output_tokens < 2000
    (note,) = [b.text for b in bodies if isinstance(b, Note)]
    assert "goes on behind max_new_tokens: cut off" in note


def test_a_missing_usage_is_an_estimate_and_says_so() -> None:
    text = "这是一个比较长的回答" * 10
    last, _, _ = answered(in_order(send_head, lambda r: r.token(text), Reply.finish, Reply.done))
    assert (last.token_source, last.output_tokens) == ("estimate", 60)


@pytest.mark.parametrize("code", [408, 409, 429, 500, 502, 503])
def test_a_passing_error_is_repeated_visibly_and_its_wait_is_no_latency(code: int) -> None:
    def behave(reply: Reply, received: Received) -> None:
        if received.number < 2:
            return error_status(code, Retry_After="0.15")(reply, received)
        return good_answer("a", "b")(reply, received)

    started = time.monotonic()
    last, bodies, server = answered(behave)
    took_ms = 1000 * (time.monotonic() - started)
    assert took_ms > 300
    assert server.asked == 3
    notes = [b.text for b in bodies if isinstance(b, Note)]
    assert len(notes) == 2 and f"HTTP {code}" in notes[0] and "0.15 s (1 of 2)" in notes[0]
    assert last.e2e_ms is not None and last.e2e_ms + 300 <= took_ms


@pytest.mark.parametrize("asked", ["99999999", "1e400", "Fri, 31 Dec 9999 23:59:59 GMT", "inf"])
def test_an_absurd_retry_after_is_cut_to_a_minute(
    asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.engines.endpoint.MAX_BACKOFF_S", 0.2)
    started = time.monotonic()
    with FaultServer(error_status(429, Retry_After=asked)) as server:
        bodies = bodies_of(patient_engine(server.url))
    assert isinstance(bodies[-1], Failed) and bodies[-1].cause == "rate_limited"
    assert time.monotonic() - started > 0.4
    waits = [b.text for b in bodies if isinstance(b, Note)]
    assert len(waits) == 2 and all("0.2 s (" in text for text in waits)


@pytest.mark.parametrize("asked", ["nan", "-5", "soon", ""])
def test_a_meaningless_retry_after_does_no_harm(asked: str) -> None:
    with FaultServer(error_status(429, Retry_After=asked)) as server:
        bodies = bodies_of(patient_engine(server.url))
        assert server.asked == 3
    assert isinstance(bodies[-1], Failed) and bodies[-1].cause == "rate_limited"


def test_a_redirect_is_not_followed_with_the_key() -> None:
    with FaultServer(good_answer("x")) as other:
        there = f"{other.url}/chat/completions"
        with FaultServer(in_order(lambda r: r.whole(307, b"", Location=there))) as server:
            bodies = bodies_of(patient_engine(server.url))
        assert other.asked == 0
    assert isinstance(bodies[-1], Failed) and there in bodies[-1].message


def test_a_servers_message_is_one_clean_short_line() -> None:
    said = "\x1b]52;c;AAAA\x07no\r\n\u202ebad" + "x" * 5000
    with FaultServer(error_status(400, said)) as server:
        bodies = bodies_of(patient_engine(server.url))
    assert isinstance(bodies[-1], Failed)
    message = bodies[-1].message
    assert message.isprintable() and len(message) < 400


def test_a_server_that_never_stops_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.engines.completion.LONGEST_ANSWER", 1000)
    with FaultServer(in_order(send_head, *[lambda r: r.token("x" * 100)] * 50)) as server:
        asked = request(max_new_tokens=10_000)
        bodies = [body for _, body in collect_events(patient_engine(server.url), asked)]
    assert isinstance(bodies[-1], Failed) and bodies[-1].cause == "oversized"
    assert len(text_of(bodies)) == 1000


def test_senseless_probabilities_cost_no_answer_and_can_be_recorded() -> None:
    told = [
        *({"token": "a", "logprob": one} for one in (None, "x", float("nan"), -9999, -(10**400))),
        {"token": "\x1b[2J", "top_logprobs": [{"token": "b" * 300, "logprob": -1}] * 1000},
        *({"token": "lost", "logprob": -1} if place else "no token" for place in (0, 1)),
    ]
    choice = {"index": 0, "delta": {"content": "half"}, "logprobs": {"content": told}}
    last, bodies, _ = answered(
        in_order(send_head, lambda reply: reply.data({"choices": [choice]}), Reply.finish)
    )
    said = [body for body in bodies if isinstance(body, Logprobs)]
    assert last.finish == "stop" and text_of(bodies) == "half"
    assert [one.token for one in said] == ["a"] * 5 + ["\x1b[2J"]
    lines = [json_form.encode(Event(0, 0, 0, one)) for one in said]
    assert [json_form.decode(line).body for line in lines] == said
    assert max(map(len, lines)) < 10_000
