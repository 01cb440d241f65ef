"""What a server tells of the tokens of an answer: their texts and the logarithms of their
probabilities, in the form of chat completions or in the older one of completions."""

from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Any

TokenLogprobs = tuple[str, float | None, list[list[str | float]]]
"""A token's text, the logarithm of its probability (None: not told), and the likeliest ones as
[text, logarithm]."""

_LEAST_LOG = -9999.0
"""What servers write where a token has no probability at all."""
_ROUNDING = 1e-3
"""A logarithm so little above 0 is rounded."""
_LONGEST_TOKEN = 256
"""Code points that are kept of one."""
_MOST_TOP = 20
"""More of the likeliest nobody can ask for (`tui.options`)."""
_NO_CHARACTER = "�"


def read_logprobs(said: Any) -> tuple[list[TokenLogprobs], bool]:
    """The tokens that a choice tells of, and whether that was all it tells: behind an item that is
    no token the place of the next is not known, so none is read. A token whose probability makes no
    sense keeps its place without one."""
    found: list[TokenLogprobs] = []
    for item in _items(said):
        token = _text_of(item)
        if token is None:
            return found, False
        top = item.get("top_logprobs")
        others = (_likely(one) for one in (top[:_MOST_TOP] if isinstance(top, list) else ()))
        found.append((token, _read_log(item.get("logprob")), [one for one in others if one]))
    return found, True


def token_text(text: str, raw: Any = None) -> str:
    """The text of a token; one that is only a part of a character is told by its bytes (``raw``),
    as other parts look the same: ``<0xE5>``."""
    parts = raw if _NO_CHARACTER in text and isinstance(raw, list) else []
    if 0 < len(parts) <= _LONGEST_TOKEN and all(type(x) is int and 0 <= x < 256 for x in parts):
        return "".join(f"<0x{one:02X}>" for one in parts)
    return text[:_LONGEST_TOKEN].encode("utf-8", "replace").decode()


def _items(said: Any) -> Iterable[Any]:
    """What stands for the tokens, one by one, in the form of chats."""
    if not isinstance(said, dict):
        return ()
    content = said.get("content")
    if isinstance(content, list):
        return content
    tokens, logs, tops = (
        _listed(said.get(f)) for f in ("tokens", "token_logprobs", "top_logprobs")
    )
    rows = zip_longest(tokens, logs[: len(tokens)], tops[: len(tokens)])
    return [
        {"token": token, "logprob": log, "top_logprobs": _pairs(top)} for token, log, top in rows
    ]


def _pairs(top: Any) -> list[dict[str, Any]]:
    told = top.items() if isinstance(top, dict) else ()
    return [{"token": token, "logprob": log} for token, log in told]


def _listed(said: Any) -> Sequence[Any]:
    return said if isinstance(said, list) else ()


def _likely(item: Any) -> list[str | float] | None:
    token = _text_of(item)
    log = _read_log(item.get("logprob")) if token is not None else None
    return None if token is None or log is None else [token, log]


def _text_of(item: Any) -> str | None:
    token = item.get("token") if isinstance(item, dict) else None
    return token_text(token, item.get("bytes")) if isinstance(token, str) else None


def _read_log(value: Any) -> float | None:
    # NaN is neither less nor more than another number.
    if type(value) not in (int, float) or not value <= _ROUNDING:
        return None
    return float(min(0.0, max(_LEAST_LOG, value)))
