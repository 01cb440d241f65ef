"""The child's end of the control socket: JSON lines out, one reader thread in."""

import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from tui.events import Body, payload

JsonObject = dict[str, Any]


class Channel:
    """Sends events (thread-safe) and hands every message of the parent to a function."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)
        self._socket.setblocking(True)
        self._lock = threading.Lock()

    def send(self, body: Body, t_ns: int | None = None) -> None:
        """Tell the parent of an event that happened at ``t_ns`` (default: now)."""
        self.send_raw(body.kind, payload(body), t_ns)

    def send_raw(self, kind: str, data: JsonObject, t_ns: int | None = None) -> None:
        """Tell the parent of something that is not an event of the vocabulary."""
        row = [time.monotonic_ns() if t_ns is None else t_ns, kind, data]
        line = json.dumps(row, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        # A lone surrogate cannot be encoded: whoever reads sees a replacement instead.
        packed = line.encode("utf-8", "replace") + b"\n"
        try:
            with self._lock:
                self._socket.sendall(packed)
        except OSError:
            exit_process(0)

    def listen(self, handle: Callable[[JsonObject], None]) -> None:
        """Call ``handle`` for each message in a thread of its own; the end of the
        file, or a broken line, ends this process at once, whatever it is computing."""
        threading.Thread(target=self._read, args=(handle,), name="control", daemon=True).start()

    def _read(self, handle: Callable[[JsonObject], None]) -> None:
        try:
            with self._socket.makefile("rb") as lines:
                for line in lines:
                    handle(json.loads(line))
        except OSError:
            pass
        except Exception:
            sys.excepthook(*sys.exc_info())
            exit_process(1)
        exit_process(0)


def exit_process(code: int) -> None:
    """End this process without waiting for any thread; the kernel frees the weights."""
    sys.stderr.flush()
    os._exit(code)
