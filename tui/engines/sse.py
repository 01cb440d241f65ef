"""Server-sent events from bytes, one chunk at a time, as the WHATWG HTML standard
("Server-sent events", parsing an event stream) defines them, and as servers of chat completions
write them. Pure: no network, no clock."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

MAX_EVENT_BYTES = 512 * 1024
"""Bytes a line, and the data of one event, may have: far above any token, far below
what could fill the memory."""

_BOM = b"\xef\xbb\xbf"


class StreamError(ValueError):
    """Bytes that are no event stream; ``cause`` is ``oversized`` or ``malformed``."""

    def __init__(self, cause: str, message: str) -> None:
        super().__init__(message)
        self.cause = cause


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One dispatched event: its type (``message`` where the stream names none) and data;
    ``document`` is the JSON object that the data is, where that was looked at already."""

    data: str
    type: str = "message"
    document: dict[str, Any] | None = field(default=None, compare=False)


@dataclass(slots=True)
class SseParser:
    """Feed it what arrives; it gives the events that are complete.

    Comments (``: keep-alive``) and events without data give nothing. Beyond the standard, as
    servers do it: a data line that is a JSON object by itself is an event by itself, whether an
    empty line follows or not; a field ``error`` is an event of that type; a line that is a JSON
    object without any field's name is data.
    """

    max_bytes: int = MAX_EVENT_BYTES
    _buffer: bytearray = field(default_factory=bytearray)
    _searched: int = 0
    _after_cr: bool = False
    _first: bool = True
    _type: str = ""
    _data: list[str] = field(default_factory=list)
    _size: int = 0

    def feed(self, chunk: bytes) -> Iterator[ServerEvent]:
        """The events that ``chunk`` completes, lazily: those before an error come first.

        Raises:
            StreamError: a line or an event is longer than ``max_bytes``, or not UTF-8.
        """
        self._buffer += chunk
        while (line := self._next_line()) is not None:
            event = self._feed_line(line)
            if event is not None:
                yield event

    def finish(self) -> Iterator[ServerEvent]:
        """The event that waits for its end when the stream has ended. It may be cut off."""
        line, self._buffer = bytes(self._buffer), bytearray()
        for part in (line, b""):
            with suppress(StreamError):
                event = self._feed_line(part)
                if event is not None:
                    yield event

    def _next_line(self) -> bytes | None:
        """The next whole line without its end (LF, CR LF or CR), or None."""
        buffer = self._buffer
        if self._after_cr and buffer:
            if buffer[0] == 0x0A:
                del buffer[0]
            self._after_cr = False
        lf = buffer.find(b"\n", self._searched)
        cr = buffer.find(b"\r", self._searched, lf if lf >= 0 else len(buffer))
        end = cr if cr >= 0 else lf
        if end < 0:
            self._searched = len(buffer)
            if len(buffer) > self.max_bytes:
                raise StreamError("oversized", f"a line of more than {self.max_bytes} bytes")
            return None
        if end > self.max_bytes:
            raise StreamError("oversized", f"a line of more than {self.max_bytes} bytes")
        self._after_cr = buffer[end] == 0x0D
        line = bytes(buffer[:end])
        del buffer[: end + 1]
        self._searched = 0
        return line

    def _feed_line(self, line: bytes) -> ServerEvent | None:
        if self._first:
            line, self._first = line.removeprefix(_BOM), False
        if not line:
            return self._dispatch()
        if line.startswith(b":"):
            return None
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if line.startswith(b"{"):
            name, value = b"data", line
        elif name == b"error" and value:
            name, self._type = b"data", "error"
        if name not in (b"data", b"event"):
            return None
        try:
            text = value.decode()
        except UnicodeDecodeError:
            raise StreamError("malformed", "a line that is not UTF-8") from None
        if name == b"event":
            self._type = text
            return None
        self._size += len(value)
        if self._size > self.max_bytes:
            raise StreamError("oversized", f"an event of more than {self.max_bytes} bytes")
        self._data.append(text)
        document = _json_object(text) if len(self._data) == 1 else None
        return None if document is None else self._dispatch(document)

    def _dispatch(self, document: dict[str, Any] | None = None) -> ServerEvent | None:
        data, type_ = self._data, self._type or "message"
        self._data, self._type, self._size = [], "", 0
        return ServerEvent("\n".join(data), type_, document) if data else None


def _json_object(text: str) -> dict[str, Any] | None:
    """The object that a line holds by itself; None where it holds something else."""
    if not text.startswith("{") or not text.rstrip().endswith("}"):
        return None
    try:
        found: dict[str, Any] = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found
