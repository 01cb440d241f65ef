"""Our output and Textual's own draw the same screen, frame by frame; a slow line thins it."""

from pathlib import Path
from typing import Any

import pyte
import pytest

from tests.support.both_outputs import BothOutputs, stream_frames
from tests.support.clock import Clock
from tui.app.terminal.terminal_writer import _ANSWER_TIMEOUT_S, FlowControl, TerminalWriter


class OnPyte(BothOutputs):
    """Two emulated terminals: one written by us, one by Textual."""

    drawn = (0, 0)

    def show(self) -> None:
        if self.size != self.drawn:
            self.drawn = self.size
            self.screens = [pyte.Screen(*self.size) for _ in range(2)]
            for screen in self.screens:
                screen.reset_mode(pyte.modes.DECAWM)
            self.streams = [pyte.Stream(screen) for screen in self.screens]
        for terminal, text in zip(self.streams, (self.ours, self.stock), strict=True):
            terminal.feed(text)
        # The others are as they were compared before.
        for y in set().union(*(screen.dirty for screen in self.screens)):
            assert self.row(0, y) == self.row(1, y), f"row {y} of frame {self.frames}"
        for screen in self.screens:
            screen.dirty.clear()

    def row(self, which: int, y: int) -> list[tuple[Any, ...]]:
        line = self.screens[which].buffer[y]
        return [
            (c.data, c.fg if c.data.strip() else "", c.bg, c.bold, c.underscore, c.reverse)
            for c in (line[x] for x in range(self.size[0]))
        ]


async def test_both_ways_draw_the_same_screen_at_every_frame(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    pair = await stream_frames(OnPyte, monkeypatch)
    assert pair.frames > 90
    assert pair.lengths[0] * 4 < pair.lengths[1]


def test_at_most_two_frames_are_unanswered() -> None:
    clock = Clock()
    pace = FlowControl(clock)
    assert pace.has_room() and pace.begin_query(900) and pace.take_answer()
    assert pace.begin_query(900) and pace.has_room()
    assert pace.begin_query(900) and not pace.has_room()
    clock.now = 0.3
    assert pace.take_answer() and pace.has_room() and pace.round_trip_s == 0.3
    assert pace.begin_query(900) and not pace.has_room()
    clock.now += _ANSWER_TIMEOUT_S + 1
    assert pace.has_room(), "a lost answer must not stop the screen"


def test_a_few_bytes_never_wait() -> None:
    pace = FlowControl(Clock())
    assert pace.begin_query(100) and pace.take_answer()
    assert pace.begin_query(100) and pace.begin_query(100) and pace.has_room(), (
        "a key is not held up by these"
    )
    assert pace.begin_query(900) and not pace.has_room()


def test_a_terminal_that_never_answers_is_left_alone() -> None:
    pace = FlowControl(Clock())
    assert [pace.begin_query(900) for _ in range(5)] == [True, True, True, False, False]
    assert pace.has_room()


def test_an_answer_nobody_asked_for_is_none() -> None:
    assert not FlowControl(Clock()).take_answer()


def test_what_waits_for_the_line_is_drawn_in_one_frame() -> None:
    written: list[str] = []
    waiting = [9]
    writer = TerminalWriter(written.append, lambda: waiting[0])
    picture = writer._buffer = type(writer._buffer)(10, 2)
    for text in ("a", "ab", "abc"):
        picture.set_cells(0, 0, [(c, "") for c in text])
        assert not writer.flush(None, False)
    waiting[0] = 0
    assert writer.flush(None, False)
    assert len(written) == 1 and "abc" in written[0]
