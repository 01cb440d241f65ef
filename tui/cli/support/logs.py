"""The log file: one file in the cache folder.

Tracebacks are kept without the values of variables, and the keys of the environment are
redacted, also where a message holds one.
"""

import logging
import os
import traceback
from io import TextIOWrapper
from pathlib import Path

from tui.host import paths, secrets
from tui.host.errors import UserError
from tui.host.save_file import open_log

_MAX_BYTES = 4 << 20


def configure() -> None:
    """Send log records to the file; without one they are dropped, never put on a screen."""
    root = logging.getLogger()
    if root.handlers:
        return
    try:
        root.addHandler(_handler(paths.log_file()))
    except (OSError, UserError):
        root.addHandler(logging.NullHandler())


def log_traceback() -> Path | None:
    """Append the current exception to the log; where, or None if it could not be written."""
    try:
        file = paths.log_file()
        with os.fdopen(open_log(file), "a", encoding="utf-8") as stream:
            stream.write(secrets.redact_secrets(traceback.format_exc()))
    except (OSError, UserError):
        return None
    return file


class _Formatter(logging.Formatter):
    """Records without the keys of the environment."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, and a traceback if there is one."""
        return secrets.redact_secrets(super().format(record))


class _PrivateFileHandler(logging.FileHandler):
    """A log that only its owner reads."""

    def _open(self) -> TextIOWrapper:
        return os.fdopen(open_log(Path(self.baseFilename)), "a", encoding="utf-8")


def _handler(file: Path) -> logging.Handler:
    if file.exists() and file.stat().st_size > _MAX_BYTES:
        file.replace(file.with_suffix(".old.log"))
    handler = _PrivateFileHandler(file, encoding="utf-8", delay=True)
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handler.setLevel(logging.WARNING)
    return handler
