"""What a service's entry has requests say beyond the question: which of it does no harm, which
sets limits, and which costs otherwise than by tokens."""

import json
from collections.abc import Mapping
from typing import Any

from tui.services.service import Service

_TABLES = ("body", "thinking_on", "thinking_off")
_NAMES = ("max_tokens_field", "effort_field", "budget_field")
_HARMLESS = frozenset(
    (
        *("temperature", "top_p", "top_k", "min_p", "typical_p", "seed", "repetition_penalty"),
        *("presence_penalty", "frequency_penalty", "enable_thinking"),
    )
)
"""Fields that choose among tokens, or switch what ``think`` switches: an answer has no more of them
for it than --max-new-tokens, --think-tokens and --budget allow."""
_LONGEST_TEXT = 64
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
            if name not in _HARMLESS or not _is_small(value)
        }
    found |= {name: getattr(service, name) for name in _NAMES}
    return found | {"include_usage": service.include_usage}


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


def _is_small(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= _LONGEST_TEXT
    return isinstance(value, bool | int | float)
