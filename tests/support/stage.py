"""An app under test: keys into it, and what a person sees of it."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from textual.pilot import Pilot

from benchmarks.support.scripted_run import ScriptedRun
from tests.support.waiting import DEADLINE_S, pauses
from tui.app.app import DuibiApp
from tui.app.main import make_app
from tui.app.screens.compare import CompareScreen
from tui.app.widgets.pane_grid import PaneGrid
from tui.host import paths
from tui.options import ScreenOptions

BEAT = 0.06
"""Seconds in which a key and a few events are on the screen."""


async def until_shown(
    pilot: Pilot[Any],
    condition: Callable[[], object],
    describe: Callable[[], object] = lambda: "",
) -> None:
    """`waiting.until`, while the app goes on."""
    deadline = time.monotonic() + DEADLINE_S
    for pause_s in pauses(0.02, 0.1):
        if condition():
            return
        assert time.monotonic() < deadline, f"not within {DEADLINE_S:.0f} s: {describe()}"
        await pilot.pause(pause_s)


def pane_rows(grid: PaneGrid | None, index: int) -> list[str]:
    """What stands in a pane, header first."""
    assert grid is not None
    pane = grid.panes[index]
    return [pane.render_line(y).text.rstrip() for y in range(pane.size.height)]


class Stage:
    """An app under test."""

    def __init__(self, app: DuibiApp, pilot: Pilot[Any]) -> None:
        self.app, self.pilot = app, pilot

    async def press(self, *keys: str) -> None:
        """Press keys and wait until they have been dealt with."""
        await self.pilot.press(*keys)
        await self.beat()

    async def beat(self) -> None:
        """Wait until what was told is on the screen."""
        await self.pilot.pause(BEAT)

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for what takes as long as it takes on a busy machine."""
        await until_shown(
            self.pilot, condition, lambda: f"notices: {self.notices()}\n{self.text()}"
        )

    def notices(self) -> list[str]:
        """The messages shown in a corner, oldest first."""
        return [notice.message for notice in self.app._notifications]

    def notice_text(self) -> str:
        """All notices in one text."""
        return "\n".join(self.notices())

    def text(self) -> str:
        """Everything that is drawn."""
        strips = self.app.screen._compositor.render_strips()
        return "\n".join(strip.text.rstrip() for strip in strips)


class CompareStage(Stage):
    """The live screen over a scripted run."""

    def __init__(self, app: DuibiApp, pilot: Pilot[Any], run: ScriptedRun) -> None:
        super().__init__(app, pilot)
        self.run = run

    @property
    def screen(self) -> CompareScreen:
        """The comparison, whatever lies over it."""
        screen = next(s for s in self.app.screen_stack if isinstance(s, CompareScreen))
        assert screen.grid is not None
        return screen

    def pane(self, index: int) -> list[str]:
        """The rows of a pane."""
        return pane_rows(self.screen.grid, index)


@asynccontextmanager
async def comparing(
    *labels: str, size: tuple[int, int] = (120, 36), **options: Any
) -> AsyncIterator[CompareStage]:
    """The live screen with models that are ready."""
    run = ScriptedRun(*labels)
    app = make_app(
        ScreenOptions(**options), lambda look: CompareScreen(look, run, paths.sessions_dir())
    )
    async with app.run_test(size=size) as pilot:
        it = CompareStage(app, pilot, run)
        await it.beat()
        for model in range(len(it.screen.board.models)):
            run.ready(model)
        await it.beat()
        yield it
