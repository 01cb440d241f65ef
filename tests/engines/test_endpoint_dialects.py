"""Servers as they are: what departs from the protocol is an answer, or a sentence that names the
cause, and nothing half is called complete. Each is from a public report."""

import json
from typing import Any

import pytest

from benchmarks.support.fault_server import (
    Behaviour,
    FaultServer,
    Received,
    Reply,
    good_answer,
    hang_up,
    in_order,
    never_answer,
    send_head,
)
from tests.support.bodies import text_of
from tests.support.endpoints import bodies_of, engine_at, load_engine, patient_engine, request
from tui.board import Board, Model, fold
from tui.engines.base import SamplingOptions
from tui.engines.model_list import is_listed
from tui.events import Answered, Asked, Body, Delta, Event, Failed, Note, json_form


def piece(text: str = "", finish: str | None = None, **more: Any) -> bytes:
    """One event of a stream, without the empty line."""
    choice = {"index": 0, "delta": {"content": text} if text else {}, "finish_reason": finish}
    return b"data: " + json.dumps({"choices": [choice | more]}).encode()


def asked(*parts: bytes, type_: str = "text/event-stream", end: str = "closed") -> list[Body]:
    """What comes of a body in these parts, whose end is ``closed`` (it has none but the end of the
    connection), ``framed`` (it says that it ends) or ``open`` (nothing more comes)."""

    def behave(reply: Reply, received: Received) -> None:
        if end == "closed":
            reply.raw(f"HTTP/1.1 200 X\r\nContent-Type: {type_}\r\n\r\n".encode())
        else:
            reply.head(type_=type_)
        for part in parts:
            (reply.raw if end == "closed" else reply.chunk)(part)
        if end == "framed":
            reply.raw(b"0\r\n\r\n")
        if end == "open":
            never_answer(reply)
        raise ConnectionError

    with FaultServer(behave) as server:
        limits = {"stall_s": 0.4} if end == "open" else {}
        return bodies_of(patient_engine(server.url, **limits))


def whole(bodies: list[Body], finish: str = "stop") -> str:
    """The text of an answer that must be complete."""
    assert isinstance(bodies[-1], Answered), bodies[-1]
    assert bodies[-1].finish == finish
    return text_of(b for b in bodies if not (isinstance(b, Delta) and b.reasoning))


def fault(bodies: list[Body]) -> Failed:
    """The failure that must be all that came of it."""
    assert isinstance(bodies[-1], Failed), bodies[-1]
    assert bodies[-1].message.isprintable()
    return bodies[-1]


DONE = b"data: [DONE]\n\n"
DONE_STOP = piece(finish="stop") + b"\n\n"
STOP_EVERYWHERE = [piece(f"w{n} ", "stop") + b"\n\n" for n in range(5)]


def test_a_reason_in_every_piece_ends_nothing() -> None:
    assert whole(asked(*STOP_EVERYWHERE, DONE)) == "w0 w1 w2 w3 w4 "
    assert whole(asked(*STOP_EVERYWHERE, end="framed")) == "w0 w1 w2 w3 w4 "


@pytest.mark.parametrize("end", ["closed", "open"])
@pytest.mark.parametrize("pieces", [STOP_EVERYWHERE[:1], STOP_EVERYWHERE[:3]])
def test_a_reason_in_every_piece_completes_nothing_that_breaks_off(
    pieces: list[bytes], end: str
) -> None:
    bodies = asked(*pieces, end=end)
    assert fault(bodies).cause == ("stalled" if end == "open" else "cut")
    assert text_of(bodies).startswith("w0 ")


def test_text_after_a_reason_belongs_to_the_answer() -> None:
    parts = [piece("a"), piece(finish="stop"), piece("b"), piece(finish="length")]
    assert whole(asked(*[part + b"\n\n" for part in parts], DONE), "length") == "ab"
    assert fault(asked(*[part + b"\n\n" for part in parts])).cause == "cut"


@pytest.mark.parametrize("last", [b"", b"\n", b"\r\n"])
def test_the_last_event_needs_no_empty_line(last: bytes) -> None:
    assert whole(asked(piece("a") + b"\n\n", piece(" b", "stop") + last)) == "a b"


def test_an_event_that_is_cut_in_two_is_none() -> None:
    bodies = asked(piece("a") + b"\n\n", piece(" b", "stop")[:-3])
    assert (fault(bodies).cause, text_of(bodies)) == ("cut", "a")


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_one_line_end_between_events_is_enough(line_end: bytes) -> None:
    parts = [piece("a"), piece("b"), piece(finish="stop"), b"data: [DONE]"]
    assert whole(asked(*[part + line_end for part in parts])) == "ab"


