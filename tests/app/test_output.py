"""Our output and Textual's own draw the same screen, frame by frame; a slow line thins it."""

import random
from pathlib import Path
from typing import Any

import pyte
from textual._compositor import CompositorUpdate
from textual.app import App

from tests.support.source import ScriptedRun
from tui.app import main
from tui.app.output import _LOST_S, Pace, Writer
from tui.app.screens.compare import CompareScreen
from tui.settings import Settings

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


class Pair:
    """Two emulated terminals: one written by us, one by Textual."""

    def __init__(self, app: App[Any]) -> None:
        self.app, self.frames, self.ours, self.stock = app, 0, 0, 0
        self.size = (0, 0)
        self.writer = Writer(self._write, lambda: 0)

    def _write(self, text: str) -> None:
        self.ours += len(text)
        self.streams[0].feed(text)

    def show(self, update: CompositorUpdate) -> None:
        size = self.app.screen.outer_size
        if size != self.size:
            self.size = size
            self.screens = [pyte.Screen(*size) for _ in range(2)]
            for screen in self.screens:
                screen.reset_mode(pyte.modes.DECAWM)
            self.streams = [pyte.Stream(screen) for screen in self.screens]
        self.writer.draw(update, size, self.app.console)
        self.writer.flush(None, False)
        stock = update.render_segments(self.app.console)
        self.stock += len(stock)
        self.streams[1].feed(stock)
        self.frames += 1
        for y in range(size[1]):
            assert self.row(0, y) == self.row(1, y), f"row {y} of frame {self.frames}"

    def row(self, which: int, y: int) -> list[tuple[Any, ...]]:
        line = self.screens[which].buffer[y]
        return [
            (c.data, c.fg if c.data.strip() else "", c.bg, c.bold, c.underscore, c.reverse)
            for c in (line[x] for x in range(self.size[0]))
        ]


async def test_both_ways_draw_the_same_screen_at_every_frame(
    monkeypatch: Any, tmp_path: Path
) -> None:
    """A long stream into four panes with help, palette, notices, themes and sizes over it."""
    # Textual keeps a style's codes for the first depth of colour it is drawn in.
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.chdir(tmp_path)
    run = ScriptedRun("a", "b@int4", "c", "模型")
    app = main.make_app(Settings(), lambda look: CompareScreen(look, run, Path()))
    pair = Pair(app)
    display = type(app)._display

    def both(self: Any, screen: Any, renderable: Any) -> None:
        if isinstance(renderable, CompositorUpdate):
            pair.show(renderable)
        display(self, screen, renderable)

    monkeypatch.setattr(type(app), "_display", both)
    dice = random.Random(7)
    async with app.run_test(size=(120, 36)) as pilot:
        for model in range(4):
            run.ready(model)
            run.asked(model, model, "logic", "甲乙丙三人中只有一人说真话，谁？")
        keys = [None, "t", "question_mark", "escape", "ctrl+p", "escape", "z", "z", "n", "p", "S"]
        for step in range(220):
            for model in range(4):
                run.tokens(model, model, [dice.choice(WORDS) for _ in range(dice.randrange(5))])
            if (key := keys[(step // 4) % len(keys)]) and step % 4 == 0:
                await pilot.press(key)
            if step % 50 == 49:
                await pilot.resize_terminal(*[(90, 24), (120, 36), (60, 20), (130, 40)][step // 50])
            await pilot.pause(0.01)
        for model in range(4):
            run.answered(model, model)
        await pilot.pause(0.1)
    assert pair.frames > 150
    assert pair.ours * 4 < pair.stock


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_at_most_two_frames_are_unanswered() -> None:
    clock = Clock()
    pace = Pace(clock)
    assert pace.free() and pace.asks() and pace.answered()
    assert pace.asks() and pace.free()
    assert pace.asks() and not pace.free()
    clock.now = 0.3
    assert pace.answered() and pace.free() and pace.round_trip_s == 0.3
    assert pace.asks() and not pace.free()
    clock.now += _LOST_S + 1
    assert pace.free(), "a lost answer must not stop the screen"


def test_a_terminal_that_never_answers_is_left_alone() -> None:
    pace = Pace(Clock())
    assert [pace.asks() for _ in range(5)] == [True, True, True, False, False]
    assert pace.free()


def test_an_answer_nobody_asked_for_is_none() -> None:
    assert not Pace(Clock()).answered()


def test_what_waits_for_the_line_is_drawn_in_one_frame() -> None:
    written: list[str] = []
    waiting = [9]
    writer = Writer(written.append, lambda: waiting[0])
    picture = writer._picture = type(writer._picture)(10, 2)
    for text in ("a", "ab", "abc"):
        picture.put(0, 0, [(c, "") for c in text])
        assert not writer.flush(None, False)
    waiting[0] = 0
    assert writer.flush(None, False)
    assert len(written) == 1 and "abc" in written[0]
