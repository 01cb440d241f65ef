"""Saves a finished run's session in another folder when its disk failed."""

import tempfile
from pathlib import Path
from typing import Protocol

from tui.host import paths
from tui.host.errors import UserError
from tui.sessions.journal import SaveState


class SavableRun(Protocol):
    """What is asked of a closed run; see `tui.run.conductor.Run`."""

    @property
    def save_state(self) -> SaveState:
        """Whether all is in the file."""
        ...

    def save_to(self, folder: Path) -> Path:
        """Write all of it in another folder."""
        ...


def ensure_saved(run: SavableRun) -> str:
    """One line on where the session of a closed run is; "" where it was wanted.

    What is not saved is written whole into the cache folder, or a new one for temporary files.
    """
    state = run.save_state
    if state.saved:
        return f"the session {state.note}" if state.note else ""
    for folder in (_cache_folder, _temporary_folder):
        try:
            path = run.save_to(folder())
        except (UserError, OSError):
            continue
        return f"{state.error}: the whole session is in {path}"
    return f"not everything was saved: {state.error}"


def _cache_folder() -> Path:
    return paths.cache_dir() / "rescued"


def _temporary_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="duibi-"))
