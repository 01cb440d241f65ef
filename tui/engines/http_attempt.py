"""One attempt at one answer: send the request, read the stream under the token clocks."""

import asyncio
import email.utils
import json
import math
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from tui.engines import tokens
from tui.engines.completion import Completion, TextPiece
from tui.engines.errors import ServiceError, error_from_exception, error_from_status, quote_text
from tui.engines.secret import Secret
from tui.engines.sse import SseParser, StreamError
from tui.events import Answered, Body, Delta, Logprobs, Note
from tui.metrics import answer_metrics
from tui.services import Service
from tui.text import repetition

if TYPE_CHECKING:
    import httpx

GRACE_S = 5.0
"""Seconds that a finished answer's usage may take to follow."""
BODY_END_S = 0.2
"""Seconds that the end of the body may take after ``[DONE]``."""

LONGEST_REASONING = 131_072
"""Tokens of reasoning for which an answer may go beyond what it was to have: more than any service
takes as a budget."""
_ESTIMATE_SLACK = 64
_ERROR_BYTES = 64 * 1024

Emit = Callable[[int, Body], None]
"""``emit(time.monotonic_ns(), body)``."""


@dataclass(slots=True)
class HttpAttempt:
    """One attempt. ``has_begun`` says whether a token arrived, after which nothing is repeated;
    with ``loop_stop`` an answer that only repeats itself is ended."""

    client: "httpx.AsyncClient"
    service: Service
    model: str
    key: Secret
    answer: int
    emit: Emit
    loop_stop: bool = False
    has_begun: bool = False
    _first_ns: int = 0
    _finish_ns: int = 0
    _estimated_tokens: float = 0.0
    _visible_tokens: float = 0.0
    _most_tokens: float = math.inf
    _emitted_tokens: int = 0
    _repeats_from: int = 0
    _said: str = ""
    """The end of what was said, as far as repetition is looked for."""

    async def run(self, body: dict[str, Any], start_ns: int) -> Answered:
        """Ask, emit what arrives, and give the figures of the complete answer.

        Raises:
            Fault: anything else than a complete answer came of it.
        """
        completion = Completion(self.service.host, self.key)
        self._most_tokens = body.get(self.service.max_tokens_field, math.inf)
        headers_came = False
        try:
            async with asyncio.timeout(self.service.first_token_s) as clock:
                url = f"{self.service.base_url}/chat/completions"
                async with self.client.stream("POST", url, json=body) as response:
                    headers_came = True
                    await check_event_stream(response, self.service, self.key)
                    await self._read(response, completion, clock)
        except TimeoutError:
            if not completion.finish and not completion.is_over:
                raise self._timeout_error(headers_came, completion) from None
        except Exception as error:
            # What goes wrong after finish_reason takes nothing from the answer.
            if not completion.finish:
                raise self._stream_error(error, headers_came) from None
        if completion.fault is not None:
            raise completion.fault
        if not completion.finish:
            raise ServiceError(
                "cut", f"{self.service.host} ended the stream without a finish_reason"
            )
        return self._answered(completion, start_ns)

    async def _read(
        self, response: "httpx.Response", completion: Completion, clock: asyncio.Timeout
    ) -> None:
        parser, loop, over = SseParser(), asyncio.get_running_loop(), False
        try:
            async with aclosing(_chunks(response)) as chunks:
                async for chunk in chunks:
                    if over:
                        continue
                    now = time.monotonic_ns()
                    for event in parser.feed(chunk):
                        pieces = completion.feed(event)
                        for piece in pieces:
                            self._emit_delta(now, piece.text, piece.reasoning)
                        for token in completion.logprobs:
                            self.emit(now, Logprobs(self.answer, *token))
                        completion.logprobs.clear()
                        if self.loop_stop and pieces and self._repeats(pieces):
                            completion.finish, self._finish_ns = "repetition", now
                            return
                        if completion.fault is not None:
                            return
                        if completion.finish and not self._finish_ns:
                            self._finish_ns = now
                            clock.reschedule(loop.time() + GRACE_S)
                        elif pieces and not completion.finish:
                            clock.reschedule(loop.time() + self.service.stall_s)
                        if not completion.finish and self._is_endless():
                            completion.finish, self._finish_ns = "length", now
                            said = f"{self.service.host} goes on behind max_new_tokens: cut off"
                            self.emit(now, Note(said, self.answer))
                            return
                    over = completion.is_over
                    if over:
                        # Only a body read to its end leaves the connection for the next.
                        clock.reschedule(loop.time() + BODY_END_S)
        except StreamError as error:
            raise ServiceError(error.cause, f"{self.service.host} sends {error}") from None

    def _emit_delta(self, now: int, text: str, reasoning: bool) -> None:
        if not self.has_begun:
            self.has_begun, self._first_ns = True, now
        self._estimated_tokens += tokens.estimate(text)
        self._visible_tokens += 0 if reasoning else tokens.estimate(text)
        more = max(1, round(self._estimated_tokens)) - self._emitted_tokens
        self._emitted_tokens += more
        self.emit(now, Delta(self.answer, more, text, reasoning))

    def _repeats(self, pieces: Sequence[TextPiece]) -> bool:
        """Whether the answer has come to repeat itself; from which token on, by the estimate."""
        rule = repetition.CHARACTERS
        self._said = (self._said + "".join(piece.text for piece in pieces))[-rule.reach :]
        first = rule.begin(self._said)
        if first is None:
            return False
        repeated = tokens.estimate_whole(self._said[first:])
        self._repeats_from = max(1, self._emitted_tokens - repeated + 1)
        return True

    def _is_endless(self) -> bool:
        """Whether there is far more than was asked for: tokens are estimated, and services
        count reasoning in different ways."""
        if self._visible_tokens > 2 * self._most_tokens + _ESTIMATE_SLACK:
            return True
        return self._estimated_tokens > 2 * self._most_tokens + LONGEST_REASONING

    def _timeout_error(self, headers_came: bool, completion: Completion) -> ServiceError:
        host, service = self.service.host, self.service
        if not headers_came:
            return ServiceError(
                "no_response", f"{host} did not answer in {service.first_token_s:g} s"
            )
        if not completion.has_begun:
            seconds = service.first_token_s
            return ServiceError("no_first_token", f"{host} sent no token in {seconds:g} s")
        return ServiceError("stalled", f"{host} sent no further token in {service.stall_s:g} s")

    def _stream_error(self, error: Exception, headers_came: bool) -> ServiceError:
        if isinstance(error, ServiceError):
            return error
        fault = error_from_exception(error, self.service.host)
        if headers_came and fault.cause == "disconnected":
            return ServiceError("cut", f"{self.service.host} broke the stream off in mid answer")
        return fault

    def _answered(self, completion: Completion, start_ns: int) -> Answered:
        """The figures by the formulas of `tui.metrics`; E2E ends at finish_reason.

        A service that reuses a known beginning hides it in its TTFT: ``reused`` is 0.
        """
        text = "".join(completion.text_pieces)
        output, source = completion.output_tokens, "usage"
        if output is None:
            output, source = tokens.count("".join(completion.reasoning_pieces) + text, self.model)
        prompt = completion.prompt_tokens or 0
        metrics = answer_metrics(
            start_ns=start_ns,
            first_ns=self._first_ns if self.has_begun else None,
            end_ns=self._finish_ns,
            prompt_tokens=prompt,
            reused=0,
            output_tokens=output,
            characters=len(text),
        )
        return Answered(
            self.answer,
            completion.finish,
            prompt,
            output,
            token_source=source,
            **asdict(metrics),
            repeats_from=self._repeats_from,
        )


