"""The JSON form of an event: ``[seq, t_us, model, kind, payload]``.

A payload leaves out every field that has its default value. Only this module knows that form.
"""

import json
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from tui.events import Body, Delta, Event, JsonObject, Unknown

_LEAST, _MOST = -(2**63), 2**63 - 1


class EventError(ValueError):
    """An event whose JSON form is not what its kind says."""


_KINDS: dict[str, type] = {t.kind: t for t in typing.get_args(Body) if t is not Unknown}
_DEFAULTS: dict[type, list[tuple[str, Any]]] = {}
_REQUIRED: dict[type, list[str]] = {}
_CHECKS: dict[type, dict[str, tuple[type, ...]]] = {}


def _default(f: Any) -> Any:
    return f.default_factory() if f.default_factory is not MISSING else f.default


def _accepted(hint: Any) -> tuple[type, ...]:
    parts = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    plain = tuple(typing.get_origin(p) or p for p in parts)
    return (*plain, int) if float in plain else plain


for _type in _KINDS.values():
    _hints = typing.get_type_hints(_type)
    _DEFAULTS[_type] = [(f.name, _default(f)) for f in fields(_type)]
    _REQUIRED[_type] = [name for name, default in _DEFAULTS[_type] if default is MISSING]
    _CHECKS[_type] = {f.name: _accepted(_hints[f.name]) for f in fields(_type)}


def payload(body: Body) -> JsonObject:
    """The JSON object of a body, without the fields that have their default value."""
    if isinstance(body, Unknown):
        return body.payload
    pairs = ((name, getattr(body, name), default) for name, default in _DEFAULTS[type(body)])
    return {name: value for name, value, default in pairs if value != default}


def decode_body(kind: str, data: Mapping[str, Any]) -> Body:
    """The body of a kind from its JSON object; fields this version lacks are dropped.

    Raises:
        EventError: a field is missing or of the wrong type.
    """
    made = _KINDS.get(kind)
    if made is None:
        return Unknown(kind, dict(data))
    checks, unknown = _CHECKS[made], False
    for name, value in data.items():
        if name not in checks:
            unknown = True
            continue
        # By exact type: JSON gives no other types, and a bool must not pass as a number.
        found = type(value)
        if found not in checks[name] or (
            not _LEAST <= value <= _MOST
            if found is int
            else found is float and not math.isfinite(value)
        ):
            raise EventError(f"{kind}.{name} is of another type, or out of range")
    known = {name: data[name] for name in data if name in checks} if unknown else data
    try:
        return typing.cast(Body, made(**known))
    except TypeError:
        lacks = ", ".join(name for name in _REQUIRED[made] if name not in known)
        raise EventError(f"{kind} lacks {lacks}") from None


def encode(event: Event) -> str:
    """The JSON array of an event on one line, without a newline."""
    row = [event.seq, event.t_us, event.model, event.body.kind, payload(event.body)]
    return json.dumps(row, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def decode(line: str) -> Event:
    """The event of one JSON line.

    Raises:
        EventError: the line is not an event.
    """
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        raise EventError("not JSON") from None
    return decode_row(row)


def decode_row(row: Any) -> Event:
    """The event of a parsed JSON row.

    Raises:
        EventError: the row is not ``[seq, t_us, model, kind, payload]``.
    """
    if type(row) is not list or len(row) != 5:
        raise EventError("not [seq, t_us, model, kind, payload]")
    seq, t_us, model, kind, data = row
    # Written out for speed: a session can have a million lines.
    if (
        not type(seq) is type(t_us) is type(model) is int
        or type(kind) is not str
        or type(data) is not dict
        or not (_LEAST <= seq <= _MOST and _LEAST <= t_us <= _MOST and _LEAST <= model <= _MOST)
    ):
        raise EventError("not [seq, t_us, model, kind, payload]")
    if kind == Delta.kind and len(data) == 2:
        # Nearly all lines are an answer's next token: its number, and its text.
        answer, text = data.get("answer"), data.get("text")
        if type(answer) is int and type(text) is str and _LEAST <= answer <= _MOST:
            return Event(seq, t_us, model, Delta(answer, text=text))
    return Event(seq, t_us, model, decode_body(kind, data))
