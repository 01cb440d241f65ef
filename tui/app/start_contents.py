"""Collects what the start screen shows at once: recordings and question sets."""

from tui.app.screens.start import StartContents
from tui.host import paths
from tui.questions import BUILT_IN, load
from tui.sessions import library
from tui.settings import Settings


def load_contents(settings: Settings) -> StartContents:
    """The bundled and the person's own recordings, and the question sets."""
    return StartContents(
        sorted(library.entries(paths.bundled("sessions")), key=lambda entry: entry.name),
        library.entries(settings.sessions_dir),
        [(name, load(name).title or name) for name in BUILT_IN],
    )
