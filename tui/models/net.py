"""Getting one file over the network: probe, certificates, proxies, resume."""

import contextlib
import os
import socket
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from tui.host import header_bound, tls
from tui.host.errors import EXIT_NETWORK, UserError

if TYPE_CHECKING:
    import httpx2

PROBE_S = 3.0
CONNECT_S = 5.0
READ_S = 20.0
ANSWER_S = 60.0
"""Seconds that a list or a page may take as a whole."""
TRIES_WITHOUT_PROGRESS = 3
_CHUNK = 1 << 18
_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}

StageProgress = Callable[[str, int, int], None]
"""``progress(stage, done, total)`` in bytes; (0, 0) where a stage cannot be counted."""


class UnreachableError(Exception):
    """A server cannot be reached, breaks off, or refuses; ``is_retryable``: trying may help."""

    def __init__(self, message: str, is_retryable: bool = True) -> None:
        super().__init__(message)
        self.is_retryable = is_retryable


def is_reachable(url: str, seconds: float = PROBE_S) -> bool:
    """Whether a TCP connection to the host (or the proxy that stands for it) comes up.

    A name server that does not answer is cut off too, which a socket's own timeout
    does not do.

    Raises:
        UserError: the proxy of the environment is none.
    """
    try:
        proxy = _proxy(url)
    except ValueError:
        return False
    try:
        parts = urlsplit(proxy or url)
        host, port = parts.hostname, parts.port or _PORTS.get(parts.scheme, 443)
    except ValueError as error:
        if not proxy:
            return False
        raise _proxy_error(error) from None
    if not host:
        return False
    connected, settled = threading.Event(), threading.Event()

    def connect(family: int, address: Any) -> None:
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_STREAM) as tried:
            tried.settimeout(seconds)
            tried.connect(address)
            connected.set()
            settled.set()

    def look_up() -> None:
        with contextlib.suppress(OSError):
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            # All at once: an IPv6 route into nowhere must not hide a working IPv4 one.
            attempts = [_thread(partial(connect, each[0], each[4])) for each in found]
            for attempt in attempts:
                attempt.join()
        settled.set()

    _thread(look_up)
    settled.wait(seconds)
    return connected.is_set()


def _thread(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, name="probe", daemon=True)
    thread.start()
    return thread


def _proxy(url: str) -> str:
    parts = urlsplit(url)
    proxies = urllib.request.getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all") or ""
    if not proxy or urllib.request.proxy_bypass(parts.hostname or ""):
        return ""
    return proxy if "://" in proxy else f"http://{proxy}"


def _certificates(extra: str) -> ssl.SSLContext:
    """Trusts whom `tls.client_context` does, and the bundles named by ``extra`` and ``PIP_CERT``.

    Raises:
        UserError: a named bundle cannot be read.
    """
    context = tls.client_context()
    for bundle in filter(None, (extra, os.environ.get("PIP_CERT"))):
        try:
            context.load_verify_locations(bundle)
        except OSError as error:
            raise UserError(
                f"the certificate bundle {bundle} cannot be read: {error}",
                "correct PIP_CERT or pip's setting cert",
            ) from None
    return context


def http_client(cert: str = "") -> "httpx2.Client":
    """An HTTP client with proxies and netrc from the environment.

    Raises:
        UserError: the proxy or the certificates in the environment cannot be used.
    """
    import httpx2

    def bound_headers(request: httpx2.Request) -> None:
        request.extensions = {**request.extensions, "trace": headers_trace(request.url.host)}

    try:
        return httpx2.Client(
            event_hooks={"request": [bound_headers]},
            verify=_certificates(cert),
            follow_redirects=True,
            timeout=httpx2.Timeout(READ_S, connect=CONNECT_S),
        )
    except (ImportError, ValueError, httpx2.InvalidURL) as error:
        raise _proxy_error(error) from None


def headers_trace(host: str) -> header_bound.Trace:
    """The ``trace`` of a request whose response has headers without end: `UnreachableError`."""
    said = f"{host} sends more than {header_bound.MOST_BYTES:,} bytes of headers"
    return header_bound.bounding_trace(lambda: UnreachableError(said, is_retryable=False))


