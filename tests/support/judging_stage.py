"""The judging screens over a recorded session, and what a session file holds of judgements."""

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from benchmarks.support.scripted_run import ScriptedRun
from tests.support.stage import BEAT, Stage
from tui.app.app import DuibiApp
from tui.app.main import make_app
from tui.app.screens.compare import CompareScreen
from tui.app.screens.judging import JudgingScreen
from tui.app.screens.replay import ReplayScreen
from tui.app.widgets.stars_bar import StarsBar
from tui.app.widgets.votes_bar import VotesBar
from tui.host import paths
from tui.options import ScreenOptions
from tui.sessions.player import Player
from tui.sessions.reader import read


class JudgingStage(Stage):
    """A screen on which answers are judged."""

    def __init__(self, app: DuibiApp, screen: JudgingScreen, pilot: Pilot[Any]) -> None:
        super().__init__(app, pilot)
        self.screen = screen

    @property
    def stars(self) -> StarsBar:
        assert self.screen.stars is not None
        return self.screen.stars

    @property
    def votes(self) -> VotesBar:
        assert self.screen.votes is not None
        return self.screen.votes


@asynccontextmanager
async def judging(
    path: Path,
    size: tuple[int, int] = (80, 24),
    beside: tuple[Path, ...] = (),
    sessions_dir: Path | None = None,
    **options: Any,
) -> AsyncIterator[JudgingStage]:
    """The replay of a session, with its first question on view."""
    player = Player(read(path).events, speed=math.inf)
    folder = sessions_dir or paths.sessions_dir()
    app = make_app(
        ScreenOptions(**options),
        lambda look: ReplayScreen(look, player, path, folder, beside),
    )
    async with app.run_test(size=size) as pilot:
        await pilot.pause(BEAT)
        screen = app.screen
        assert isinstance(screen, ReplayScreen)
        it = JudgingStage(app, screen, pilot)
        await it.press("1")
        yield it


@asynccontextmanager
async def judging_run(
    run: ScriptedRun, folder: Path, size: tuple[int, int] = (120, 30)
) -> AsyncIterator[JudgingStage]:
    """A run on the live screen."""
    app = make_app(ScreenOptions(), lambda look: CompareScreen(look, run, folder))
    async with app.run_test(size=size) as pilot:
        screen = app.screen
        assert isinstance(screen, CompareScreen)
        yield JudgingStage(app, screen, pilot)


def said(path: Path, kind: type) -> list[Any]:
    """The events of a kind in a session file."""
    return [event.body for event in read(path).events if isinstance(event.body, kind)]
