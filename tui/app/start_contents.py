"""Collects what the start screen shows at once: recordings and question sets."""

from pathlib import Path

from tui.app.screens.start import StartContents
from tui.host import paths
from tui.questions import BUILT_IN, load
from tui.sessions import library


def load_contents(sessions_dir: Path) -> StartContents:
    """The bundled and the person's own recordings, and the question sets."""
    return StartContents(
        sorted(library.entries(paths.bundled("sessions")), key=lambda entry: entry.name),
        library.entries(sessions_dir),
        [(name, load(name).title or name) for name in BUILT_IN],
    )
