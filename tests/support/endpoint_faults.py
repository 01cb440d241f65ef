"""What a service does that fails, and what must come of it: for the engine and for a whole run."""

from dataclasses import dataclass

from benchmarks.support.fault_server import (
    END_CHUNK,
    Behaviour,
    Reply,
    error_status,
    hang_up,
    in_order,
    keep_alive,
    never_answer,
    send_head,
    send_token,
)


@dataclass(frozen=True)
class ServiceFault:
    """What the service does; the cause that is named ("": none, it is answered), the text that
    is kept, and how often the service is asked."""

    behaviour: Behaviour
    cause: str = ""
    kept: str = ""
    asked: int = 1

    @property
    def limits(self) -> dict[str, float]:
        """Seconds that the service is given: short only where running out of them is the fault,
        so that a loaded machine meets no other one."""
        short = {"stall_s": 0.4} if self.cause == "stalled" else {"first_token_s": 1.0}
        late = self.cause in ("no_response", "no_first_token", "stalled")
        return {"connect_s": 60.0, "first_token_s": 60.0, "stall_s": 60.0} | (short if late else {})


FAULTS: dict[str, ServiceFault] = {
    "headers never": ServiceFault(in_order(never_answer), "no_response"),
    "first token never": ServiceFault(in_order(send_head, never_answer), "no_first_token"),
    "keep-alive comments only": ServiceFault(in_order(send_head, keep_alive), "no_first_token"),
    "role only, then nothing": ServiceFault(
        in_order(
            send_head,
            lambda r: r.data({"choices": [{"delta": {"role": "assistant"}}]}),
            never_answer,
        ),
        "no_first_token",
    ),
    "stall in mid stream": ServiceFault(
        in_order(send_head, send_token, never_answer), "stalled", kept="half"
    ),
    "keep-alives in mid stream": ServiceFault(
        in_order(send_head, send_token, keep_alive), "stalled", kept="half"
    ),
    "packed, but not": ServiceFault(
        in_order(lambda r: r.whole(200, b"words", Content_Encoding="gzip")), "malformed"
    ),
    "cut in mid line": ServiceFault(
        in_order(send_head, send_token, lambda r: r.chunk(b'data: {"choices": [{"del'), hang_up),
        "cut",
        kept="half",
    ),
    "cut before finish": ServiceFault(in_order(send_head, send_token, hang_up), "cut", kept="half"),
    "closed before finish": ServiceFault(
        in_order(send_head, send_token, lambda r: r.raw(END_CHUNK)), "cut", kept="half"
    ),
    "done without finish": ServiceFault(
        in_order(send_head, send_token, Reply.done), "cut", kept="half"
    ),
    "HTML 200": ServiceFault(
        in_order(lambda r: r.whole(200, b"<html>hi</html>", "text/html")), "not_streamed"
    ),
    "JSON 200 of something else": ServiceFault(
        in_order(lambda r: r.whole(200, b'{"models":[{"name":"m"}]}')), "not_streamed"
    ),
    "JSON 200 that is not said to be complete": ServiceFault(
        in_order(lambda r: r.whole(200, b'{"choices":[{"message":{"content":"half"}}]}')),
        "cut",
        kept="half",
    ),
    "JSON 200 with an error": ServiceFault(
        in_order(lambda r: r.whole(200, b'{"error":{"message":"maximum context length is 9"}}')),
        "context_overflow",
    ),
    "invalid JSON line": ServiceFault(
        in_order(
            send_head, send_token, lambda r: r.chunk(b"data: {nope}\n\n"), Reply.finish, Reply.done
        ),
        "malformed",
        kept="half",
    ),
    "invalid UTF-8": ServiceFault(
        in_order(
            send_head, send_token, lambda r: r.chunk(b'data: {"x":"\xff\xfe"}\n\n'), Reply.done
        ),
        "malformed",
        kept="half",
    ),
    "1 MiB line": ServiceFault(
        in_order(send_head, send_token, lambda r: r.token("x" * 2**20), Reply.finish, Reply.done),
        "oversized",
        kept="half",
    ),
    "a line without an end": ServiceFault(
        in_order(send_head, send_token, *[lambda r: r.chunk(b"x" * 2**16)] * 20),
        "oversized",
        kept="half",
    ),
    "error in mid stream": ServiceFault(
        in_order(
            send_head, send_token, lambda r: r.data({"error": {"message": "out of capacity"}})
        ),
        "server_error",
        kept="half",
    ),
    "error event in mid stream": ServiceFault(
        in_order(
            send_head, send_token, lambda r: r.chunk(b"event: error\ndata: out of capacity\n\n")
        ),
        "server_error",
        kept="half",
    ),
    "finished by a filter": ServiceFault(
        in_order(send_head, send_token, lambda r: r.finish("content_filter"), Reply.done),
        "content_filter",
        kept="half",
    ),
    "finished in an unknown way": ServiceFault(
        in_order(
            send_head, send_token, lambda r: r.finish("insufficient_system_resource"), Reply.done
        ),
        "unfinished",
        kept="half",
    ),
    "400": ServiceFault(error_status(400), "bad_request"),
    "400, too long": ServiceFault(
        error_status(400, "maximum context length is 8192"), "context_overflow"
    ),
    "401": ServiceFault(error_status(401), "unauthorized"),
    "402": ServiceFault(error_status(402), "quota"),
    "403": ServiceFault(error_status(403), "forbidden"),
    "404": ServiceFault(error_status(404), "not_found"),
    "429": ServiceFault(error_status(429), "rate_limited", asked=3),
    "429, no money": ServiceFault(error_status(429, "insufficient_quota"), "quota"),
    "500": ServiceFault(error_status(500), "server_error", asked=3),
    "503 in HTML": ServiceFault(
        in_order(lambda r: r.whole(503, b"<html>down</html>", "text/html")), "server_error", asked=3
    ),
    "redirect": ServiceFault(
        in_order(lambda r: r.whole(308, b"", Location="http://127.0.0.1:1/v1")), "redirect"
    ),
    "closed without a word": ServiceFault(in_order(hang_up), "disconnected", asked=3),
}
