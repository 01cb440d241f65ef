"""From session files to the screen that shows them."""

import math
from collections.abc import Sequence
from pathlib import Path

from tui.app.screens.replay import ReplayScreen
from tui.app.style.appearance import Look
from tui.sessions import reader, storage
from tui.sessions.player import Player


def replay_of(look: Look, path: Path, sessions: Path, *, at_once: bool = False) -> ReplayScreen:
    """The screen of one session: followed live while it is being written, else played from
    its beginning, or with ``at_once`` shown as it ended.

    Raises:
        UserError: it cannot be read.
    """
    if storage.is_live(path):
        from tui.sessions.follow import Follower

        return ReplayScreen(look, Follower(path), path, sessions)
    player = Player(reader.read(path).events, speed=math.inf if at_once else 1.0)
    return ReplayScreen(look, player, path, sessions)


def replay_beside(look: Look, paths: Sequence[Path], sessions: Path) -> ReplayScreen:
    """The screen of several sessions of the same questions, as they ended.

    Raises:
        UserError: one cannot be read, or they asked different questions.
    """
    from tui.reports.joined_sessions import beside

    player = Player(beside([reader.read(path) for path in paths]), speed=math.inf)
    return ReplayScreen(look, player, paths[0], sessions, beside=paths[1:])
