"""One key at a time from a plain terminal."""

import os
import select
import sys
import termios
import tty

_END_KEYS = ("", "\x04", "\x03")
_SEQUENCES = {b"[D": "left", b"OD": "left", b"[C": "right", b"OC": "right"}
_REST_S = 0.02
"""How long the rest of an escape sequence may take."""


def read_key() -> str:
    """The next key: a character, ``enter``, ``backspace``, ``left``, ``right``, ``escape``, or
    empty at the end of input.

    Other escape sequences are swallowed and give ``other``. Without a terminal the characters of
    stdin are the keys.
    """
    fd = sys.stdin.fileno()
    if not os.isatty(fd):
        return _key_name(_character(fd))
    saved = termios.tcgetattr(fd)
    try:
        tty.setcbreak(fd, termios.TCSANOW)
        key = _character(fd)
        if key == "\x1b":
            return _escape_sequence(fd)
        return _key_name(key)
    finally:
        termios.tcsetattr(fd, termios.TCSANOW, saved)


def _escape_sequence(fd: int) -> str:
    """The key of what follows an escape, which alone is a key too."""
    rest = b""
    while select.select([fd], [], [], _REST_S)[0] and (more := os.read(fd, 32)):
        rest += more
    return _SEQUENCES.get(rest, "other") if rest else "escape"


def _character(fd: int) -> str:
    """One character of UTF-8; bytes that are none give the replacement character."""
    data = os.read(fd, 1)
    if data and data[0] >= 0xC0:
        data += os.read(fd, 1 if data[0] < 0xE0 else 2 if data[0] < 0xF0 else 3)
    return data.decode("utf-8", "replace")


def _key_name(key: str) -> str:
    if key in _END_KEYS:
        return ""
    return {"\n": "enter", "\r": "enter", "\x7f": "backspace", "\x08": "backspace"}.get(key, key)
