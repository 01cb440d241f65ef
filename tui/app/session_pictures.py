"""Draws pictures of recorded sessions on a screen that no terminal shows."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui.app.main import make_app
from tui.options import ScreenOptions
from tui.reports.merge import require_same_questions
from tui.sessions import reader

if TYPE_CHECKING:
    from tui.app.screens.replay import ReplayScreen
    from tui.app.style.appearance import Appearance

_PICTURE_ROWS = 36
_PICTURE_COLUMNS = {1: 100, 2: 120, 3: 150}
"""Of the screen that is drawn for a report, by how many models stand side by side."""
_MAX_POLLS = 100
"""Looks at whether all is drawn; a run that goes on is taken as it stands after them."""


def session_pictures(
    options: ScreenOptions, paths: Sequence[Path], sessions_dir: Path
) -> dict[str, str]:
    """A picture (SVG) at each question that was asked, of sessions as they ended.

    Raises:
        UserError: one cannot be read, they asked different questions, or the theme is unknown.
    """
    recorded = [reader.read(path) for path in paths]
    # Here, not only where the screen is made: what that raises ends as an error of the screen.
    require_same_questions(recorded)
    models = sum(len(one.header.models) for one in recorded)

    def first(appearance: "Appearance") -> "ReplayScreen":
        from tui.app.open_session import joined_replay_screen, replay_screen

        if len(paths) > 1:
            return joined_replay_screen(appearance, paths, sessions_dir)
        return replay_screen(appearance, paths[0], sessions_dir, at_once=True)

    app = make_app(options, first)
    taken: dict[str, str] = {}

    async def look_on(pilot: Any) -> None:
        from tui.app.screens.replay import ReplayScreen

        for _ in range(_MAX_POLLS):
            await pilot.pause(0.05)
            screen = app.screen
            if isinstance(screen, ReplayScreen) and screen.board.header and screen.player.has_ended:
                break
        if isinstance(screen, ReplayScreen):
            taken.update(screen.question_pictures())
        app.exit(0)

    columns = _PICTURE_COLUMNS.get(models, 120 if models == 4 else 150)
    rows = _PICTURE_ROWS if models < 4 else _PICTURE_ROWS + 12
    asyncio.run(app.run_async(headless=True, size=(columns, rows), auto_pilot=look_on))
    return taken
