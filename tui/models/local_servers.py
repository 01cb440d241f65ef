"""Models of servers that run on this machine at their usual ports (llama-server, LM Studio, vLLM,
``transformers serve``): they are listed beside the checkpoints.

``GET /v1/models`` as OpenAI's API documentation describes it ("List models").
"""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tui import services
from tui.host.errors import UserError
from tui.models import ollama
from tui.models.discover import FoundModel
from tui.models.net import is_reachable
from tui.models.reference import parse_reference
from tui.services import Service

_PROBE_S = 0.5
_LONGEST_NAME = 191


def served_models(user_services: Mapping[str, Any] | None = None) -> list[FoundModel]:
    """The models of Ollama and of every other local server that answers at once, at its usual
    address or as ``user_services``, the settings' services, say."""
    try:
        known = services.known_services(user_services)
    except UserError:
        return []  # said where a service is asked for
    usual = [known[name] for name in services.usual_servers()]
    with ThreadPoolExecutor(len(usual) + 1) as pool:
        of_ollama = pool.submit(ollama.served_models, user_services)
        listed = list(pool.map(_models_of, usual))
    return [*of_ollama.result(), *(one for models in listed for one in models)]


def _models_of(service: Service) -> list[FoundModel]:
    if not service.is_loopback or not is_reachable(service.base_url, _PROBE_S):
        return []
    return parse_list(ollama.fetch(f"{service.base_url}/models"), service)


def parse_list(answer: bytes, service: Service) -> list[FoundModel]:
    """The models in an answer to ``/models``; what is not of its form is left out."""
    try:
        listed = json.loads(answer)["data"]
        names = [row["id"] for row in listed]
    except (ValueError, KeyError, TypeError, RecursionError):
        return []
    return [
        FoundModel(
            path=Path(),
            reference=reference_to(service, name),
            label=name,
            state="complete",
            served=True,
        )
        for name in islice(filter(_is_name, names), ollama.MOST_LISTED)
    ]


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable() and 0 < len(value) <= _LONGEST_NAME


def reference_to(service: Service, model: str) -> str:
    """What to type for a model that a service lists."""
    reference = f"{service.name}:{model}"
    try:
        parse_reference(reference, (service.name,))
    except UserError:  # some servers name a model by its path
        return f"{service.base_url}#{quote(model)}"
    return reference
