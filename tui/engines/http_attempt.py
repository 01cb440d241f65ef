"""One attempt at one answer: send the request, read the stream under the token clocks."""

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing, suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tui.engines import tokens
from tui.engines.completion import Completion, TextPiece
from tui.engines.errors import (
    ServiceError,
    error_from_exception,
    is_error,
    quote_text,
)
from tui.engines.http_response import body_chunks, check_status, parse_json
from tui.engines.secret import Secret
from tui.engines.sse import ServerEvent, SseParser, StreamError
from tui.events import Answered, Body, Delta, Logprobs, Note
from tui.metrics import answer_metrics
from tui.services import Service
from tui.text import repetition
from tui.text.token_estimate import estimate, estimate_whole

if TYPE_CHECKING:
    import httpx2

GRACE_S = 5.0
"""Seconds that a finished answer's usage may take to follow."""
BODY_END_S = 0.2
"""Seconds that the end of the body may take after ``[DONE]``."""

LONGEST_REASONING = 131_072
"""Tokens of reasoning for which an answer may go beyond what it was to have: more than any service
takes as a budget."""
_ESTIMATE_SLACK = 64
_LONGEST_DOCUMENT = 16 * 1024 * 1024
"""Bytes of a whole answer: `LONGEST_ANSWER` in characters of four bytes. As many a server may send
besides the tokens: white space, comments, events without text."""
_BYTES_A_TOKEN = 64 * 1024
"""Bytes that a server may send for each token: far above one with its likeliest others."""
_LONGEST_ANSWER_S = 86_400.0
"""Seconds that an answer may take, however steadily it comes."""
_BOM = b"\xef\xbb\xbf"
_OTHER_FORMS = (b"{", b"[", b"<")
"""What a body that is no stream begins with."""
_TOLD_BY = 8
"""Bytes by which a stream shows what it is, and fewer than its shortest event has."""
_STREAM = "text/event-stream"
_STREAM_FIELDS = (b"data", b"event", b"id", b"retry", b"error")

Emit = Callable[[int, Body], None]
"""``emit(time.monotonic_ns(), body)``."""


