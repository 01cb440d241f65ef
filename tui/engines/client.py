"""The HTTP client of an endpoint: certificates, proxies, and the API key."""

import logging
import os
from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING

from tui.engines.errors import ServiceError
from tui.engines.secret import Secret
from tui.host import header_bound, tls
from tui.services import Service

if TYPE_CHECKING:
    import httpx2

_LONGEST_KEY = 4096


def key_of(service: Service, environ: Mapping[str, str] | None = None) -> Secret:
    """The service's key out of the environment; empty where there is none and none is needed.

    Raises:
        Fault: ``missing_key`` or ``bad_key``; names the variable, never shows the value.
    """
    if not service.key_variables:
        return Secret()
    environ = os.environ if environ is None else environ
    found = [(name, environ.get(name, "").strip()) for name in service.key_variables]
    variable, value = next((one for one in found if one[1]), found[0])
    key = Secret(value)
    if not key and service.key_required:
        raise ServiceError(
            "missing_key",
            f"{variable} is not set: {service.title or service.name} needs an API key",
            f"export {variable}=...",
        )
    # Anything else would come back inside the HTTP library's error message.
    if not all("!" <= c <= "~" for c in key.reveal()) or len(key.reveal()) > _LONGEST_KEY:
        raise ServiceError("bad_key", f"{variable} holds characters that no key has")
    return key


def exposes_key(service: Service, key: Secret) -> bool:
    """Whether the key would cross a network where anyone can read it."""
    return bool(key) and service.base_url.startswith("http://") and not service.is_loopback


def open_client(service: Service, key: Secret) -> "httpx2.AsyncClient":
    """A client for one service. It follows no redirect and retries nothing by itself. Proxies
    of the environment are honoured, except for what runs on this machine.

    Raises:
        Fault: ``proxy``: the environment names one that cannot be used.
    """
    import httpx2

    for name in ("httpx2", "httpcore2"):
        # Below this they log addresses and the headers of responses, where a key may be echoed.
        logging.getLogger(name).setLevel(logging.WARNING)

    class Bearer(httpx2.Auth):
        def auth_flow(
            self, request: httpx2.Request
        ) -> Generator[httpx2.Request, httpx2.Response, None]:
            if key:
                request.headers["Authorization"] = f"Bearer {key.reveal()}"
            yield request

    def too_many_headers() -> ServiceError:
        most = header_bound.MOST_BYTES
        return ServiceError(
            "oversized", f"{service.host} sends more than {most:,} bytes of headers"
        )

    async def bound_headers(request: httpx2.Request) -> None:
        trace = header_bound.bounding_async_trace(too_many_headers)
        request.extensions = {**request.extensions, "trace": trace}

    try:
        return httpx2.AsyncClient(
            auth=Bearer(),
            verify=tls.client_context() if service.base_url.startswith("https:") else False,
            trust_env=not service.is_loopback,
            # No read timeout: `HttpAttempt` times tokens, not bytes.
            timeout=httpx2.Timeout(None, connect=service.connect_s, write=60.0),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=64),
            event_hooks={"request": [bound_headers]},
            headers={"Accept-Encoding": "identity", "User-Agent": "duibi"},
        )
    except ImportError:
        raise ServiceError(
            "proxy", "a SOCKS proxy needs a package", "pip install socksio"
        ) from None
    except (ValueError, httpx2.InvalidURL):
        raise ServiceError(
            "proxy", "a proxy in the environment is no URL that can be used"
        ) from None
