"""What a service does that fails, and what must come of it: for the engine and for a whole run."""

from dataclasses import dataclass

from tests.support.fault_server import (
    END_CHUNK,
    Behaviour,
    Reply,
    a_token,
    hang_up,
    head,
    keep_alive,
    status,
    then,
    wait,
)


@dataclass(frozen=True)
class Fault:
    """What the service does; the cause that is named ("": none, it is answered), the text that
    is kept, and how often the service is asked."""

    does: Behaviour
    cause: str = ""
    kept: str = ""
    asked: int = 1


FAULTS: dict[str, Fault] = {
    "headers never": Fault(then(wait), "no_response"),
    "first token never": Fault(then(head, wait), "no_first_token"),
    "keep-alive comments only": Fault(then(head, keep_alive), "no_first_token"),
    "role only, then nothing": Fault(
        then(head, lambda r: r.data({"choices": [{"delta": {"role": "assistant"}}]}), wait),
        "no_first_token",
    ),
    "stall in mid stream": Fault(then(head, a_token, wait), "stalled", kept="half"),
    "keep-alives in mid stream": Fault(then(head, a_token, keep_alive), "stalled", kept="half"),
    "cut in mid line": Fault(
        then(head, a_token, lambda r: r.chunk(b'data: {"choices": [{"del'), hang_up),
        "cut",
        kept="half",
    ),
    "cut before finish": Fault(then(head, a_token, hang_up), "cut", kept="half"),
    "closed before finish": Fault(
        then(head, a_token, lambda r: r.raw(END_CHUNK)), "cut", kept="half"
    ),
    "done without finish": Fault(then(head, a_token, Reply.done), "cut", kept="half"),
    "HTML 200": Fault(
        then(lambda r: r.whole(200, b"<html>hi</html>", "text/html")), "not_streamed"
    ),
    "JSON 200 without stream": Fault(
        then(lambda r: r.whole(200, b'{"choices":[{"message":{"content":"hi"}}]}')), "not_streamed"
    ),
    "JSON 200 with an error": Fault(
        then(lambda r: r.whole(200, b'{"error":{"message":"maximum context length is 9"}}')),
        "context_overflow",
    ),
    "invalid JSON line": Fault(
        then(head, a_token, lambda r: r.chunk(b"data: {nope}\n\n"), Reply.finish, Reply.done),
        "malformed",
        kept="half",
    ),
    "invalid UTF-8": Fault(
        then(head, a_token, lambda r: r.chunk(b'data: {"x":"\xff\xfe"}\n\n'), Reply.done),
        "malformed",
        kept="half",
    ),
    "1 MiB line": Fault(
        then(head, a_token, lambda r: r.token("x" * 2**20), Reply.finish, Reply.done),
        "oversized",
        kept="half",
    ),
    "a line without an end": Fault(
        then(head, a_token, *[lambda r: r.chunk(b"x" * 2**16)] * 20), "oversized", kept="half"
    ),
    "error in mid stream": Fault(
        then(head, a_token, lambda r: r.data({"error": {"message": "out of capacity"}})),
        "server_error",
        kept="half",
    ),
    "error event in mid stream": Fault(
        then(head, a_token, lambda r: r.chunk(b"event: error\ndata: out of capacity\n\n")),
        "server_error",
        kept="half",
    ),
    "finished by a filter": Fault(
        then(head, a_token, lambda r: r.finish("content_filter"), Reply.done),
        "content_filter",
        kept="half",
    ),
    "finished in an unknown way": Fault(
        then(head, a_token, lambda r: r.finish("insufficient_system_resource"), Reply.done),
        "unfinished",
        kept="half",
    ),
    "400": Fault(status(400), "bad_request"),
    "400, too long": Fault(status(400, "maximum context length is 8192"), "context_overflow"),
    "401": Fault(status(401), "unauthorized"),
    "402": Fault(status(402), "quota"),
    "403": Fault(status(403), "forbidden"),
    "404": Fault(status(404), "not_found"),
    "429": Fault(status(429), "rate_limited", asked=3),
    "429, no money": Fault(status(429, "insufficient_quota"), "quota"),
    "500": Fault(status(500), "server_error", asked=3),
    "503 in HTML": Fault(
        then(lambda r: r.whole(503, b"<html>down</html>", "text/html")), "server_error", asked=3
    ),
    "redirect": Fault(
        then(lambda r: r.whole(308, b"", Location="http://127.0.0.1:1/v1")), "redirect"
    ),
    "closed without a word": Fault(then(hang_up), "disconnected", asked=3),
}
