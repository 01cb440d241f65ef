"""What a service's entry has requests say beyond the question: which of it does no harm, which
sets limits, and which costs otherwise than by tokens."""

import json
from collections.abc import Mapping
from typing import Any

from tui.host.errors import UserError
from tui.services.service import Service
from tui.setting_kinds import FLAG, SAMPLING_KINDS, InvalidValueError, Kind, number, whole
from tui.text.width import shorten

_TABLES = ("body", "thinking_on", "thinking_off")
_NAMES = ("max_tokens_field", "effort_field", "budget_field")
THINKS = "enable_thinking"
"""A field that is true where a model shall think: a stranger has it true in ``thinking_on`` alone,
which is sent where the person, or an agreement, wants that."""
SAMPLING: Mapping[str, Kind] = {
    **{name: SAMPLING_KINDS[name] for name in ("temperature", "top_p", "repetition_penalty")},
    "top_k": whole(-1, 1 << 20),  # -1: servers' word for none
    "seed": whole(-1, (1 << 63) - 1),
    **dict.fromkeys(("min_p", "typical_p"), number(0, 1)),
    **dict.fromkeys(("presence_penalty", "frequency_penalty"), number(-10, 10)),
}
"""Fields that choose among tokens, and what each takes. They do no harm: an answer has no more
tokens for them than --max-new-tokens, --think-tokens and --budget allow."""
LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens", "max_new_tokens")
"""Fields that say how many tokens an answer may have, as services call them."""
ANSWERS = ("n", "best_of", "num_return_sequences", "candidate_count")
"""Fields that say how many answers are made, of which one is shown."""
_PAID_APART = (
    *("service_tier", "web_search_options", "web_search", "enable_search", "search_options"),
    *("tools", "plugins", "modalities", "audio", "models", "route", "provider"),
)


def beyond_harmless(service: Service) -> dict[str, Any]:
    """What the service has a request say that may cost more than its settings tell, by the name
    that it has in an entry (``body.service_tier``)."""
    found: dict[str, Any] = {}
    for table in _TABLES:
        fields: Mapping[str, Any] = getattr(service, table)
        found |= {
            f"{table}.{name}": value
            for name, value in fields.items()
            if not (name in SAMPLING or (name == THINKS and value is (table == "thinking_on")))
        }
    found |= {name: getattr(service, name) for name in _NAMES}
    found |= {"think": "on"} if service.think == "on" else {}
    return found | {"include_usage": service.include_usage}


def asks_no_more(service: Service, known: Service) -> bool:
    """Whether the service's entry has requests ask for nothing that may cost more than those of
    the ``known`` one; not to think is less."""
    new, usual = beyond_harmless(service), beyond_harmless(known)
    return new == usual or {"think": "on"} | new == usual


def check_sampling(where: str, fields: Mapping[str, Any]) -> None:
    """Check the fields of a table of an entry that choose among tokens or switch thinking.

    Raises:
        UserError: one has a value that no server takes; begins with ``where``.
    """
    for name, kind in (*SAMPLING.items(), (THINKS, FLAG)):
        try:
            kind.read(fields.get(name)) if name in fields else None
        except InvalidValueError as wanted:
            said = shorten(repr(fields[name]), 80)
            raise UserError(f"{where}.{name} is {said}", f"it must be {wanted}") from None


def written(fields: Mapping[str, Any]) -> str:
    """Fields of requests in a line, as they are sent."""
    return json.dumps(fields, ensure_ascii=False, sort_keys=True, default=str)[1:-1]


def are_paid_apart(service: Service) -> bool:
    """Whether its requests ask for what a price for tokens does not tell."""
    tables = [getattr(service, table) for table in _TABLES]
    return any(name in table for table in tables for name in _PAID_APART)


def within_limit(fields: Mapping[str, Any], service: Service, most: int) -> dict[str, Any]:
    """What is added to a request, in which no field that limits an answer allows more than
    ``most`` tokens."""
    limits = (*LIMITS, service.max_tokens_field)
    return {name: _bounded(one, most) if name in limits else one for name, one in fields.items()}


def _bounded(value: Any, most: int) -> int:
    return min(value, most) if type(value) is int and value > 0 else most
