"""The child's end of the control socket: JSON lines out, one reader thread in."""

import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import NoReturn

from tui.events import Body
from tui.worker_protocol import Alive, Order, decode_order, encode_report


class Channel:
    """Sends reports (thread-safe) and hands every order of the parent to a function."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)
        self._socket.setblocking(True)
        self._lock = threading.Lock()
        self._held: list[bytes] = []
        self._flushed = 0.0

    def send(self, body: Body | Alive, t_ns: int | None = None) -> None:
        """Tell the parent of what happened at ``t_ns`` (default: now)."""
        self._write(encode_report(body, time.monotonic_ns() if t_ns is None else t_ns))

    def hold(self, body: Body, t_ns: int) -> None:
        """Tell the parent with the next `flush`. For one thread, as `flush` is."""
        self._held.append(encode_report(body, t_ns))

    @property
    def held_s(self) -> float:
        """Seconds since the last `flush`; 0 where nothing is held."""
        return time.monotonic() - self._flushed if self._held else 0.0

    def flush(self) -> None:
        """Tell the parent what is held."""
        lines, self._held = b"".join(self._held), []
        self._flushed = time.monotonic()
        self._write(lines)

    def _write(self, lines: bytes) -> None:
        try:
            with self._lock:
                self._socket.sendall(lines)
        except OSError:
            exit_process(0)

    def listen(self, handle: Callable[[Order], None]) -> None:
        """Call ``handle`` for each order in a thread of its own; the end of the file, or a
        line that is no order, ends this process at once, whatever it is computing."""
        threading.Thread(target=self._read, args=(handle,), name="control", daemon=True).start()

    def _read(self, handle: Callable[[Order], None]) -> None:
        try:
            with self._socket.makefile("rb") as lines:
                for line in lines:
                    handle(decode_order(line))
        except OSError:
            pass
        except Exception:
            sys.excepthook(*sys.exc_info())
            exit_process(1)
        exit_process(0)


def exit_process(code: int) -> NoReturn:
    """End this process without waiting for any thread; the kernel frees the weights."""
    sys.stderr.flush()
    os._exit(code)
