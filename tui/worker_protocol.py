"""What a worker process and its parent say to each other.

A worker is started as ``python -m tui.worker FD`` with one end of a socketpair as FD. Each way
carries one JSON value a line (UTF-8). The parent sends orders, objects whose ``op`` names one of
the classes below and whose other keys are its fields; a field that has its default value is left
out. The child sends reports ``[t_ns, kind, payload]``: an event of `tui.events`, or `Alive`, at a
time of the monotonic clock in nanoseconds (one clock for all processes of a machine).

A `LoadOrder` ends in one ``loaded`` or ``failed`` (answer -1), each request of an `AnswerOrder` in
one ``answered``, ``failed`` or ``cancelled``. At end of file, and at a line that is no order, the
child exits at once. Both ends are the same version of this program: a field or an order that one
of them does not know is an error.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, ClassVar, TypeVar

from tui.events import Body
from tui.events.json_form import EventError, decode_body, payload

_T = TypeVar("_T")

LOG_STEP = "the log has the details"
"""The next step of what went wrong in the worker; its parent, which keeps the log, adds where."""
SEND_TOKENS_S = 0.06
"""Seconds between two reports of tokens: each bears its own time, and a screen shows no more."""


class ProtocolError(ValueError):
    """An order or a report whose form is not the one described here."""


@dataclass(frozen=True, slots=True)
class LoadOrder:
    """Load a model, in place of the one that is loaded.

    ``checkpoint`` is the path of a folder or a .gguf file, ``dtype`` ``bf16``, ``fp16``, ``fp32``,
    ``int8``, ``int4`` or ``gguf`` (a file as published), ``context`` a bound for the tokens of
    prompt and answer together below the checkpoint's own (0: none). ``remote_code`` holds the
    SHA-256 of each Python file of the checkpoint that a person agreed to run; without it none is
    run. At most ``batch`` answers are decoded together, and their prompts and answers hold at most
    ``max_cached_tokens`` tokens (0: any number). ``lookup``: guess tokens from the prompt.
    ``loop_stop``: end an answer that only repeats itself. ``chat_template`` is a Jinja source in
    place of the checkpoint's own (empty: its own), ``adapter`` the folder of a LoRA adapter to be
    merged into the weights (empty: none).
    """

    op: ClassVar[str] = "load"
    checkpoint: str
    dtype: str
    threads: int
    context: int = 0
    remote_code: dict[str, str] = field(default_factory=dict)
    batch: int = 1
    max_cached_tokens: int = 0
    lookup: bool = False
    loop_stop: bool = False
    chat_template: str = ""
    adapter: str = ""

    def __post_init__(self) -> None:
        _check_fields(self)


@dataclass(frozen=True, slots=True)
class DecodeRequest:
    """One answer to make: the whole conversation as (role, content), which ends in a user's
    message. ``max_new_tokens`` 0 or less sets no bound of its own; ``sampling`` overrides the
    checkpoint's defaults; ``background``: requests without it go first. ``prompt_tokens`` above 0
    makes it a measure: so many tokens of plain text are the prompt, not the conversation, and the
    answer has ``max_new_tokens``, whatever the model says. ``think`` is one of `tui.options.THINK`
    ("": the model's own way), and a thought is ended after ``think_tokens`` (None: by the model),
    which do not count for ``max_new_tokens``. What was computed for another ``column`` is not used
    again: its times would look better than they are."""

    answer: int
    messages: tuple[tuple[str, str], ...]
    max_new_tokens: int
    sampling: dict[str, float | int | bool | None] = field(default_factory=dict)
    background: bool = False
    prompt_tokens: int = 0
    think: str = ""
    think_tokens: int | None = None
    column: int = 0

    def __post_init__(self) -> None:
        _check_fields(self)


@dataclass(frozen=True, slots=True)
class AnswerOrder:
    """Answer these requests with the model that is loaded."""

    op: ClassVar[str] = "answer"
    requests: tuple[DecodeRequest, ...]

    def __post_init__(self) -> None:
        _check_fields(self)


@dataclass(frozen=True, slots=True)
class CancelOrder:
    """Stop these answers, all of them for None; those that are not open are ignored."""

    op: ClassVar[str] = "cancel"
    answers: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        _check_fields(self)


@dataclass(frozen=True, slots=True)
class ThreadsOrder:
    """Compute with so many threads from the next token on."""

    op: ClassVar[str] = "threads"
    threads: int

    def __post_init__(self) -> None:
        _check_fields(self)


@dataclass(frozen=True, slots=True)
class CloseOrder:
    """Exit at once."""

    op: ClassVar[str] = "close"


Order = LoadOrder | AnswerOrder | CancelOrder | ThreadsOrder | CloseOrder


@dataclass(frozen=True, slots=True)
class Alive:
    """A sign of life, several times a second; ``steps`` counts what the computing thread did."""

    kind: ClassVar[str] = "alive"
    steps: int

    def __post_init__(self) -> None:
        _check_fields(self)


def encode_order(order: Order) -> bytes:
    """One line, its newline included."""
    row = {"op": order.op} | _given_fields(order)
    return json.dumps(row, default=_given_fields, separators=(",", ":")).encode() + b"\n"


def decode_order(line: bytes) -> Order:
    """The order of one line.

    Raises:
        ProtocolError: it is no order, has a field that is not known, or a bad value.
    """
    row = _parse(line)
    op = row.pop("op", None) if type(row) is dict else None
    if type(op) is not str or op not in _ORDERS:
        raise ProtocolError("not the JSON object of an order")
    if op == AnswerOrder.op and type(row.get("requests")) is list:
        row["requests"] = tuple(map(_decode_request, row["requests"]))
    if op == CancelOrder.op and type(row.get("answers")) is list:
        row["answers"] = tuple(row["answers"])
    return _construct(_ORDERS[op], row)


def encode_report(body: Body | Alive, t_ns: int) -> bytes:
    """One line, its newline included; a lone surrogate, which UTF-8 lacks, becomes ``?``."""
    data = {"steps": body.steps} if isinstance(body, Alive) else payload(body)
    row = [t_ns, body.kind, data]
    line = json.dumps(row, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return line.encode("utf-8", "replace") + b"\n"


def decode_report(line: bytes) -> tuple[int, Body | Alive]:
    """When it happened, in nanoseconds of the monotonic clock, and what.

    Raises:
        ProtocolError: it is no report, or a field is missing or of the wrong type.
    """
    row = _parse(line)
    if type(row) is not list or len(row) != 3:
        raise ProtocolError("not [t_ns, kind, payload]")
    t_ns, kind, data = row
    if type(t_ns) is not int or type(kind) is not str or type(data) is not dict:
        raise ProtocolError("not [t_ns, kind, payload]")
    if kind == Alive.kind:
        return t_ns, _construct(Alive, data)
    try:
        return t_ns, decode_body(kind, data)
    except EventError as error:
        raise ProtocolError(str(error)) from None


def _parse(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"not JSON: {error}") from None


def _decode_request(row: Any) -> Any:
    if type(row) is not dict:
        return row
    messages = row.get("messages")
    if type(messages) is list:
        messages = tuple(tuple(m) if type(m) is list else m for m in messages)
        row = row | {"messages": messages}
    return _construct(DecodeRequest, row)


def _construct(made: Callable[..., _T], row: Mapping[str, Any]) -> _T:
    try:
        return made(**row)
    except TypeError as error:
        raise ProtocolError(str(error)) from None


def _given_fields(value: Any) -> dict[str, Any]:
    """The fields of an order or request that do not have their default value."""
    pairs = [(f, getattr(value, f.name)) for f in fields(value)]
    return {
        f.name: given
        for f, given in pairs
        if given != (f.default if f.default_factory is MISSING else f.default_factory())
    }


def _check_fields(value: Any) -> None:
    for f in fields(value):
        if not _IS_VALID[f.name](getattr(value, f.name)):
            raise ProtocolError(f"{type(value).__name__}.{f.name} has a bad value")


# By exact type: JSON gives no others, and a bool must not pass for a number.


def _is_text(value: object) -> bool:
    return type(value) is str


def _is_flag(value: object) -> bool:
    return type(value) is bool


def _is_int(value: object) -> bool:
    return type(value) is int


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def _is_bound(value: object) -> bool:
    return value is None or _is_count(value)


def _is_positive(value: object) -> bool:
    return type(value) is int and value >= 1


def _is_hashes(value: object) -> bool:
    return type(value) is dict and all(
        _is_text(name) and _is_text(digest) for name, digest in value.items()
    )


def _is_sampling(value: object) -> bool:
    return type(value) is dict and all(
        _is_text(name) and (number is None or type(number) in (bool, int, float))
        for name, number in value.items()
    )


def _is_conversation(value: object) -> bool:
    return type(value) is tuple and all(
        type(message) is tuple and len(message) == 2 and all(map(_is_text, message))
        for message in value
    )


def _is_requests(value: object) -> bool:
    return type(value) is tuple and all(type(one) is DecodeRequest for one in value)


def _is_answers(value: object) -> bool:
    return value is None or (type(value) is tuple and all(map(_is_int, value)))


_ORDERS: dict[str, Callable[..., Order]] = {
    made.op: made for made in (LoadOrder, AnswerOrder, CancelOrder, ThreadsOrder, CloseOrder)
}
_IS_VALID: dict[str, Callable[[object], bool]] = {
    "checkpoint": _is_text,
    "dtype": _is_text,
    "threads": _is_positive,
    "context": _is_count,
    "remote_code": _is_hashes,
    "batch": _is_positive,
    "max_cached_tokens": _is_count,
    "lookup": _is_flag,
    "loop_stop": _is_flag,
    "chat_template": _is_text,
    "adapter": _is_text,
    "requests": _is_requests,
    "answer": _is_int,
    "messages": _is_conversation,
    "max_new_tokens": _is_int,
    "sampling": _is_sampling,
    "background": _is_flag,
    "prompt_tokens": _is_count,
    "think": _is_text,
    "think_tokens": _is_bound,
    "column": _is_count,
    "answers": _is_answers,
    "steps": _is_count,
}
