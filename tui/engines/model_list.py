"""What a service offers, and whether it can be asked at all."""

import asyncio
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tui.engines.client import key_of, open_client
from tui.engines.errors import (
    ServiceError,
    error_from_exception,
    error_within_success,
    is_error,
    quote_text,
)
from tui.engines.http_response import error_from_response, parse_json, read_into
from tui.engines.secret import Secret
from tui.services import Service

if TYPE_CHECKING:
    import httpx2

LIST_TIMEOUT_S = 15.0
_LONGEST_LIST = 4 * 1024 * 1024
INCONCLUSIVE_CAUSES = frozenset(
    (
        "bad_request",
        "forbidden",
        "malformed",
        "no_response",
        "not_found",
        "rate_limited",
        "server_error",
    )
)
"""Causes that a list of models may fail with while the service still answers questions: not
every server has such a list."""

REACHED_CAUSES = (INCONCLUSIVE_CAUSES - {"no_response"}) | {
    "quota",
    "redirect",
    "unauthorized",
}
"""Causes that only a server which answers can give."""


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """How a service was found: ``list_models`` is what it lists, ``round_trip_ms`` what one
    request took, ``fault`` why it cannot be asked (None: it can)."""

    service: Service
    key_present: bool
    reachable: bool
    round_trip_ms: float | None = None
    models: tuple[str, ...] = ()
    fault: ServiceError | None = None


def probe(service: Service, environ: Mapping[str, str] | None = None) -> ProbeResult:
    """Ask a service once for its models, within `LIST_TIMEOUT_S`, without repetition."""
    return asyncio.run(_probe(service, environ))


async def _probe(service: Service, environ: Mapping[str, str] | None) -> ProbeResult:
    key, missing, found = Secret(), None, list[str]()
    try:
        key = key_of(service, environ)
    except ServiceError as fault:
        missing = fault  # whether anyone is there can be told without it
    trouble: ServiceError | None = None
    took: float | None = None
    try:
        async with open_client(service, key) as http:
            started = time.monotonic()
            try:
                found = await list_models(http, service, key)
            finally:
                took = (time.monotonic() - started) * 1000
    except ServiceError as fault:
        trouble = fault
    reachable = trouble is None or trouble.cause in REACHED_CAUSES
    if reachable and not service.has_model_list:
        trouble = None
    return ProbeResult(
        service, bool(key), reachable, took if reachable else None, tuple(found), missing or trouble
    )


def is_listed(model: str, listed: Collection[str]) -> bool:
    """Whether a service that lists these models has this one: Ollama lists ``:latest`` where a name
    has no tag, Gemini writes ``models/`` before it."""
    return not {model, f"{model}:latest", f"models/{model}"}.isdisjoint(listed)


async def list_models(http: "httpx2.AsyncClient", service: Service, key: Secret) -> list[str]:
    """The names of the models that ``GET /models`` lists.

    Raises:
        Fault: the service cannot be reached, refuses, or answers something else.
    """
    host, got = service.host, bytearray()
    try:
        async with (
            asyncio.timeout(LIST_TIMEOUT_S),
            http.stream("GET", f"{service.base_url}/models") as response,
        ):
            await read_into(got, response, _LONGEST_LIST)
    except TimeoutError:
        raise ServiceError(
            "no_response", f"{host} did not answer in {LIST_TIMEOUT_S:g} s"
        ) from None
    except ServiceError:
        raise
    except Exception as error:
        raise error_from_exception(error, host) from None
    text = got.decode("utf-8", "replace")
    if response.status_code != 200:
        raise error_from_response(response, text, service, key)
    body = parse_json(text)
    if isinstance(body, dict) and is_error(body):
        raise error_within_success(body, host, key)
    rows = body.get("data") if isinstance(body, dict) else body
    if not isinstance(rows, list):
        raise ServiceError("malformed", f"{host} gives no list of models")
    names = (row.get("id") for row in rows if isinstance(row, dict))
    return [quote_text(name, key) for name in names if isinstance(name, str)]
