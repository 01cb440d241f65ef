"""Draws pictures of recorded sessions on a screen that no terminal shows."""

import asyncio
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui.app.main import make_app
from tui.events import Delta, Event
from tui.options import ScreenOptions
from tui.reports.joined_sessions import join_sessions
from tui.reports.merge import require_same_questions
from tui.sessions import reader
from tui.sessions.player import Player

if TYPE_CHECKING:
    from tui.app.screens.replay import ReplayScreen
    from tui.app.style.appearance import Appearance

_PICTURE_ROWS = 36
_PICTURE_COLUMNS = {1: 100, 2: 120, 3: 150}
"""Of the screen that is drawn for a report, by how many models stand side by side."""
_SHOWN_CHARS = 50_000
"""Characters of the beginning and of the end of a text that are drawn: far more than a pane has."""
_MAX_POLLS = 100
"""Looks at whether all is drawn."""


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

    joined = join_sessions(recorded) if len(recorded) > 1 else recorded[0].events
    events = without_middles(joined)

    def first(appearance: "Appearance") -> "ReplayScreen":
        from tui.app.screens.replay import ReplayScreen

        player = Player(events, speed=math.inf)
        return ReplayScreen(appearance, player, paths[0], sessions_dir, joined=paths[1:])

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


def without_middles(events: Sequence[Event]) -> list[Event]:
    """The events without the middle of very long texts, which no picture of a pane shows: to wrap
    15 MB of text took minutes."""
    length: Counter[tuple[int, bool]] = Counter()
    for event in events:
        if isinstance(event.body, Delta):
            length[event.body.answer, event.body.reasoning] += len(event.body.text)
    if max(length.values(), default=0) <= 2 * _SHOWN_CHARS:
        return list(events)
    at: Counter[tuple[int, bool]] = Counter()
    kept = []
    for event in events:
        if isinstance(body := event.body, Delta):
            key = (body.answer, body.reasoning)
            begin, end = _SHOWN_CHARS - at[key], length[key] - _SHOWN_CHARS - at[key]
            at[key] += len(body.text)
            if begin < end:
                text = body.text[: max(0, begin)] + body.text[max(0, end) :]
                event = replace(event, body=replace(body, text=text))
        kept.append(event)
    return kept
