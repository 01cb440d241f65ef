"""An HTTP server on loopback that does exactly what a test says, byte for byte.

It reads requests properly and answers by a function of the test, which writes to the
socket whatever it wants: a good stream, half a line, nothing.
"""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

END_CHUNK = b"0\r\n\r\n"


@dataclass
class Received:
    """A request: ``number`` counts from 0 the requests for completions."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    number: int
    at: float = field(default_factory=time.monotonic)


class Reply:
    """The way back to the client; all methods write at once."""

    def __init__(self, connection: socket.socket, server: "FaultServer") -> None:
        self.connection, self.server = connection, server

    def raw(self, data: bytes) -> None:
        """Bytes as they are."""
        self.connection.sendall(data)

    def head(self, status: int = 200, type_: str = "text/event-stream", **headers: str) -> None:
        """Status line and headers; the body follows in chunks."""
        lines = [f"HTTP/1.1 {status} X", f"Content-Type: {type_}", "Transfer-Encoding: chunked"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.raw(("\r\n".join(lines) + "\r\n\r\n").encode())

    def chunk(self, data: bytes) -> None:
        """One piece of the body."""
        self.raw(b"%x\r\n%s\r\n" % (len(data), data))

    def whole(self, status: int, body: bytes, type_: str = "application/json", **h: str) -> None:
        """A complete answer that is no stream."""
        self.head(status, type_, **h)
        self.chunk(body)
        self.raw(END_CHUNK)

    def data(self, value: Any) -> None:
        """One server-sent event."""
        self.chunk(b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n")

    def token(self, text: str, **more: Any) -> None:
        """A delta with text."""
        self.data({"choices": [{"index": 0, "delta": {"content": text}, **more}]})

    def finish(self, reason: str = "stop") -> None:
        """The delta that ends an answer."""
        self.data({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})

    def usage(self, prompt: int, output: int) -> None:
        """The service's own figures, in a chunk without choices."""
        counts = {"prompt_tokens": prompt, "completion_tokens": output}
        self.data({"choices": [], "usage": counts})

    def done(self) -> None:
        """The end of the stream."""
        self.chunk(b"data: [DONE]\n\n")
        self.raw(END_CHUNK)

    def wait_for_close(self, seconds: float = 10) -> None:
        """Wait until the client closes the connection, or the server ends; note when."""
        self.connection.settimeout(0.02)
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self.server.ending.is_set():
            try:
                if not self.connection.recv(1024):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        else:
            return
        self.server.closed_at.append(time.monotonic())


Behaviour = Callable[[Reply, Received], None]


class FaultServer:
    """Serves until it is left; ``url`` is its base address (``http://127.0.0.1:PORT/v1``).

    ``GET /v1/models`` lists ``models``; every other request is answered by ``behave``.
    After an answer the connection stays open for the next request, unless ``behave`` raises
    `ConnectionError` or closes it.
    """

    def __init__(self, behave: Behaviour, models: tuple[str, ...] = ("m",)) -> None:
        self.behave, self.models = behave, models
        self.requests: list[Received] = []
        self.closed_at: list[float] = []
        self.open_now = self.most_open = self.connections = 0
        self.ending = threading.Event()
        self._lock = threading.Lock()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> "FaultServer":
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ending.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while not self.ending.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            self._sockets.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while not self.ending.is_set():
                received = self._read(connection)
                if received is None:
                    return
                reply = Reply(connection, self)
                if received.path == "/v1/models":
                    rows = [{"id": name} for name in self.models]
                    reply.whole(200, json.dumps({"data": rows}).encode())
                    continue
                with self._lock:
                    self.open_now += 1
                    self.most_open = max(self.most_open, self.open_now)
                try:
                    self.behave(reply, received)
                finally:
                    with self._lock:
                        self.open_now -= 1

    def _read(self, connection: socket.socket) -> Received | None:
        connection.settimeout(None)
        data = b""
        while b"\r\n\r\n" not in data:
            more = connection.recv(65536)
            if not more:
                return None
            data += more
            if data[:1] == b"\x16":  # a TLS handshake: answer as any plain server does
                connection.sendall(b"HTTP/1.1 400 X\r\nConnection: close\r\n\r\n")
                return None
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        while len(body) < int(headers.get("content-length", "0")):
            body += connection.recv(65536)
        path = first.split(" ")[1]
        with self._lock:
            number = sum(r.path != "/v1/models" for r in self.requests)
            received = Received(path, headers, json.loads(body) if body else {}, number)
            self.requests.append(received)
        return received

    @property
    def asked(self) -> int:
        """How many completions were asked for."""
        return sum(r.path != "/v1/models" for r in self.requests)


def good_answer(*texts: str, prompt: int = 7) -> Behaviour:
    """A complete answer with usage."""

    def behave(reply: Reply, _: Received) -> None:
        reply.head()
        for text in texts:
            reply.token(text)
        reply.finish()
        reply.usage(prompt, len(texts))
        reply.done()

    return behave


def in_order(*steps: Callable[[Reply], object]) -> Behaviour:
    """A server that does one thing after the other."""

    def behave(reply: Reply, _: Received) -> None:
        for step in steps:
            step(reply)

    return behave


def hang_up(_: Reply) -> None:
    """Close the connection."""
    raise ConnectionError


def never_answer(reply: Reply) -> None:
    """Say nothing more."""
    reply.wait_for_close()


def keep_alive(reply: Reply) -> None:
    """Only comments, for two seconds."""
    for _ in range(40):
        reply.chunk(b": keep-alive\n\n")
        time.sleep(0.05)


def send_head(reply: Reply) -> None:
    """The beginning of a stream."""
    reply.head()


def send_token(reply: Reply) -> None:
    """The first token."""
    reply.token("half")


def error_status(code: int, message: str = "", **headers: str) -> Behaviour:
    """An error with its message, as OpenAI writes it."""
    body = json.dumps({"error": {"message": message or f"status {code}"}}).encode()
    return in_order(lambda r: r.whole(code, body, **headers))
