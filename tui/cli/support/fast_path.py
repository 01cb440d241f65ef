"""``duibi`` and ``duibi replay SESSION`` without options: bypass the option parser.

Its imports take as long as half of the way to the first picture, and there is nothing to
parse. What is opened, and what goes wrong, is the same.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tui.host import splash
from tui.host.terminal import is_interactive

if TYPE_CHECKING:
    from tui.settings import Settings


def open_screen(args: Sequence[str]) -> int | None:
    """Open the screen that ``args`` ask for; its exit code, or None: ask the parser.

    Raises:
        UserError: what the commands raise.
    """
    replay = len(args) == 2 and args[0] == "replay" and not args[1].startswith("-")
    if not (replay or not args) or not is_interactive():
        return None
    splash.show("duibi …")
    from tui import settings
    from tui.cli.support import logs
    from tui.host import paths

    paths.adopt_persistent_dir()
    logs.configure()
    chosen = settings.load()
    if chosen.plain:
        return None
    return _replay(args[1], chosen) if replay else _start(chosen)


def _start(settings: "Settings") -> int:
    from tui.app.main import show_start

    return show_start(settings, _compare_models, _resume_session)


def _compare_models(models: list[str], settings: "Settings") -> int:
    from tui.cli.support import live_run

    return live_run.compare_models(models, settings)


def _resume_session(session: str, settings: "Settings") -> int:
    from tui.cli.support import live_run

    return live_run.resume_session(session, settings)


def _replay(session: str, settings: "Settings") -> int:
    from tui.app.main import show_replay
    from tui.cli.support.session_player import make_player
    from tui.sessions import library

    path = library.find(session, settings.sessions_dir)
    return show_replay(make_player(path), path, settings, _resume_session)