@dataclass(slots=True)
class HttpAttempt:
    """One attempt. ``has_begun`` says whether a token arrived, after which nothing is repeated;
    with ``loop_stop`` an answer that only repeats itself is ended."""

    client: "httpx2.AsyncClient"
    service: Service
    model: str
    key: Secret
    answer: int
    emit: Emit
    loop_stop: bool = False
    has_begun: bool = False
    _parser: SseParser = field(default_factory=SseParser)
    _is_streamed: bool = True
    _in_grace: bool = False
    _is_too_long: bool = False
    _first_ns: int = 0
    _answer_ns: int = 0
    """When the first of the visible text came."""
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
        limits = (body.get(name) for name in ("max_tokens", "max_completion_tokens"))
        self._most_tokens = next((most for most in limits if most), math.inf)
        trouble: ServiceError | None = None
        headers_came = is_framed = False
        try:
            async with asyncio.timeout(self.service.first_token_s) as clock:
                url = f"{self.service.base_url}/chat/completions"
                async with self.client.stream("POST", url, json=body) as response:
                    headers_came = True
                    await check_status(response, self.service, self.key)
                    await self._read(response, completion, clock)
                    # Such a body cannot have been cut off unseen.
                    is_framed = bool(
                        response.headers.keys() & {"transfer-encoding", "content-length"}
                    )
        except TimeoutError:
            if not completion.is_over:
                trouble = self._timeout_error(headers_came, completion)
        except Exception as error:
            trouble = self._stream_error(error, headers_came)
        self._take_rest(completion)
        if completion.fault is not None:
            raise completion.fault
        # What goes wrong after a finish_reason takes nothing from the answer.
        if completion.is_complete or (completion.finish and is_framed and trouble is None):
            return self._answered(completion, start_ns)
        raise self._with_advice(trouble or self._cut_error(completion))

    async def _read(
        self, response: "httpx2.Response", completion: Completion, clock: asyncio.Timeout
    ) -> None:
        """Read whatever the body is: its first bytes tell, not the type that it is said to have."""
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        async with aclosing(self._bounded_chunks(response)) as chunks:
            head = b""
            async for chunk in chunks:
                head = (head + chunk).removeprefix(_BOM).lstrip()
                if head[:1] in _OTHER_FORMS or len(head) >= _TOLD_BY or b"\n" in head:
                    break
            if head[:1] in (b"{", b"["):
                await self._read_document(head, chunks, completion)
            elif head[:1] == b"<" or (kind != _STREAM and not _begins_stream(head)):
                raise self._no_stream("a web page" if head[:1] == b"<" else quote_text(kind))
            else:
                await self._read_stream(head, chunks, completion, clock)

    async def _bounded_chunks(self, response: "httpx2.Response") -> AsyncGenerator[bytes, None]:
        """The body as it arrives, as long as the bytes stand in a relation to the tokens."""
        size = 0
        async with aclosing(body_chunks(response)) as chunks:
            async for chunk in chunks:
                size += len(chunk)
                most = _LONGEST_DOCUMENT + _BYTES_A_TOKEN * self._emitted_tokens
                if size > most:
                    said = f"{self.service.host} sends more than {most:,} bytes for this answer"
                    raise ServiceError("oversized", said)
                yield chunk

    async def _read_document(
        self, head: bytes, chunks: AsyncGenerator[bytes, None], completion: Completion
    ) -> None:
        """A JSON document in the place of a stream: an answer as a whole, or an error."""
        got = bytearray(head)
        async for chunk in chunks:
            got += chunk
        now, self._is_streamed = time.monotonic_ns(), False
        document = parse_json(got.decode("utf-8", "replace"))
        if document is None:
            parser = SseParser(_LONGEST_DOCUMENT)  # of JSON, one a line
            found = [
                completion.feed(event) for event in (*parser.feed(bytes(got)), *parser.finish())
            ]
        elif isinstance(document, dict) and not document.get("choices") and not is_error(document):
            raise self._no_stream("one JSON answer")
        else:
            found = [completion.feed_json(document)]
        self._emit_pieces(now, completion, [piece for pieces in found for piece in pieces])
        completion.end()
        self._finish_ns = now
        if completion.finish:
            said = f"{self.service.host} answers in one piece: no time to the first token is known"
            self.emit(now, Note(said, self.answer))

    async def _read_stream(
        self,
        head: bytes,
        chunks: AsyncGenerator[bytes, None],
        completion: Completion,
        clock: asyncio.Timeout,
    ) -> None:
        loop = asyncio.get_running_loop()
        try:
            is_done = self._feed(self._parser.feed(head), completion, clock)
            while not is_done and not completion.is_over:
                chunk = await anext(chunks, None)
                if chunk is None:
                    return
                is_done = self._feed(self._parser.feed(chunk), completion, clock)
            if not is_done:
                # Only a body read to its end leaves the connection for the next.
                clock.reschedule(loop.time() + BODY_END_S)
                async for _ in chunks:
                    pass
        except StreamError as error:
            raise ServiceError(error.cause, f"{self.service.host} sends {error}") from None

    def _feed(
        self, events: Iterable[ServerEvent], completion: Completion, clock: asyncio.Timeout
    ) -> bool:
        """Take what arrived; whether no more is wanted, whatever else the server has."""
        now, loop = time.monotonic_ns(), asyncio.get_running_loop()
        for event in events:
            pieces = completion.feed(event)
            self._emit_pieces(now, completion, pieces)
            if self.loop_stop and pieces and self._repeats(pieces):
                completion.finish, completion.is_over, self._finish_ns = "repetition", True, now
            if completion.fault is not None or completion.finish == "repetition":
                return True
            if completion.finish and (pieces or not self._finish_ns):
                self._finish_ns = now
            is_finished = bool(completion.finish) and completion.is_sure
            if is_finished and not self._in_grace:
                self._in_grace = True
                clock.reschedule(loop.time() + GRACE_S)
            elif pieces and not is_finished:
                self._is_too_long = now - self._first_ns > _LONGEST_ANSWER_S * 1e9
                clock.reschedule(loop.time() + (not self._is_too_long) * self.service.stall_s)
            if not is_finished and self._is_endless():
                completion.finish, completion.is_over, self._finish_ns = "length", True, now
                said = f"{self.service.host} goes on behind max_new_tokens: cut off"
                self.emit(now, Note(said, self.answer))
                return True
        return False

    def _take_rest(self, completion: Completion) -> None:
        """What waited for more that did not come."""
        now = time.monotonic_ns()
        if not completion.is_over and completion.fault is None:
            for event in self._parser.finish():
                # An event that the end cut in two is none.
                with suppress(ServiceError):
                    self._emit_pieces(now, completion, completion.feed(event))
        self._emit_pieces(now, completion, completion.flush())
        self._finish_ns = self._finish_ns or now

    def _emit_pieces(self, now: int, completion: Completion, pieces: Sequence[TextPiece]) -> None:
        for piece in pieces:
            self._emit_delta(now, piece)
        for token in completion.logprobs:
            self.emit(now, Logprobs(self.answer, *token))
        completion.logprobs.clear()

    def _cut_error(self, completion: Completion) -> ServiceError:
        host = self.service.host
        if completion.finish:
            said = f"{host} gives a finish_reason with every piece, and ended without [DONE]"
            return ServiceError("cut", said)
        return ServiceError("cut", f"{host} ended the stream without a finish_reason")

    def _no_stream(self, what: str) -> ServiceError:
        what = what or "something without a type"
        said = f"{self.service.host} answers with {what}, not with an event stream"
        return ServiceError("not_streamed", said)

    def _with_advice(self, fault: ServiceError) -> ServiceError:
        """The fault; where it is that the address ends too early, with what to write."""
        address = self.service.base_url
        is_short = not urlsplit(address).path.strip("/") and "model" not in fault.message.lower()
        if is_short and fault.cause in ("not_found", "not_streamed"):
            fault.next_step = f"the address lacks /v1: {address}/v1"
        return fault

    def _emit_delta(self, now: int, piece: TextPiece) -> None:
        text, reasoning = piece.text, piece.reasoning
        if not self.has_begun:
            self.has_begun, self._first_ns = True, now
        if piece.recast:
            self._answer_ns = 0
        elif text and not reasoning:
            self._answer_ns = self._answer_ns or now
        estimated = estimate(text)
        self._estimated_tokens += estimated
        if piece.recast:
            self._visible_tokens = 0.0
        self._visible_tokens += 0 if reasoning else estimated
        more = max(1, round(self._estimated_tokens)) - self._emitted_tokens
        self._emitted_tokens += more
        self.emit(now, Delta(self.answer, more, text, reasoning, piece.recast))

    def _repeats(self, pieces: Sequence[TextPiece]) -> bool:
        """Whether the answer has come to repeat itself; from which token on, by the estimate."""
        rule = repetition.CHARACTERS
        self._said = (self._said + "".join(piece.text for piece in pieces))[-rule.reach :]
        first = rule.begin(self._said)
        if first is None:
            return False
        repeated = estimate_whole(self._said[first:])
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
        if self._is_too_long:
            said = f"{host} was still answering after {_LONGEST_ANSWER_S / 3600:g} hours: cut off"
            return ServiceError("stalled", said)
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

        ``reused`` is what the service says that it knew; one that does not say hides it in its
        TTFT.
        """
        text = "".join(completion.text_pieces)
        output, source = completion.output_tokens, "usage"
        if output is None:
            output, source = tokens.count("".join(completion.reasoning_pieces) + text, self.model)
        prompt = completion.prompt_tokens or 0
        metrics = answer_metrics(
            start_ns=start_ns,
            first_ns=self._first_ns if self.has_begun and self._is_streamed else None,
            end_ns=self._finish_ns,
            prompt_tokens=prompt,
            reused=completion.reused,
            output_tokens=output,
            characters=len(text),
            answer_ns=self._answer_ns if self._answer_ns and self._is_streamed else None,
        )
        return Answered(
            self.answer,
            completion.finish,
            prompt,
            output,
            token_source=source,
            reused=completion.reused,
            **asdict(metrics),
            repeats_from=self._repeats_from,
            thought_tokens=self._thought_tokens(completion, text, output),
        )

    def _thought_tokens(self, completion: Completion, text: str, output: int) -> int:
        """As the service counted them; where it did not, their share of the tokens by their share
        of an estimate."""
        thought = "".join(completion.reasoning_pieces)
        if completion.thought_tokens or not thought:
            return completion.thought_tokens or 0
        inside, visible = estimate(thought), estimate(text)
        return round(output * inside / (inside + visible))


def _begins_stream(head: bytes) -> bool:
    return head.startswith(b":") or head.partition(b":")[0].strip() in _STREAM_FIELDS
