"""One line of a session file: ``[seq,t_us,model,kind,payload]<TAB><crc32><LF>``.

The CRC-32 (zlib's polynomial) is over the JSON bytes and stands as exactly eight
lowercase hexadecimal digits, so that a flipped bit in it is seen as well.
"""

import json
import math
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any
from zlib import crc32

from tui import events as ev
from tui.events import Event, json_form
from tui.metrics import without_absurd
from tui.sessions.bounded_lines import LongLineError, bound_lines

SUFFIX = ".duibi"
MAX_LINE = 16 << 20
"""Bytes of the longest line that is written or read."""
MAX_FILE = 1 << 30
"""Bytes of the longest file that is read: about 20 million tokens with their timing."""

MAX_DEPTH = 100
"""Arrays and objects within each other in a line, its own array counted: far below what any
parser refuses, wherever it is called."""
_TOO_DEEP = f"nested more than {MAX_DEPTH} deep"

_CRC_BYTES = 10  # a tab, eight digits, a newline
_MARK = secrets.token_hex(16)
_BETWEEN = f',"{_MARK}",'.encode()


class LineError(ValueError):
    """A line that is not one of a session file."""


def encode_line(event: Event) -> tuple[Event, bytes]:
    """The event as it will be read back, and its line.

    What the file cannot hold is replaced: a lone surrogate by U+FFFD, a number that is
    not finite by null.

    Raises:
        LineError: the line would be longer than `MAX_LINE`.
    """
    try:
        body = json_form.encode(event).encode()
    except RecursionError:
        raise LineError(_TOO_DEEP) from None
    except UnicodeEncodeError:
        text = json_form.encode(event).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        body, event = text.encode(), json_form.decode(text)
    except ValueError:
        return encode_line(_without_infinities(event))
    if len(body) > 2 * MAX_DEPTH and _is_too_deep(body, [json_form.payload(event.body)]):
        raise LineError(_TOO_DEEP)
    if len(body) + _CRC_BYTES > MAX_LINE:
        raise LineError(f"an event of {len(body)} bytes is longer than a line may be")
    return event, add_crc(body)


def add_crc(body: bytes) -> bytes:
    """The line of a JSON row: the row, a tab, its CRC and a newline."""
    return b"%b\t%08x\n" % (body, crc32(body))


def strip_crc(line: bytes) -> bytes:
    """The JSON row of a sealed line, newline included."""
    return line[:-_CRC_BYTES]


def has_valid_crc(line: bytes) -> bool:
    """Whether a line, newline included, is whole and its CRC holds."""
    return line[-_CRC_BYTES:] == b"\t%08x\n" % crc32(line[:-_CRC_BYTES])


def decode_line(line: bytes) -> list[Any]:
    """The JSON array of a line, newline included.

    Raises:
        LineError: newline or CRC are missing or wrong, or it holds no JSON array.
    """
    body = line[:-_CRC_BYTES]
    if line[-_CRC_BYTES:] != b"\t%08x\n" % crc32(body):
        raise LineError("the checksum does not hold")
    try:
        text = body.decode()
        row, end = _decode(text)
    except RecursionError:
        raise LineError(_TOO_DEEP) from None
    except json.JSONDecodeError:
        raise LineError("not JSON") from None
    except _NumberError as error:
        raise LineError(str(error)) from None
    except ValueError as error:
        is_text = isinstance(error, UnicodeDecodeError)
        raise LineError("not UTF-8" if is_text else "a number of too many digits") from None
    if end != len(text) or type(row) is not list:
        raise LineError("not one JSON array")
    # Each level takes two brackets: nearly every line is too short to be too deep.
    if len(body) > 2 * MAX_DEPTH and _is_too_deep(body, row):
        raise LineError(_TOO_DEEP)
    return row


def decode_lines(batch: Sequence[bytes]) -> list[list[Any]] | None:
    """The JSON arrays of many lines, parsed as one text; None where `decode_line` would refuse
    one of them, or has to be asked.

    A mark that no file can know stands between the lines. That it is met between every two of
    the values proves that each line is one value: none begins or ends within another line.
    """
    bodies = [line[:-_CRC_BYTES] for line in batch]
    for line, body in zip(batch, bodies, strict=True):
        if line[-_CRC_BYTES:] != b"\t%08x\n" % crc32(body):
            return None
        if body[:1] != b"[" or body[-1:] != b"]":
            return None
        if len(body) > 2 * MAX_DEPTH and body.count(b"[") + body.count(b"{") > MAX_DEPTH:
            return None
    try:
        found, _ = _decode((b"[%b]" % _BETWEEN.join(bodies)).decode())
    except (RecursionError, ValueError):
        return None
    rows: list[list[Any]] = found[::2]
    if len(found) != 2 * len(batch) - 1 or found[1::2] != [_MARK] * (len(batch) - 1):
        return None
    return rows


def _is_too_deep(body: bytes, row: list[Any]) -> bool:
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return False
    level: list[Any] = [row]
    for _ in range(MAX_DEPTH):
        level = [
            item
            for one in level
            for item in (one.values() if isinstance(one, dict) else one)
            if isinstance(item, dict | list | tuple)
        ]
        if not level:
            return False
    return True


def decode_event(row: list[Any]) -> Event:
    """The event of a row, its lines bounded; a time outside 0 to 2**53 microseconds is none.

    Raises:
        LineError: it is no event.
    """
    try:
        event = json_form.decode_row(row)
    except json_form.EventError as error:
        raise LineError(str(error)) from None
    if not 0 <= event.t_us < 1 << 53:
        raise LineError("a time out of range")
    if type(event.body) not in _WITH_LINES:
        return event
    try:
        return bound_lines(event)
    except LongLineError as error:
        raise LineError(str(error)) from None


_WITH_FIGURES = frozenset((ev.Load, ev.Loaded, ev.Measured, ev.Started, ev.Answered, ev.Memory))
_WITH_LINES = frozenset((ev.Session, ev.Joined, ev.Resumed, ev.Note))


def with_real_figures(events: Iterable[Event]) -> list[Event]:
    """The events without figures that nobody can have measured (`tui.metrics.without_absurd`)."""
    return [
        event
        if type(event.body) not in _WITH_FIGURES
        else replace(event, body=without_absurd(event.body))
        for event in events
    ]


class _NumberError(ValueError):
    """A number that a session file may not hold."""


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise _NumberError("a number out of range")
    return value


def _refuse_constant(text: str) -> float:
    raise _NumberError(f"{text} is no number")


_decode = json.JSONDecoder(parse_float=_finite, parse_constant=_refuse_constant).raw_decode


def _without_infinities(event: Event) -> Event:
    def clean(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: clean(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [clean(item) for item in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    body = json_form.decode_body(event.body.kind, clean(json_form.payload(event.body)))
    return Event(event.seq, event.t_us, event.model, body)