def test_events_with_one_line_end_between_them_come_at_once() -> None:
    def behave(reply: Reply, received: Received) -> None:
        reply.head()
        reply.chunk(piece("a") + b"\n")
        arrived.append(received.number)
        never_answer(reply)

    arrived: list[int] = []
    with FaultServer(behave) as server:
        engine = engine_at(server.url, stall_s=30.0)
        events = engine.answer([request()])
        assert any(isinstance(body, Delta) and body.text == "a" for _, body in events)
        engine.close()


@pytest.mark.parametrize(
    "line", [b"data:", b"data: ", b"data: null", b"event: ping\ndata: ping", b": x", b"event: ping"]
)
def test_a_heartbeat_is_passed_over(line: bytes) -> None:
    beat = line + b"\n\n"
    parts = (beat, piece("a") + b"\n\n", beat, piece("b", "stop") + b"\n\n", beat, DONE)
    assert whole(asked(*parts)) == "ab"


@pytest.mark.parametrize("type_", ["application/json", "text/event-stream", "text/plain", ""])
def test_a_whole_document_is_an_answer_without_a_time_to_its_first_token(type_: str) -> None:
    message = {"content": "hi", "reasoning_content": "Hm."}
    usage = {"prompt_tokens": 7, "completion_tokens": 5}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    document = json.dumps({"choices": [choice], "usage": usage}, indent=2).encode()
    bodies = asked(document[:20], document[20:], type_=type_)
    assert whole(bodies) == "hi"
    last = bodies[-1]
    assert isinstance(last, Answered) and (last.ttft_ms, last.output_tokens) == (None, 5)
    assert any(isinstance(body, Delta) and body.reasoning for body in bodies)
    assert any(isinstance(body, Note) and "in one piece" in body.text for body in bodies)
    cut = asked(document[:-20], type_=type_)
    assert fault(cut).cause in ("malformed", "cut")


def test_json_one_a_line_is_a_stream() -> None:
    parts = [piece("a"), piece("b", "stop")]
    lines = b"".join(part.removeprefix(b"data: ") + b"\n" for part in parts)
    assert whole(asked(lines, type_="application/x-ndjson")) == "ab"


@pytest.mark.parametrize(
    "type_", ["text/plain; charset=utf-8", "application/octet-stream", "", "x"]
)
def test_a_stream_is_one_whatever_its_type_is_called(type_: str) -> None:
    assert whole(asked(piece("a") + b"\n\n", piece(finish="stop") + b"\n\n", type_=type_)) == "a"


@pytest.mark.parametrize("size", [1, 3])
def test_a_stream_is_one_however_its_beginning_is_cut(size: int) -> None:
    body = b"\xef\xbb\xbf\n" + piece("a", "stop") + b"\n\n" + DONE
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    assert whole(asked(*parts, type_="text/plain", end="framed")) == "a"


@pytest.mark.parametrize("body", [b"<html>hi</html>", b"hello", b"", b'{"version": 1}'])
def test_what_is_no_stream_is_named(body: bytes) -> None:
    assert fault(asked(body, type_="text/plain")).cause == "not_streamed"


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": 7, "completion_tokens": 5},
        {"input_tokens": 7, "output_tokens": 5},
    ],
)
def test_the_services_counts_are_found_in_the_choice_too(usage: dict[str, int]) -> None:
    bodies = asked(piece("a") + b"\n\n", piece(finish="stop", usage=usage) + b"\n\n", DONE)
    last = bodies[-1]
    assert isinstance(last, Answered)
    assert (last.prompt_tokens, last.output_tokens, last.token_source) == (7, 5, "usage")


def test_what_was_counted_at_the_end_is_complete_without_a_reason() -> None:
    usage = b'data: {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 5}}\n\n'
    assert whole(asked(piece("a") + b"\n\n", usage, DONE)) == "a"
    assert fault(asked(usage, piece("a") + b"\n\n", DONE)).cause == "cut"
    assert fault(asked(piece("a") + b"\n\n", usage)).cause == "cut"


@pytest.mark.parametrize(
    "delta",
    [
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]},
        {"content": [{"type": "thinking", "thinking": "Hm."}]},
        {"content": [{"type": "reasoning", "text": "Hm."}]},
        {"reasoning_content": "Hm."},
        {"reasoning": "Hm."},
        {"thinking": "Hm."},
        {"reasoning_content": [{"type": "text", "text": "Hm."}]},
        {"content": "<think>Hm.</think>"},
        {"content": "<thought>Hm.</thought>"},
        {"content": "[THINK]Hm.[/THINK]"},
    ],
)
def test_thoughts_are_told_apart_however_they_are_sent(delta: dict[str, Any]) -> None:
    said = {"content": [{"type": "text", "text": "Yes."}]}
    parts = (piece(delta=delta) + b"\n\n", piece(delta=said) + b"\n\n", piece(finish="stop"))
    bodies = asked(*parts)
    assert whole(bodies) == "Yes."
    thoughts = [b.text for b in bodies if isinstance(b, Delta) and b.reasoning]
    assert "".join(thoughts) == "Hm."


