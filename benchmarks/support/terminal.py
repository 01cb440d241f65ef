"""A real pseudo-terminal with a program in it: keys in, the emulated screen and raw bytes out."""

import contextlib
import os
import select
import signal
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

import ptyprocess
import pyte

DUIBI = (sys.executable, "-m", "tui")
ALTERNATE_SCREEN_ON, ALTERNATE_SCREEN_OFF = b"\x1b[?1049h", b"\x1b[?1049l"
CURSOR_SHOWN = b"\x1b[?25h"


class Terminal:
    """One program on its own pty, with everything it wrote kept in :attr:`raw`."""

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[str, str] | None = None,
        columns: int = 120,
        rows: int = 36,
        cwd: Path | None = None,
    ) -> None:
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = bytearray()
        self.started = time.monotonic()
        # The size is that of the pseudo-terminal; a process of pytest-xdist has these set.
        inherited = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
        self.process = ptyprocess.PtyProcess.spawn(
            list(command),
            dimensions=(rows, columns),
            cwd=str(cwd) if cwd else None,
            env={**inherited, "TERM": "xterm-256color", "COLORTERM": "truecolor", **(env or {})},
        )
        self.attributes = termios.tcgetattr(self.process.fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.isalive():
            self.process.kill(signal.SIGKILL)
        with contextlib.suppress(OSError):
            self.process.close(force=True)

    def read(self, seconds: float = 0.05) -> bytes:
        """What arrives within ``seconds``; ends early at the program's end."""
        got = bytearray()
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if not select.select([self.process.fd], [], [], left)[0]:
                break
            try:
                data = os.read(self.process.fd, 65536)
            except OSError:
                break
            if not data:
                break
            got += data
            self._stream.feed(data)
        self.raw += got
        return bytes(got)

    def text(self) -> str:
        """The screen as lines of text; the second cell of a wide character is left out."""
        rows = (self.screen.buffer[y] for y in range(self.screen.lines))
        return "\n".join(
            "".join(row[x].data for x in range(self.screen.columns)).rstrip() for row in rows
        )

    def wait(self, wanted: str | Callable[[str], bool], seconds: float = 60) -> float:
        """Seconds from the start until the screen shows ``wanted``.

        Raises:
            AssertionError: it does not come in time; the message shows the screen.
        """
        seen = wanted if callable(wanted) else lambda text: wanted in text
        until = time.monotonic() + seconds
        shown = self.text()
        while time.monotonic() < until:
            if self.read(0.02):
                shown = self.text()
            if seen(shown):
                return time.monotonic() - self.started
            if not self.process.isalive():
                self.read(0.2)
                break
        if seen(self.text()):
            return time.monotonic() - self.started
        raise AssertionError(f"not seen within {seconds} s: {wanted}\n{self.text()}")

    def send(self, keys: str) -> None:
        """Type ``keys`` as they are."""
        self.process.write(keys.encode())

    def hang_up(self) -> None:
        """Close the terminal under the program."""
        self.process.fileobj.close()
        # ptyprocess would close the number again, which may be another's by then.
        self.process.closed, self.process.fd = True, -1

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size."""
        self.screen.resize(rows, columns)
        self.process.setwinsize(rows, columns)

    def wait_exit(self, seconds: float = 60) -> int:
        """The exit status (negative: the signal), within ``seconds``."""
        until = time.monotonic() + seconds
        while self.process.isalive():
            assert time.monotonic() < until, f"still running after {seconds} s\n{self.text()}"
            self.read(0.05)
        self.read(0.2)
        if self.process.signalstatus is not None:
            return -int(self.process.signalstatus)
        return int(self.process.exitstatus or 0)

    def is_restored(self) -> bool:
        """Whether the alternate screen is left and the cursor shown after the program's end."""
        return (
            self.raw.rfind(ALTERNATE_SCREEN_OFF) > self.raw.rfind(ALTERNATE_SCREEN_ON)
            and CURSOR_SHOWN in self.raw[self.raw.rfind(b"\x1b[?25l") :]
        )
