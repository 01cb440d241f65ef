"""Fields of a request that a server refuses, though it answers without them."""

import re
from collections.abc import Iterable
from typing import Any

from tui.engines.errors import ServiceError
from tui.services import SAMPLING_PARAMETERS

_TOGETHER = {"logprobs": ("logprobs", "top_logprobs"), "top_logprobs": ("logprobs", "top_logprobs")}
_INSTEAD = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
_THINKING = (
    *("reasoning_effort", "enable_thinking", "thinking", "reasoning", "thinking_budget"),
    *("chat_template_kwargs", "thinking_token_budget"),
)
_OPTIONAL = ("stream_options", *SAMPLING_PARAMETERS, "top_logprobs", *_THINKING)
_REFUSES = re.compile(
    r"unsupported|not support|unknown|unrecogni[sz]ed|unexpected|extra|permitted|not allowed"
    r"|not available|invalid (argument|parameter|field)|不支持"
)


def refused_field(body: dict[str, Any], fault: ServiceError) -> str:
    """The field of a request that its refusal is about, if it can be asked without: ""
    where there is none, or where only the field's value is refused."""
    said = fault.message.lower()
    if fault.cause != "bad_request":
        return ""
    for name, other in _INSTEAD.items():
        if name in body and other in said and _REFUSES.search(said):
            return name
    for name in _OPTIONAL:
        is_named = name in body and re.search(rf"(?<![a-z_]){name}(?![a-z_])", said)
        if is_named and (name == "stream_options" or _REFUSES.search(said)):
            return name
    return ""


def without_fields(body: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """A request without the fields that were refused, or with what stands for them."""
    kept = dict(body)
    for name in names:
        if name in kept and name in _INSTEAD:
            kept[_INSTEAD[name]] = kept.pop(name)
        for gone in _TOGETHER.get(name, (name,)):
            kept.pop(gone, None)
    return kept