def _proxy_error(error: Exception) -> UserError:
    return UserError(
        f"the proxy set in the environment cannot be used: {error}",
        "set HTTPS_PROXY to an http:// proxy, or unset it",
        EXIT_NETWORK,
    )


def read_body(response: "httpx2.Response", most: int, seconds: float = ANSWER_S) -> bytes:
    """The body of a response that is a list or a page: at most ``most`` bytes, which came within
    ``seconds``, however steadily more would follow.

    Raises:
        Unreachable: it is larger, or slower.
    """
    body, end = bytearray(), time.monotonic() + seconds
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > most:
            raise UnreachableError(
                f"{response.url.host} sends more than {most:,} bytes", is_retryable=False
            )
        if time.monotonic() > end:
            raise UnreachableError(
                f"{response.url.host} was still answering after {seconds:g} s", is_retryable=False
            )
    return bytes(body)


def download_file(
    http: "httpx2.Client", url: str, part: Path, size: int, progress: Callable[[int], None]
) -> None:
    """Bring ``part`` to exactly ``size`` bytes of ``url``, going on where it ends.

    ``progress`` hears how many bytes are there. ``file://`` works too. What was fetched
    stays in ``part`` whatever happens.

    Raises:
        Unreachable: the server cannot be reached, breaks off without further
            progress, refuses, or has another size.
        OSError: the file cannot be written.
    """
    if part.exists() and part.stat().st_size > size:
        part.unlink()
    failures = 0
    while (have := part.stat().st_size if part.exists() else 0) < size:
        try:
            for length in _stream(http, url, part, have, size):
                progress(length)
                failures = 0
        except UnreachableError as error:
            failures += 1
            if failures >= TRIES_WITHOUT_PROGRESS or not error.is_retryable:
                raise
            time.sleep(0.3 * failures)
    progress(size)


def _stream(http: "httpx2.Client", url: str, part: Path, have: int, size: int) -> Iterator[int]:
    parts = urlsplit(url)
    if parts.scheme == "file":
        yield from _copy(Path(unquote(parts.path)), part, size)
        return
    import httpx2

    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        with http.stream("GET", url, headers=headers) as response:
            if response.status_code == 206 and _first_byte(response) == have:
                mode = "ab"
            elif response.status_code == 200:
                mode = "wb"
            elif response.status_code in (206, 416):
                part.unlink(missing_ok=True)
                raise UnreachableError(f"{parts.hostname} does not resume where the file ends")
            elif response.status_code in (408, 429) or response.status_code >= 500:
                raise UnreachableError(f"{parts.hostname} answers HTTP {response.status_code}")
            else:
                raise UnreachableError(
                    f"{parts.hostname} answers HTTP {response.status_code}", is_retryable=False
                )
            length = have if mode == "ab" else 0
            announced = response.headers.get("Content-Length", "")
            if announced.isdigit() and length + int(announced) != size:
                raise UnreachableError(
                    f"{parts.hostname} offers a file of another size", is_retryable=False
                )
            with part.open(mode) as file:
                for chunk in response.iter_bytes(_CHUNK):
                    length += len(chunk)
                    if length > size:
                        raise UnreachableError(
                            f"{parts.hostname} sends more than it announced", is_retryable=False
                        )
                    file.write(chunk)
                    yield length
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        reason = str(error) or type(error).__name__
        raise UnreachableError(f"{parts.hostname}: {reason}") from None


def _first_byte(response: "httpx2.Response") -> int:
    value: str = response.headers.get("Content-Range", "")
    first = value.removeprefix("bytes ").partition("-")[0].strip()
    return int(first) if first.isdigit() else -1


def _copy(source: Path, part: Path, size: int) -> Iterator[int]:
    try:
        with source.open("rb") as file:
            if os.fstat(file.fileno()).st_size != size:
                raise UnreachableError(
                    f"{source} has another size than the published file", is_retryable=False
                )
            with part.open("wb") as copy:
                length = 0
                while chunk := file.read(_CHUNK):
                    copy.write(chunk)
                    length += len(chunk)
                    yield length
    except FileNotFoundError:
        raise UnreachableError(f"{source} does not exist", is_retryable=False) from None
