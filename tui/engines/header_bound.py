"""How many bytes a server may send before the body of a response: the HTTP library bounds the
headers of one response, not how many responses of status 100 come before it."""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from tui.engines.errors import ServiceError

if TYPE_CHECKING:
    import httpx2

MOST_BYTES = 256 * 1024
"""Far more than headers have; the last read of them may hold 64 KB of the body."""
_left: ContextVar[int | None] = ContextVar("bytes_left_for_headers", default=None)
"""Of the request that this task waits for; None while no headers are read."""


def bound_headers(host: str) -> "Callable[[httpx2.Request], Awaitable[None]]":
    """A hook for a client's requests, after which reading headers without end from ``host`` fails
    as a `ServiceError` that is ``oversized``."""

    async def trace(name: str, info: dict[str, Any]) -> None:
        if name.endswith(("connect_tcp.complete", "start_tls.complete")):
            _count_reads(info["return_value"], host)
        elif name.endswith("receive_response_headers.started"):
            _left.set(MOST_BYTES)
        elif name.endswith(
            ("receive_response_headers.complete", "receive_response_headers.failed")
        ):
            _left.set(None)

    async def hook(request: "httpx2.Request") -> None:
        request.extensions = {**request.extensions, "trace": trace}

    return hook


def _count_reads(stream: Any, host: str) -> None:
    read = stream.read

    async def counted(*given: Any, **named: Any) -> bytes:
        data: bytes = await read(*given, **named)
        if (left := _left.get()) is not None:
            _left.set(left - len(data))
            if left < len(data):
                raise ServiceError(
                    "oversized", f"{host} sends more than {MOST_BYTES:,} bytes of headers"
                )
        return data

    stream.read = counted
