"""One status line while the screen's libraries are imported.

A line on the normal screen, written before anything large is imported and wiped before
anything else is written; where stdin or stdout is no terminal nothing is written at all.
"""

import contextlib
import os

_shown = False


def show(text: str) -> None:
    """Write ``text`` (ours, one line) at once."""
    global _shown
    if not _shown and os.isatty(0) and os.isatty(1):
        _shown = True
        _write(f"{text}\r")


def wipe() -> None:
    """Take it away again, leaving the line as it was; nothing where nothing was shown."""
    global _shown
    if _shown:
        _shown = False
        _write("\r\x1b[2K")


def _write(text: str) -> None:
    with contextlib.suppress(OSError):  # the terminal has gone: who writes next will be told
        os.write(1, text.encode())
