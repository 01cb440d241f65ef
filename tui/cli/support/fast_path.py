"""``duibi`` and ``duibi replay SESSION`` without options: bypass the option parser.

Its imports take as long as half of the way to the first picture, and there is nothing to
parse. What is opened, and what goes wrong, is the same.
"""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tui.host import splash
from tui.host.terminal import is_dumb, is_interactive

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
    from tui.cli.support import language, logs, settings_in_force
    from tui.host import paths

    paths.adopt_persistent_dir()
    logs.configure()
    language.choose_language(args)
    chosen = settings_in_force.load()
    if chosen.plain or is_dumb(os.environ):
        return None
    from tui.cli.support.open_screens import open_start

    return _replay(args[1], chosen) if replay else open_start(chosen)


def _replay(session: str, settings: "Settings") -> int:
    from tui.cli.support.open_screens import open_replay
    from tui.cli.support.session_player import make_player
    from tui.sessions import library

    path = library.find(session, settings.sessions_dir)
    return open_replay(make_player(path, is_watched=True), path, settings)
