"""Asking before something is fetched, and one line on stderr while it is."""

import os
import sys
import time
from collections.abc import Callable
from typing import TextIO

_EVERY_S = 0.1
_BAR = 24
_COLUMNS = 80


def cli_consent(text: str) -> bool:
    """Ask a person; where nobody can answer, say what is fetched and go on."""
    print(text, file=sys.stderr, flush=True)
    return not _someone() or ask("Fetch it now?", True)


def ask(question: str, default: bool = False) -> bool:
    """A yes or no from a person on the terminal; no where nobody can answer."""
    if not _someone():
        return False
    print(f"{question} [{'Y/n' if default else 'y/N'}] ", end="", file=sys.stderr, flush=True)
    line = sys.stdin.readline()
    answer = line.strip().lower()
    return bool(line) and (answer in ("y", "yes", "是", "好") or (default and not answer))


def _someone() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


class ProgressLine:
    """``progress(stage, done, total)`` drawn as one line with speed and time left.

    On a terminal the line is redrawn at most ten times a second; elsewhere each stage
    is said once. Use as a context manager, so that the line ends.
    """

    def __init__(
        self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream or sys.stderr
        self._clock = clock
        self._live = self._stream.isatty()
        self._stage = ""
        self._began = (0.0, 0)
        self._drawn = 0.0
        self._width = 0

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = self._clock()
        if stage != self._stage:
            self._finish()
            self._stage, self._began = stage, (now, done)
            if not self._live:
                print(stage, file=self._stream, flush=True)
        elif now - self._drawn < _EVERY_S and done != total:
            return
        if self._live:
            self._drawn = now
            room = self._columns() - 1
            text = self._line(stage, done, total, now, _BAR)
            if len(text) > room:
                text = self._line(stage, done, total, now, 0)
            self._draw(text[:room])

    def __enter__(self) -> "ProgressLine":
        return self

    def __exit__(self, *_: object) -> None:
        self._finish()

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or _COLUMNS
        except (OSError, ValueError):
            return _COLUMNS

    def _line(self, stage: str, done: int, total: int, now: float, width: int) -> str:
        if total <= 0:
            return f"{stage} ..."
        share = min(done / total, 1.0)
        filled = round(share * width)
        bar = "█" * filled + "·" * (width - filled) + " " * bool(width)
        text = f"{stage} {bar}{share:4.0%} {size(done)} of {size(total)}"
        seconds, came = now - self._began[0], done - self._began[1]
        if seconds > 0.5 and came > 0:
            speed = came / seconds
            text += f"  {size(int(speed))}/s  {duration((total - done) / speed)} left"
        return text

    def _draw(self, text: str) -> None:
        padding = " " * (self._width - len(text))
        self._stream.write(f"\r{text}{padding}")
        self._stream.flush()
        self._width = len(text)

    def _finish(self) -> None:
        if self._width:
            self._stream.write("\n")
            self._stream.flush()
        self._width, self._drawn = 0, 0.0


def size(count: int) -> str:
    """A number of bytes for people, in decimal units as disks and networks count."""
    value = float(count)
    for unit in ("B", "kB", "MB"):
        if value < 999.5:
            return f"{value:.0f} {unit}"
        value /= 1000
    return f"{value:.1f} GB" if value < 99.95 else f"{value:.0f} GB"


def duration(seconds: float) -> str:
    """Seconds as ``8s``, ``2m05s`` or ``1h12m``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