@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_thoughts_that_nothing_opened_are_thoughts_once_they_close(size: int) -> None:
    said = "Hm, 2 < 3 and\n</ so on.\n</think>\n\nYes, </think> is a mark."
    parts = [said[at : at + size] for at in range(0, len(said), size)]
    bodies = asked(*[piece(part) + b"\n\n" for part in parts], piece(finish="stop"))
    board = Board(models=[Model(0, "m", "m")])
    events = [Asked(0, "q", "hello"), *bodies]
    fold([Event(n, n, 0, body) for n, body in enumerate(events)], board)
    answer = board.answers[0]
    assert answer.state == "answered"
    assert answer.text == "Yes, </think> is a mark."
    assert "".join(answer.reasoning) == "Hm, 2 < 3 and\n</ so on.\n"
    assert (answer.text_length, answer.reasoning_length) == (24, 24)
    again = [json_form.decode_body(b.kind, json_form.payload(b)) for b in bodies]
    assert again == bodies


def test_who_writes_about_the_marks_does_not_think() -> None:
    said = "It writes <think> first, then </think>."
    bodies = asked(*[piece(c) + b"\n\n" for c in said], piece(finish="stop"))
    assert whole(bodies) == said
    apart = piece(delta={"reasoning_content": "Hm."}) + b"\n\n"
    assert whole(asked(apart, piece("a </think> b") + b"\n\n", DONE_STOP)) == "a </think> b"


LONG = "This model's maximum context length is 2048 tokens"
ERRORS = {
    "error_type": ({"error_type": "context_length_exceeded", "error_message": LONG}, LONG),
    "object": ({"object": "error", "message": LONG, "type": "BadRequestError", "code": 400}, LONG),
    "a list of one": ([{"error": {"code": 400, "message": LONG}}], LONG),
    "base_resp": ({"choices": None, "base_resp": {"status_code": 2013, "status_msg": LONG}}, LONG),
    "detail": ({"detail": LONG}, LONG),
    "a list of details": (
        {"detail": [{"loc": ["body", "messages"], "msg": LONG, "type": "x"}]},
        f"body.messages: {LONG}",
    ),
    "code and message": ({"code": "InvalidParameter", "message": LONG, "request_id": "x"}, LONG),
    "error_code": ({"error_code": 336003, "error_msg": LONG}, LONG),
    "in the choice": ({"choices": [{"delta": {}, "error": {"message": LONG}}]}, LONG),
}


@pytest.mark.parametrize("name", ERRORS)
@pytest.mark.parametrize("as_stream", [True, False])
def test_an_error_within_a_success_has_its_words_and_their_cause(
    name: str, as_stream: bool
) -> None:
    value, said = ERRORS[name]
    body = json.dumps(value).encode()
    bodies = asked(b"data: " + body + b"\n\n" + DONE if as_stream else body)
    assert fault(bodies).cause == "context_overflow" and said in fault(bodies).message
    assert "HTTP" not in fault(bodies).message


def test_an_error_field_of_the_stream_is_one() -> None:
    line = b'error: {"code": 400, "message": "' + LONG.encode() + b'"}\n\n'
    assert fault(asked(line, DONE)).cause == "context_overflow"


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        ({"code": "1113", "message": "您的账户已欠费，请充值后重试。"}, "quota"),
        ({"code": "1301", "message": "可能包含不安全或敏感内容"}, "content_filter"),
        ({"code": "data_inspection_failed", "message": "x"}, "content_filter"),
        ({"code": 429, "message": "slow down"}, "rate_limited"),
        ({"code": 400, "message": "API key not valid. Please pass one."}, "unauthorized"),
        ({"code": 401, "message": "who are you"}, "unauthorized"),
        ({"message": "model not found"}, "not_found"),
        ({"message": "out of capacity"}, "server_error"),
        ({"code": 400, "message": "no"}, "bad_request"),
    ],
)
def test_the_cause_is_in_the_codes_and_the_words(error: dict[str, Any], cause: str) -> None:
    body = b"data: " + json.dumps({"error": error}).encode() + b"\n\n"
    assert fault(asked(piece("half") + b"\n\n", body)).cause == cause


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("eos_token", "stop"),
        ("STOP", "stop"),
        ("end_turn", "stop"),
        ("COMPLETE", "stop"),
        ("model_length", "length"),
        ("MAX_TOKENS", "length"),
        ("max_output_tokens", "length"),
        ("sensitive", "content_filter"),
        ("SAFETY", "content_filter"),
        ("tool_calls", "unfinished"),
        ("network_error", "unfinished"),
        ("null", "cut"),
    ],
)
def test_a_reason_in_other_words_means_the_same(reason: str, finish: str) -> None:
    bodies = asked(piece("a") + b"\n\n", piece(finish=reason) + b"\n\n", DONE)
    if finish in ("stop", "length"):
        assert whole(bodies, finish) == "a"
    else:
        assert fault(bodies).cause == finish


