"""Asking before something is fetched, and one line on stderr while it is."""

import os
import sys
import time
from collections.abc import Callable
from typing import TextIO

from tui.cli.support.printing import tell
from tui.models.download_offer import DownloadOffer, FileCounts
from tui.models.transfer_rate import TransferRate
from tui.text.sanitise import one_line
from tui.text.translation import tr
from tui.text.units import format_duration, format_size

_EVERY_S = 0.1
_BAR = 24
_COLUMNS = 80


def ask_consent(offer: DownloadOffer, is_agreed: bool = False) -> bool:
    """Say what would be fetched, and ask a person unless it ``is_agreed``; no where nobody can
    answer."""
    tell(str(offer))
    return is_agreed or ask_yes_no("Fetch it now?", True)


def ask_yes_no(question: str, default: bool = False) -> bool:
    """A yes or no from a person on the terminal; no where nobody can answer."""
    if not can_ask():
        return False
    keys = "Y/n" if default else "y/N"
    print(one_line(f"{tr(question)} [{keys}]"), end=" ", file=sys.stderr, flush=True)
    line = sys.stdin.readline()
    answer = line.strip().lower()
    return bool(line) and (answer in ("y", "yes", "是", "好") or (default and not answer))


def can_ask() -> bool:
    """Whether a person can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


class ProgressLine:
    """``progress(stage, done, total)`` drawn as one line with speed and time left.

    On a terminal the line is redrawn at most ten times a second; elsewhere each stage
    is said once. `update_files` adds the files: those under way behind the line, one that is whole
    on a line of its own. With ``is_agreed`` nobody is asked. Use as a context manager, so that the
    line ends.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        is_agreed: bool = False,
    ) -> None:
        self._is_agreed = is_agreed
        self._stream = stream or sys.stderr
        self._clock = clock
        self._live = self._stream.isatty()
        self._stage = ""
        self._rate = TransferRate(clock)
        self._drawn = 0.0
        self._width = 0
        self._files: FileCounts = {}

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Draw how far a stage is, in bytes; without a terminal, only its beginning."""
        now = self._clock()
        if stage != self._stage:
            self._finish()
            self._stage, self._rate = stage, TransferRate(self._clock)
            if not self._live:
                print(one_line(tr(stage)), file=self._stream, flush=True)
        elif now - self._drawn < _EVERY_S and done != total:
            return
        speed, left = self._rate.update(done, total)
        if self._live:
            self._drawn = now
            room = self._columns() - 1
            text = self._line(stage, done, total, _BAR, speed, left)
            if len(text) > room:
                text = self._line(stage, done, total, 0, speed, left)
            for name, (here, whole) in self._files.items():
                if 0 < here < whole and len(text) + len(name) + 8 <= room:
                    text += f"  {name} {here / whole:.0%}"
            self._draw(one_line(text[:room]))

    def consent(self, offer: DownloadOffer) -> bool:
        """`ask_consent`, on a line of its own."""
        self._finish(clear=True)
        self._stage = ""
        return ask_consent(offer, self._is_agreed)

    def update_files(self, files: FileCounts) -> None:
        """Hear of every file: ``(bytes here, size)``."""
        for name, (here, whole) in files.items():
            before = self._files.get(name, (whole, whole))[0]
            if here == whole and before < whole:
                self._finish(clear=True)
                print(one_line(f"  {name}  {format_size(whole)}"), file=self._stream, flush=True)
        self._files = dict(files)

    def __enter__(self) -> "ProgressLine":
        return self

    def __exit__(self, *_: object) -> None:
        self._finish()

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or _COLUMNS
        except (OSError, ValueError):
            return _COLUMNS

    def _line(
        self, stage: str, done: int, total: int, width: int, speed: float, left: float | None
    ) -> str:
        stage = tr(stage)
        if total <= 0:
            return f"{stage} ..."
        share = min(done / total, 1.0)
        filled = round(share * width)
        bar = "█" * filled + "·" * (width - filled) + " " * bool(width)
        amount = f"{format_size(done)}{tr(' of ')}{format_size(total)}"
        text = f"{stage} {bar}{share:4.0%} {amount}"
        if left is not None:
            text += f"  {format_size(int(speed))}/s  {tr(f'{format_duration(left)} left')}"
        return text

    def _draw(self, text: str) -> None:
        padding = " " * (self._width - len(text))
        self._stream.write(f"\r{text}{padding}")
        self._stream.flush()
        self._width = len(text)

    def _finish(self, clear: bool = False) -> None:
        if self._width:
            self._stream.write(f"\r{' ' * self._width}\r" if clear else "\n")
            self._stream.flush()
        self._width, self._drawn = 0, 0.0
