"""What can go wrong between this program and a service: one word, one line, one next step."""

import asyncio
import errno
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tui.engines.base import EngineError
from tui.engines.secret import NO_SECRET, Secret
from tui.events import Failed
from tui.host.errors import EXIT_FAILED, EXIT_NETWORK, EXIT_USAGE
from tui.host.secrets import redact_secrets

MAX_QUOTE = 300


@dataclass(frozen=True, slots=True)
class Cause:
    """What a cause word stands for, what to do about it, the exit code it leads to, and
    whether asking again may help (only ever before the first token)."""

    meaning: str
    next_step: str
    exit_code: int = EXIT_NETWORK
    is_retryable: bool = False


CAUSES: dict[str, Cause] = {
    "missing_key": Cause("no API key in the environment", "set the variable", EXIT_USAGE),
    "bad_key": Cause("the key cannot be one", "set it again, without spaces", EXIT_USAGE),
    "proxy": Cause("the proxy refuses or cannot be used", "check HTTPS_PROXY and NO_PROXY"),
    "refused": Cause(
        "nothing listens there", "start the server, or check the port", is_retryable=True
    ),
    "dns": Cause("the host name is not known", "check the name and the network", is_retryable=True),
    "tls": Cause("the secure connection fails", "check the certificate, the clock, or http://"),
    "connect_timeout": Cause("no connection in time", "check the network", is_retryable=True),
    "disconnected": Cause("the connection broke before an answer", "ask again", is_retryable=True),
    "no_response": Cause("connected, but no answer began in time", "ask again later"),
    "no_first_token": Cause("the answer began, but no token came in time", "ask again later"),
    "stalled": Cause("tokens stopped coming in mid answer", "ask again; what came is kept"),
    "cut": Cause("the stream ended before the answer did", "ask again; what came is kept"),
    "not_streamed": Cause("the answer is not an event stream", "check the address: is it .../v1?"),
    "malformed": Cause("the stream is not what the protocol says", "ask again; what came is kept"),
    "oversized": Cause("the server sends more than an answer can be", "check the address"),
    "server_error": Cause("the server failed", "ask again later", is_retryable=True),
    "rate_limited": Cause("too many requests for this key", "ask again later", is_retryable=True),
    "quota": Cause("the account has no balance or quota left", "check the plan and the balance"),
    "unauthorized": Cause("the key is not accepted", "check the key"),
    "forbidden": Cause("the key may not do this", "check what the key is allowed to use"),
    "not_found": Cause(
        "no such model or address", "check the model's name, and the address: .../v1?"
    ),
    "context_overflow": Cause("longer than the context", "shorten it, or --max-new-tokens less"),
    "bad_request": Cause("the server does not take the request", "check model and sampling"),
    "redirect": Cause("the server points elsewhere", "use the address it points to"),
    "content_filter": Cause("the service withheld the answer", "change the question"),
    "unfinished": Cause("the service stopped without completing the answer", "ask again"),
    "cancelled": Cause("stopped while it was being checked", "load it again"),
    "internal": Cause("a defect of this program", "report it with the session file", EXIT_FAILED),
}
"""Every cause word of an endpoint's `Failed` and `EngineError`."""


