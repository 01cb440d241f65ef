"""What an HTTP response says before, or in the place of, an answer."""

import asyncio
import email.utils
import json
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any

from tui.engines.errors import ServiceError, error_from_status, quote_text
from tui.engines.secret import Secret
from tui.services import Service

if TYPE_CHECKING:
    import httpx2

_ERROR_BYTES = 64 * 1024
_ERROR_S = 5.0
"""Seconds that the words of an error may take to follow its status."""


async def check_status(response: "httpx2.Response", service: Service, key: Secret) -> None:
    """Return if the response is a success.

    Raises:
        Fault: it is an error, or a redirect.
    """
    host = service.host
    if 300 <= response.status_code < 400:
        to = quote_text(response.headers.get("Location", "nowhere").partition("?")[0], key)
        status = response.status_code
        raise ServiceError("redirect", f"{host} answers HTTP {status}: moved to {to}")
    if response.status_code >= 300:
        raise error_from_response(response, await _read_error_text(response), service, key)


def error_from_response(
    response: "httpx2.Response", text: str, service: Service, key: Secret
) -> ServiceError:
    """The fault of a response whose status is an error; ``text`` is its body."""
    fault = error_from_status(response.status_code, parse_json(text), text, service.host, key)
    fault.retry_after_s = parse_retry_after(response.headers.get("Retry-After", ""))
    if fault.cause == "unauthorized" and not key and service.key_variable:
        fault.next_step = f"export {service.key_variable}=..."
    return fault


async def _read_error_text(response: "httpx2.Response") -> str:
    """What an error says: its first bytes, as far as they come soon."""
    got = bytearray()
    # The status is known; that its explanation breaks off must not replace it.
    with suppress(Exception):
        async with asyncio.timeout(_ERROR_S):
            await read_into(got, response, _ERROR_BYTES)
    return got.decode("utf-8", "replace")


async def body_chunks(response: "httpx2.Response") -> AsyncGenerator[bytes, None]:
    """The body as it arrives; a generator by type too, so that it can be closed early."""
    async for chunk in response.aiter_bytes():
        yield chunk


async def read_into(got: bytearray, response: "httpx2.Response", most: int) -> None:
    """Add the body of a response to ``got``, at most so many bytes."""
    async with aclosing(body_chunks(response)) as chunks:
        async for chunk in chunks:
            got += chunk[: most - len(got)]
            if len(got) >= most:
                return


def parse_json(text: str) -> Any:
    """The JSON value of a text, or None."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def parse_retry_after(value: str) -> float | None:
    """Seconds that a Retry-After header (RFC 9110, 10.2.3) asks for: a number or a date.
    None where it asks for no wait: a number below 0, or none, or a date that is past."""
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return seconds if seconds >= 0 else None
