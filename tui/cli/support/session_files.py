"""Reads the sessions that a person named on the command line."""

import gc
from collections.abc import Sequence
from pathlib import Path

from tui.sessions import library, reader
from tui.sessions.reader import RecordedSession


def read_sessions(names: Sequence[str], folder: Path) -> list[RecordedSession]:
    """The sessions of these names, each once.

    Raises:
        UserError: one is not there or cannot be read.
    """
    paths = dict.fromkeys(library.find(name, folder).resolve() for name in names)
    found = [reader.read(path) for path in paths]
    # The events live as long as the command. Without the freeze every garbage collection would
    # scan them, and for a million events that takes as long as reading them.
    gc.freeze()
    return found
