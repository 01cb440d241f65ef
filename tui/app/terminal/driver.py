"""Textual's driver for Linux and macOS with three changes.

Keys are handed on in bursts instead of one by one; text that arrives faster than anybody
types is a paste, also where the terminal does not mark it as one (else its newlines would
send and its letters act); the terminal's answers to frames go to the output.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable

from textual import events
from textual.app import App
from textual.drivers.linux_driver import LinuxDriver
from textual.message import Message
from textual.widgets import TextArea

from tui.host import splash

PASTE_KEYS = 64
"""More characters in one read than typing or a slow line can collect: a paste."""
PASTED_BEHIND_A_BREAK = 4
"""Characters behind a line break, in one read that reaches a prompt: a paste of lines. Who sends
a line and goes on with keys is not as fast."""
_PASTE_GOES_ON_S = 0.2
_TEXT_KEYS = {"enter": "\n", "tab": "\t", "ctrl+j": "\n"}


class TerminalDriver(LinuxDriver):
    """The driver. `on_start` is called whenever the terminal is taken (also after a stop),
    `on_cursor_report` with each report of the cursor's position: true if that was an answer."""

    def __init__(
        self,
        app: App[object],
        *,
        debug: bool = False,
        mouse: bool = True,
        size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        self.on_start: Callable[[], None] = lambda: None
        self.on_cursor_report: Callable[[], bool] = lambda: False
        self._loop_of_app = asyncio.get_running_loop()
        self._pending_messages: deque[Message] = deque()
        self._is_scheduled = False
        self._pasted_at = -_PASTE_GOES_ON_S

    @property
    def backlog(self) -> int:
        """Writes that the terminal has not taken yet."""
        return self._writer_thread._queue.qsize() if self._writer_thread else 0

    def start_application_mode(self) -> None:
        """Take the terminal; what stood there while we started goes."""
        splash.wipe()
        self.on_start()
        super().start_application_mode()  # type: ignore[no-untyped-call]

    def stop_application_mode(self) -> None:
        """Give the terminal back in its own colours."""
        self.write("\x1b[m")
        super().stop_application_mode()

    def process_message(self, message: Message) -> None:
        """Collect what came (in the input thread)."""
        self._pending_messages.append(message)
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop_of_app.call_soon_threadsafe(self._forward_pending)

    def _forward_pending(self) -> None:
        # Reset the flag first: a message that arrives from now on schedules the next call.
        self._is_scheduled = False
        typed: list[Message] = []
        while self._pending_messages:
            message = self._pending_messages.popleft()
            if isinstance(message, events.CursorPosition) and self.on_cursor_report():
                continue
            if _character(message):
                typed.append(message)
                continue
            self._forward_keys(typed)
            typed = []
            super().process_message(message)
        self._forward_keys(typed)

    def _forward_keys(self, keys: list[Message]) -> None:
        now = time.monotonic()
        goes_on = now - self._pasted_at < _PASTE_GOES_ON_S and keys
        text = "".join(map(_character, keys))
        if len(keys) >= PASTE_KEYS or goes_on or self._are_lines(text):
            self._pasted_at = now
            super().process_message(events.Paste(text))
            return
        for key in keys:
            super().process_message(key)

    def _are_lines(self, text: str) -> bool:
        """Whether what came in one read are lines pasted into a prompt."""
        behind = text.strip("\n").partition("\n")[2]
        return len(behind) >= PASTED_BEHIND_A_BREAK and isinstance(self._app.focused, TextArea)


def _character(message: Message) -> str:
    """What a key types, or nothing."""
    if not isinstance(message, events.Key):
        return ""
    return _TEXT_KEYS.get(message.key) or (message.character or "" if message.is_printable else "")
