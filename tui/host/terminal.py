"""What is known of the terminal without drawing on it: whether there is one, its encoding."""

import os
import sys
from collections.abc import Mapping

_COERCED = "C.UTF-8"
"""What Python itself sets LC_CTYPE to where the locale is C (PEP 538)."""


def is_interactive() -> bool:
    """Whether a person can type and see: stdin and stdout are terminals."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def discard_output(descriptor: int) -> None:
    """Send what is written to a file descriptor to /dev/null from now on: its reader or its
    terminal has gone, and Python's final flush would fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)


def locale_not_utf8(environ: Mapping[str, str]) -> str:
    """The locale that says that the terminal is not one of UTF-8; "" where none says so."""
    named = [environ.get("LC_ALL"), environ.get("LC_CTYPE"), environ.get("LANG")]
    name = next((name for name in named if name and name != _COERCED), "")
    return "" if name.lower().replace("-", "").endswith("utf8") else name
