"""The same frames written in two ways: by our output and by Textual's own."""

import random
from pathlib import Path
from typing import Any

import pytest
from textual._compositor import CompositorUpdate
from textual.app import App

from benchmarks.support.scripted_run import ScriptedRun
from tui.app import main
from tui.app.screens.compare import CompareScreen
from tui.app.terminal.terminal_writer import TerminalWriter
from tui.options import ScreenOptions

WORDS = [
    "The ",
    "answer",
    " is",
    "逻辑",
    "推理，",
    "。\n",
    "```py\n",
    "- one\n",
    "👍 ",
    "x = 1",
    "\n\n",
]


KEYS = (
    *(None, "t", "question_mark", "escape", "ctrl+p", "escape", "z", "z", "n", "p", "S"),
    *("slash", "escape", "s", "escape", "d", "escape", "c", "escape", "i", "escape", "t"),
)
"""Help, palette, notices, dialogs and themes, one after the other."""
SIZES = ((90, 24), (120, 36), (60, 20), (130, 40))


class BothOutputs:
    """Takes every frame of an app in both forms."""

    def __init__(self, app: App[Any]) -> None:
        self.app, self.frames = app, 0
        self.ours = self.stock = ""
        """What the newest frame is written as."""
        self.lengths = [0, 0]
        self.size = (0, 0)
        self.writer = TerminalWriter(self._write, lambda: 0)

    def _write(self, text: str) -> None:
        self.ours += text

    def draw_frame(self, update: CompositorUpdate) -> None:
        """A frame of the app."""
        self.size, self.ours = self.app.screen.outer_size, ""
        self.writer.draw(update, self.size, self.app.console)
        self.writer.flush(None, False)
        self.stock = update.render_segments(self.app.console)
        self.lengths = [self.lengths[0] + len(self.ours), self.lengths[1] + len(self.stock)]
        self.frames += 1
        self.show()

    def show(self) -> None:
        """Called with each frame."""

    def cells(self) -> list[list[str]]:
        """The text of each cell of the screen, "" behind a wide character."""
        return [[text for text, _ in row] for row in self.writer._buffer._wanted]


async def stream_frames(
    kind: type[BothOutputs], patch: pytest.MonkeyPatch, steps: int = 120
) -> BothOutputs:
    """A long stream into four panes with help, palette, notices, dialogs, themes and sizes
    over it; its frames are given to a pair of a kind."""
    # Textual keeps a style's codes for the first depth of colour it is drawn in.
    patch.setenv("COLORTERM", "truecolor")
    run = ScriptedRun("a", "b@int4", "c", "模型")
    app = main.make_app(ScreenOptions(), lambda look: CompareScreen(look, run, Path()))
    pair = kind(app)
    display = type(app)._display

    def both(self: Any, screen: Any, renderable: Any) -> None:
        if isinstance(renderable, CompositorUpdate):
            pair.draw_frame(renderable)
        display(self, screen, renderable)

    patch.setattr(type(app), "_display", both)
    dice = random.Random(7)
    async with app.run_test(size=(120, 36)) as pilot:
        for model in range(4):
            run.ready(model)
            run.asked(model, model, "logic", "甲乙丙三人中只有一人说真话，谁？")
        for step in range(steps):
            for model in range(4):
                run.tokens(model, model, [dice.choice(WORDS) for _ in range(dice.randrange(5))])
            if (key := KEYS[(step // 4) % len(KEYS)]) and step % 4 == 0:
                await pilot.press(key)
            if step % 25 == 24:
                await pilot.resize_terminal(*SIZES[step // 25 % len(SIZES)])
            await pilot.pause(0.01)
        for model in range(4):
            run.answered(model, model)
        await pilot.pause(0.1)
    return pair
