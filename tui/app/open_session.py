"""From session files to the screen that shows them."""

import math
from collections.abc import Sequence
from pathlib import Path

from tui.app.screens.navigation import Introduction
from tui.app.screens.replay import ReplayScreen
from tui.app.style.appearance import Appearance
from tui.sessions import reader, storage
from tui.sessions.follow import Follower
from tui.sessions.player import SHORT_WAIT_S, Player


def replay_screen(
    appearance: Appearance,
    path: Path,
    sessions_dir: Path,
    *,
    at_once: bool = False,
    introduction: Introduction | None = None,
) -> ReplayScreen:
    """The screen of one session: followed live while it is being written, else played from its
    first token with waits shortened, or with ``at_once`` shown as it ended.

    Raises:
        UserError: it cannot be read.
    """
    if storage.is_live(path):
        return ReplayScreen(appearance, Follower(path), path, sessions_dir)
    events, speed = reader.read(path).events, math.inf if at_once else 1.0
    player = Player(events, speed=speed, max_gap=SHORT_WAIT_S)
    if not at_once:
        player.go_to_first_token()
    return ReplayScreen(appearance, player, path, sessions_dir, introduction=introduction)


def joined_replay_screen(
    appearance: Appearance, paths: Sequence[Path], sessions_dir: Path
) -> ReplayScreen:
    """The screen of several sessions of the same questions, as they ended.

    Raises:
        UserError: one cannot be read, or they asked different questions.
    """
    from tui.reports.joined_sessions import join_sessions

    player = Player(join_sessions([reader.read(path) for path in paths]), speed=math.inf)
    return ReplayScreen(appearance, player, paths[0], sessions_dir, joined=paths[1:])