async def check_event_stream(response: "httpx.Response", service: Service, key: Secret) -> None:
    """Return if the response is an event stream.

    Raises:
        Fault: it is an error, or something else.
    """
    host = service.host
    if 300 <= response.status_code < 400:
        to = quote_text(response.headers.get("Location", "nowhere").partition("?")[0], key)
        status = response.status_code
        raise ServiceError("redirect", f"{host} answers HTTP {status}: moved to {to}")
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if response.status_code < 300 and kind == "text/event-stream":
        return
    text = await _read_error_text(response)
    body = parse_json(text)
    if response.status_code >= 300:
        raise error_from_response(response, text, service, key)
    if isinstance(body, dict) and body.get("error"):
        raise error_from_status(500, body, text, host, key)
    what = {"text/html": "a web page", "application/json": "one JSON answer"}.get(
        kind, quote_text(kind) or "something without a type"
    )
    raise ServiceError("not_streamed", f"{host} answers with {what}, not with an event stream")


def error_from_response(
    response: "httpx.Response", text: str, service: Service, key: Secret
) -> ServiceError:
    """The fault of a response whose status is an error; ``text`` is its body."""
    fault = error_from_status(response.status_code, parse_json(text), text, service.host, key)
    fault.retry_after_s = parse_retry_after(response.headers.get("Retry-After", ""))
    if fault.cause == "unauthorized" and not key and service.key_variable:
        fault.next_step = f"export {service.key_variable}=..."
    return fault


async def _read_error_text(response: "httpx.Response") -> str:
    """What an error says: its first bytes, as far as they come within the grace."""
    got = bytearray()
    # The status is known; that its explanation breaks off must not replace it.
    with suppress(Exception):
        async with asyncio.timeout(GRACE_S):
            await read_into(got, response, _ERROR_BYTES)
    return got.decode("utf-8", "replace")


async def _chunks(response: "httpx.Response") -> AsyncGenerator[bytes, None]:
    """The body as it arrives; a generator by type too, so that it can be closed early."""
    async for chunk in response.aiter_bytes():
        yield chunk


async def read_into(got: bytearray, response: "httpx.Response", most: int) -> None:
    """Add the body of a response to ``got``, at most so many bytes."""
    async with aclosing(_chunks(response)) as chunks:
        async for chunk in chunks:
            got += chunk[: most - len(got)]
            if len(got) >= most:
                return


def parse_json(text: str) -> Any:
    """The JSON value of a text, or None."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def parse_retry_after(value: str) -> float | None:
    """Seconds that a Retry-After header (RFC 9110, 10.2.3) asks for: a number or a date.
    None where it asks for no wait: a number below 0, or none, or a date that is past."""
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return seconds if seconds >= 0 else None