class ServiceError(Exception):
    """An attempt failed. ``retry_after_s`` is what the server asked to wait, if it did."""

    def __init__(
        self,
        cause: str,
        message: str,
        next_step: str = "",
        is_retryable: bool | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.cause, self.message = cause, message
        self.next_step = next_step or CAUSES[cause].next_step
        self.is_retryable = CAUSES[cause].is_retryable if is_retryable is None else is_retryable
        self.retry_after_s = retry_after_s
        self.is_busy = cause == "rate_limited"
        """Whether it has too many requests: fewer at once may help."""

    def to_failed(self, answer: int) -> Failed:
        """The event of an answer that this ends."""
        return Failed(self.cause, self.message, self.next_step, answer)

    def to_engine_error(self) -> EngineError:
        """The error of a model that this keeps from loading."""
        error = EngineError(self.cause, self.message, self.next_step)
        error.exit_code = CAUSES[self.cause].exit_code
        return error


def quote_text(text: str, secret: Secret = NO_SECRET) -> str:
    """A stranger's text as part of one line: nothing unprintable, no secret,
    at most `MAX_QUOTE` characters."""
    text = redact_secrets(secret.redact(text[: 20 * MAX_QUOTE]))
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= MAX_QUOTE else text[: MAX_QUOTE - 1] + "…"


def error_from_status(
    status: int, body: Any, text: str, host: str, secret: Secret = NO_SECRET
) -> ServiceError:
    """The fault that an HTTP status other than success means.

    ``body`` is the parsed JSON of the answer (None where it is none), ``text`` its raw text.
    """
    code, said = code_and_message(body)
    page = text.lstrip()[:1] == "<"
    said = quote_text(said or ("" if page else text), secret)
    line = f"{host} answers HTTP {status}" + (f": {said}" if said else "")
    fault = ServiceError(cause_from_status(status, code, said), line)
    fault.is_busy |= status in _BUSY
    return fault


_BUSY = (503, 529)
"""Beside 429: overloaded, as HTTP and as Anthropic say it."""

GONE_CAUSES = frozenset(("refused", "dns", "connect_timeout", "disconnected", "tls"))
"""Causes by which an address is lost, as long as no token came from it."""
LEFT_CAUSES = GONE_CAUSES | {"cut", "stalled"}
"""Causes after which an address is left for a while, where there are others."""
BROKEN_CAUSES = GONE_CAUSES | {"cut", "stalled", "no_response", "no_first_token", "server_error"}
"""Causes of a failed answer that another address of the same model might give."""


def cause_from_status(status: int, code: str, said: str) -> str:
    """The cause word of an HTTP status (0: none is known, for the error came within a success)
    and the error's code and message."""
    words = f"{code} {said}".lower()
    if 300 <= status < 400:
        return "redirect"
    if any(sign in words for sign in _NO_QUOTA) or status == 402:
        return "quota"
    if status == 429:
        return "rate_limited"
    if status in (401, 403):
        return "unauthorized" if status == 401 else "forbidden"
    if any(sign in words for sign in _OVERFLOW):
        return "context_overflow"
    if any(sign in words for sign in _NO_ADDRESS):
        return "not_found"
    if status in (408, 409) or status >= 500:
        return "server_error"
    for cause, signs in _CAUSES_BY_WORDS.items():
        if any(sign in words for sign in signs):
            return cause
    if status == 404:
        return "not_found"
    return "bad_request" if status else "server_error"


_NO_QUOTA = (
    "insufficient_quota",
    "insufficient balance",
    "arrearage",
    "exceeded your current quota",
    "exceeded_current_quota",
    "insufficient_user_quota",
    "余额不足",
    "欠费",
)
_NO_ADDRESS = ("unexpected endpoint", "unknown endpoint", "invalid url (")
_CAUSES_BY_WORDS = {
    "content_filter": (
        *("data_inspection_failed", "datainspectionfailed", "content_filter", "new_sensitive"),
        *("敏感内容", "inappropriate content", "content policy"),
    ),
    "not_found": ("model_not_found", "model not exist", "invalid model", "model not found"),
    "unauthorized": (
        *("invalid api key", "invalid_api_key", "api_key_invalid", "api key not valid"),
        "incorrect api key",
    ),
    "rate_limited": ("rate_limit", "rate limit", "too many requests"),
}
"""What words mean where the status alone does not tell."""
_OVERFLOW = (
    "context_length_exceeded",
    "exceed_context_size",
    "context length",
    "context window",
    "context size",
    "maximum context",
    "input length should be",
    "too many tokens",
    "prompt is too long",
    "input is too long",
    "maximum number of tokens",
    "model token limit",
    "超长",
)


def error_within_success(body: Any, host: str, secret: Secret = NO_SECRET) -> ServiceError:
    """The fault that a server reports in the body of a success, or in mid stream."""
    code, said = code_and_message(body)
    cause = cause_from_status(_stated_status(body), code, said)
    said = quote_text(said or code or "an error without a word", secret)
    return ServiceError(cause, f"{host} reports: {said}")


def is_error(body: Mapping[str, Any]) -> bool:
    """Whether a JSON object of a stream, or in the place of one, reports an error."""
    base = body.get("base_resp")
    if body.get("error") or (isinstance(base, dict) and base.get("status_code")):
        return True
    if body.get("choices"):
        return False
    if body.get("object") == "error" or body.get("type") == "error":
        return True
    if any(body.get(name) for name in ("errors", "detail", *_SAID[2:4])):
        return True
    codes = [body.get(name) for name in ("code", "error_code", "error_type", "status_code")]
    return any(code not in _NO_CODE for code in codes) and any(body.get(name) for name in _SAID)


_INNER = ("error", "errors", "detail", "base_resp")
_CODES = ("code", "type", "error_code", "error_type", "status_code", "status")
_SAID = ("message", "msg", "error_message", "error_msg", "status_msg")
_NO_CODE = (None, "", 0, "0", 200, "200", "success", "Success", "ok", "OK")


def code_and_message(body: Any) -> tuple[str, str]:
    """``(codes, message)`` of a JSON error as OpenAI (``error.message``), Gemini (a list of one),
    FastAPI (``detail``), ModelScope (``errors.message``), MiniMax (``base_resp.status_msg``) and
    others (``message``, ``msg``, ``error_message``) write it."""
    inner = _inner_error(body)
    if isinstance(inner, str) and isinstance(body, dict) and _first(body, ("message", "msg")):
        return inner, _first(body, ("message", "msg"))
    if isinstance(inner, list):
        return "", "; ".join(_complaint(one) for one in inner[:9])
    if not isinstance(inner, dict):
        return "", str(inner or "")
    codes = [inner.get(name) for name in _CODES]
    said = [str(code) for code in codes if isinstance(code, str | int) and code not in _NO_CODE]
    return " ".join(dict.fromkeys(said)), _first(inner, _SAID)


def _complaint(one: Any) -> str:
    """One of several faults of a request, as FastAPI lists them (``loc``, ``msg``)."""
    said = _first(one, _SAID) if isinstance(one, dict) else ""
    where = one.get("loc") if said else None
    place = ".".join(map(str, where)) if isinstance(where, list) else ""
    return f"{place}: {said}" if place else said or str(one)


def _inner_error(body: Any) -> Any:
    """The part of a body that tells of the error."""
    if isinstance(body, list) and body:
        body = body[0]
    if not isinstance(body, dict):
        return ""
    return next((body[key] for key in _INNER if body.get(key)), body)


def _first(body: Mapping[str, Any], names: Sequence[str]) -> str:
    return next((str(body[name]) for name in names if body.get(name)), "")


def _stated_status(body: Any) -> int:
    """The HTTP status that an error within a success names as its code; 0 where it names none."""
    inner = _inner_error(body)
    for name in ("code", "status_code", "status", "error_code") if isinstance(inner, dict) else ():
        code = str(inner.get(name))
        if len(code) == 3 and code[0] in "45" and code.isdecimal():
            return int(code)
    return 0


def error_from_exception(error: BaseException, host: str) -> ServiceError:
    """The fault that an exception of httpx2 means. Made from its kind, never from its text
    where that could hold a header or a proxy's password."""
    import httpx2

    chain = list(_chain(error))
    if isinstance(error, httpx2.ProxyError):
        return ServiceError("proxy", f"the proxy does not connect to {host}")
    if isinstance(error, httpx2.ConnectTimeout):
        return ServiceError("connect_timeout", f"no connection to {host} in time")
    if any(isinstance(e, ssl.SSLError) for e in chain):
        found = next(e for e in chain if isinstance(e, ssl.SSLError))
        reason = getattr(found, "verify_message", "") or found.reason or "handshake failed"
        return ServiceError("tls", f"no secure connection to {host}: {quote_text(str(reason))}")
    if any(isinstance(e, socket.gaierror) for e in chain):
        return ServiceError("dns", f"the host name {host} cannot be resolved")
    if any(getattr(e, "errno", None) == errno.ECONNREFUSED for e in chain):
        return ServiceError("refused", f"nothing listens at {host}")
    if isinstance(error, httpx2.ConnectError):
        number = next((e.errno for e in chain if isinstance(e, OSError) and e.errno), 0)
        reason = errno.errorcode.get(number, "no connection")
        return ServiceError("disconnected", f"{host} cannot be reached: {reason}")
    if isinstance(error, httpx2.DecodingError):
        return ServiceError("malformed", f"{host} sends what cannot be unpacked")
    if isinstance(error, httpx2.TransportError | asyncio.IncompleteReadError | OSError):
        return ServiceError("disconnected", f"{host} closed the connection")
    return ServiceError("internal", f"unexpected {type(error).__name__} while asking {host}")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An exception and all that led to it."""
    seen: set[int] = set()
    open_ = [error]
    while open_:
        at = open_.pop()
        if id(at) in seen:
            continue
        seen.add(id(at))
        yield at
        if isinstance(at, BaseExceptionGroup):
            open_ += at.exceptions
        open_ += [e for e in (at.__cause__, at.__context__) if e is not None]