@pytest.mark.parametrize("reason", ["tool_calls", "function_call", "TOOL_USE"])
def test_a_server_that_wants_a_tool_is_said_to(reason: str) -> None:
    bodies = asked(piece(finish=reason) + b"\n\n", DONE)
    assert fault(bodies).message.endswith("asks for a tool in place of an answer")
    assert fault(bodies).next_step == "ask without tools, or another model"


@pytest.mark.parametrize("status", [200, 404])
@pytest.mark.parametrize("said", ["Unexpected endpoint or method. (POST /x)", "Not Found"])
def test_an_address_without_v1_is_said_so_after_one_question(status: int, said: str) -> None:
    if status == 200 and said == "Not Found":
        said = "<html>Ollama is running</html>"
    body = said.encode() if said[0] == "<" else json.dumps({"error": said}).encode()
    with FaultServer(in_order(lambda r: r.whole(status, body))) as server:
        bodies = bodies_of(patient_engine(server.url.removesuffix("/v1")))
        assert server.asked == 1
        assert fault(bodies).next_step == f"the address lacks /v1: {server.url}"
        assert "HTTP 500" not in fault(bodies).message
        assert "lacks" not in fault(bodies_of(patient_engine(server.url))).next_step


def refusing(name: str, said: str) -> Behaviour:
    """A server that answers only what has no field of this name."""

    def behave(reply: Reply, received: Received) -> None:
        if name in received.body:
            error = json.dumps({"error": {"message": said}}).encode()
            return reply.whole(400, error)
        return good_answer("a", "b")(reply, received)

    return behave


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("stream_options", "[{'loc': ('body', 'stream_options'), 'msg': 'extra fields'}]"),
        ("stream_options", "Unrecognized request argument supplied: stream_options"),
        ("seed", "property 'seed' is unsupported"),
        ("top_k", "Unknown name top_k: Cannot find field."),
        ("max_tokens", "'max_tokens' is not supported, use 'max_completion_tokens' instead."),
    ],
)
def test_a_refused_field_is_left_out_and_said(name: str, said: str) -> None:
    with FaultServer(refusing(name, said)) as server:
        engine = patient_engine(server.url)
        options = SamplingOptions(temperature=0.5, seed=1, top_k=3)
        first = [body for _, body in engine.answer([request(0, sampling=options)])]
        again = [body for _, body in engine.answer([request(1, sampling=options)])]
        engine.close()
        assert server.asked == 3  # it is not tried again
        assert server.requests[-1].body["temperature"] == 0.5
        assert {"max_tokens", "max_completion_tokens"} & server.requests[-1].body.keys()
    assert whole(first) == whole(again) == "ab"
    assert [b.text for b in first if isinstance(b, Note)][-1].endswith(
        f"refuses {name}: asked without it"
    )


def test_a_refused_value_is_not_quietly_left_out() -> None:
    with FaultServer(refusing("temperature", "temperature must be at most 1")) as server:
        engine = patient_engine(server.url)
        options = SamplingOptions(temperature=1.5)
        bodies = [body for _, body in engine.answer([request(0, sampling=options)])]
        engine.close()
        assert server.asked == 1
    assert fault(bodies).cause == "bad_request"


@pytest.mark.parametrize(
    ("model", "listed", "there"),
    [
        ("qwen2.5", "qwen2.5:latest", True),
        ("gemini-2.5-flash", "models/gemini-2.5-flash", True),
        ("qwen2.5", "qwen2.5:7b", False),
        ("qwen2.5:latest", "qwen2.5", False),
    ],
)
def test_a_name_without_its_tag_is_the_same_model(model: str, listed: str, there: bool) -> None:
    assert is_listed(model, (listed, "other")) is there
    with FaultServer(good_answer("a"), models=(listed,)) as server:
        engine = engine_at(server.url)
        engine.model = model
        assert bool(load_engine(engine).notes) is not there
        engine.close()


def test_silence_after_a_sure_reason_is_still_complete() -> None:
    with FaultServer(
        in_order(send_head, lambda r: r.chunk(piece("a") + b"\n\n"), Reply.finish, hang_up)
    ) as server:
        assert whole(bodies_of(patient_engine(server.url))) == "a"
