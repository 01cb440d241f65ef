"""The standard streams: whether they are a terminal, its encoding, and how they may fail."""

import codecs
import errno
import io
import os
import sys
from collections.abc import Mapping
from typing import Any

from tui.host.errors import UserError

_COERCED = "C.UTF-8"
"""What Python itself sets LC_CTYPE to where the locale is C (PEP 538)."""


def is_interactive() -> bool:
    """Whether a person can type and see: stdin and stdout are terminals."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def is_dumb(environ: Mapping[str, str]) -> bool:
    """Whether the terminal says that it cannot place text (``TERM=dumb``)."""
    return environ.get("TERM") == "dumb"


def discard_output(descriptor: int) -> None:
    """Send what is written to a file descriptor to /dev/null from now on: its reader or its
    terminal has gone, and Python's final flush would fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)


def locale_not_utf8(environ: Mapping[str, str]) -> str:
    """The locale that says that the terminal is not one of UTF-8; "" where none says so."""
    named = [environ.get("LC_ALL"), environ.get("LC_CTYPE"), environ.get("LANG")]
    name = next((name for name in named if name and name != _COERCED), "")
    return "" if name.lower().replace("-", "").endswith("utf8") else name


def write_utf8() -> None:
    """What stdout gets from now on is data, and UTF-8 whatever the locale; a stream without an
    encoding stays as it is."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors=_NEVER_FAIL)


def _escape(error: UnicodeError) -> tuple[str | bytes, int]:
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeError:
        return codecs.lookup_error("backslashreplace")(error)


_NEVER_FAIL = "duibi.never-fail"
"""What an encoding cannot say is escaped, and the bytes of a path stay what they are."""
codecs.register_error(_NEVER_FAIL, _escape)


def guard_streams() -> None:
    """Make the standard streams safe to use, whatever the caller made of them.

    A closed one becomes /dev/null: the next file that is opened must not take its place; a closed
    stdout one that cannot be written, as who asked for output must hear that there is none. What
    stdout cannot take is a `UserError`, and a character outside of its encoding is escaped; what
    stderr cannot take is dropped, for words about a run must not end it. Streams that a test has
    replaced stay as they are.
    """
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            # Takes the lowest free number.
            os.open(os.devnull, os.O_RDONLY if fd == 1 else os.O_RDWR)
    if sys.stdin is None:
        sys.stdin = sys.__stdin__ = open(0, closefd=False)  # type: ignore[misc] # noqa: SIM115
    if sys.stdout is sys.__stdout__:
        sys.stdout = _guarded(sys.stdout, _Stdout(1, "w", closefd=False))
    if sys.stderr is sys.__stderr__:
        sys.stderr = _guarded(sys.stderr, _Stderr(2, "w", closefd=False))


def _guarded(old: Any, raw: io.FileIO) -> io.TextIOWrapper:
    is_live = raw.isatty() or raw.fileno() == 2
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=getattr(old, "encoding", None) or "utf-8",
        errors=_NEVER_FAIL,
        line_buffering=is_live,
    )


class _Stdout(io.FileIO):
    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno in (errno.EPIPE, errno.EIO):  # the reader or the terminal has gone
                raise BrokenPipeError(error.errno, error.strerror) from None
            discard_output(self.fileno())
            why = "it is closed" if error.errno == errno.EBADF else error.strerror
            raise UserError(
                f"cannot write to stdout: {why}", "send it to a file or a pipe with room"
            ) from None


class _Stderr(io.FileIO):
    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(data)
