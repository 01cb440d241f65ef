"""How many bytes a server may send before the body of a response: the HTTP library bounds the
headers of one response, but not how many responses of status 100 come before it."""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

MOST_BYTES = 256 * 1024
"""Far more than headers have; the last read of them may hold 64 KB of the body."""
_left: ContextVar[int | None] = ContextVar("bytes_left_for_headers", default=None)
"""Of the request that this task or thread waits for; None while no headers are read."""

Trace = Callable[[str, dict[str, Any]], None]


def bounding_trace(fault: Callable[[], Exception]) -> Trace:
    """What is given to httpx2 as the extension ``trace`` of a request: reading more than
    `MOST_BYTES` before the end of the headers raises the ``fault``."""

    def trace(name: str, info: dict[str, Any]) -> None:
        if _is_connection(name, info):
            stream = info["return_value"]
            read = stream.read

            def counted(*given: Any, **named: Any) -> bytes:
                return _counted(read(*given, **named), fault)

            stream.read = counted

    return trace


def bounding_async_trace(
    fault: Callable[[], Exception],
) -> Callable[[str, dict[str, Any]], Awaitable[None]]:
    """`bounding_trace` for a client that is asynchronous."""

    async def trace(name: str, info: dict[str, Any]) -> None:
        if _is_connection(name, info):
            stream = info["return_value"]
            read = stream.read

            async def counted(*given: Any, **named: Any) -> bytes:
                return _counted(await read(*given, **named), fault)

            stream.read = counted

    return trace


def _is_connection(name: str, info: dict[str, Any]) -> bool:
    """Whether a connection came up, whose reads are to be counted; else the headers' begin or end
    is noted."""
    if name.endswith("receive_response_headers.started"):
        _left.set(MOST_BYTES)
    elif name.endswith(("receive_response_headers.complete", "receive_response_headers.failed")):
        _left.set(None)
    return name.endswith(("connect_tcp.complete", "start_tls.complete"))


def _counted(data: bytes, fault: Callable[[], Exception]) -> bytes:
    if (left := _left.get()) is not None:
        _left.set(left - len(data))
        if left < len(data):
            raise fault()
    return data
