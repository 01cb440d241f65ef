"""A thread that watches something while a run lasts."""

import threading
from abc import ABC, abstractmethod


class MonitorThread(ABC):
    """The thread and its end. `_run` works until ``_stop`` is set; the interpreter does not
    wait for the thread when it exits."""

    def __init__(self, name: str) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def close(self, timeout: float) -> None:
        """Stop watching, within ``timeout`` seconds."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(timeout)

    @abstractmethod
    def _run(self) -> None:
        """Watch, in the thread, until ``_stop`` is set."""
