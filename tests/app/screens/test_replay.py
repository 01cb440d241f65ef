"""Every key of the replay screen, on a session the real journal wrote."""

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from benchmarks.support.sessions import write_session
from tests.support.clock import Clock
from tests.support.stage import BEAT, Stage, pane_rows
from tui import events as ev
from tui.app.app import DuibiApp
from tui.app.main import make_app
from tui.app.screens.replay import ReplayScreen
from tui.options import ScreenOptions
from tui.sessions.journal import Journal
from tui.sessions.player import Player
from tui.sessions.reader import read
from tui.text.units import parse_clock


class ReplayStage(Stage):
    def __init__(
        self, app: DuibiApp, pilot: Pilot[Any], screen: ReplayScreen, clock: Clock
    ) -> None:
        super().__init__(app, pilot)
        self.screen, self.clock = screen, clock
        self.player = screen.player

    async def wait(self, seconds: float) -> None:
        self.clock.now += seconds
        await self.pilot.pause(BEAT)

    def pane(self, index: int) -> str:
        return "\n".join(pane_rows(self.screen.grid, index))


@asynccontextmanager
async def replaying(
    folder: Path, path: Path | None = None, width: int = 120, **session: Any
) -> AsyncIterator[ReplayStage]:
    path = path or write_session(folder, **session)
    clock = Clock()
    player = Player(read(path).events, clock)
    app = make_app(ScreenOptions(), lambda look: ReplayScreen(look, player, path, folder))
    async with app.run_test(size=(width, 30)) as pilot:
        await pilot.pause(BEAT)
        screen = app.screen
        assert isinstance(screen, ReplayScreen)
        yield ReplayStage(app, pilot, screen, clock)


async def test_escape_ends_a_search_before_it_leaves(tmp_path: Path) -> None:
    async with replaying(tmp_path) as it:
        await it.wait(100.0)
        await it.press("slash", *"word", "enter")
        assert it.screen.grid is not None and it.screen.grid.pane.search_query == "word"
        await it.press("escape")
        assert it.app.screen is it.screen and not it.screen.grid.pane.search_query
        await it.press("escape")
        await it.pilot.pause(BEAT)
        assert it.app.screen is not it.screen or not it.app.is_running


async def test_it_plays_in_time_and_follows_the_question(tmp_path: Path) -> None:
    async with replaying(tmp_path, tokens=100) as it:
        assert "waiting" in it.pane(0)
        await it.wait(1.0)
        assert "prefill" in it.pane(0) and "Is water wet?" in it.screen.question_bar.text
        await it.wait(-1.0)
        await it.wait(2.0)
        assert "word0.49" in it.pane(0) and "word1.49" in it.pane(1)
        assert "word0.99" not in it.pane(0) and "1/2  logic" in it.screen.question_bar.text
        await it.wait(2.0)
        assert it.screen.question == "q2" and "答0." in it.pane(0)
        await it.wait(10.0)
        assert it.player.has_ended and "the end" in it.screen.transport.text


async def test_pausing_and_speeds(tmp_path: Path) -> None:
    async with replaying(tmp_path, tokens=100) as it:
        await it.press("space")
        assert not it.player.is_playing and "paused" in it.screen.transport.text
        await it.press("space")
        assert it.player.is_playing and "1x" in it.screen.transport.text
        for speed in (2, 4, 8, 8):
            await it.press("greater_than_sign")
            assert it.player.speed == speed and f"{speed}x" in it.screen.transport.text
        await it.press("less_than_sign")
        assert it.player.speed == 4


async def test_seeking_and_single_tokens(tmp_path: Path) -> None:
    async with replaying(tmp_path, tokens=1000) as it:
        await it.press("space", "right")
        assert it.player.position_us == 5_000_000
        before = it.pane(0)
        await it.press("full_stop", "full_stop")
        assert it.pane(0) != before
        await it.press("left")
        assert it.player.position_us < 100_000 and "word" not in it.pane(0)


async def test_a_token_back_and_a_time_that_is_typed(tmp_path: Path) -> None:
    async with replaying(tmp_path, tokens=100) as it:
        await it.press("space", *["full_stop"] * 4)
        assert "word0.1" in it.pane(0) and "word1.1" in it.pane(1)
        await it.press("comma")
        assert "word0.1" in it.pane(0) and "word1.1" not in it.pane(1)
        assert "word1.0" in it.pane(1)
        await it.press("colon")
        await it.press(*"0:02.5", "enter")
        assert it.player.position_us == 2_500_000 and not it.player.is_playing
        assert "word0.74" in it.pane(0) and "word0.75" not in it.pane(0)
        await it.press("colon")
        await it.press(*"x", "enter")
        assert it.player.position_us == 2_500_000


@pytest.mark.parametrize(
    ("text", "us"),
    [("0:07", 7_000_000), ("1:02:03", 3_723_000_000), ("83", 83_000_000), (" 1.5 ", 1_500_000)]
    + [(text, None) for text in ("", "1:", ":1", "-1", "1e3", "a", "1:2:3:4", "٣", "9" * 99)],
)
def test_a_time_as_people_write_it(text: str, us: int | None) -> None:
    assert parse_clock(text) == us


async def test_the_status_bar_says_memory_and_speed_as_they_were(tmp_path: Path) -> None:
    """At each place of the recording, also after going back."""
    path = write_session(tmp_path, status="", tokens=1)
    journal = Journal.reopen(path)
    for t_us, model, body in (
        (3_000_000, 0, ev.Memory(private=120_000_000, mapped=200_000_000)),
        (3_000_000, -1, ev.Memory(used=5_000_000_000, limit=16_000_000_000)),
        (4_000_000, 0, ev.Asked(8, "q1", "Again?", 1)),
        (4_000_000, 0, ev.Started(8, prompt_tokens=3)),
        (4_500_000, 0, ev.Delta(8, text="yes")),
        (6_000_000, 0, ev.Memory(private=3_000_000_000, mapped=200_000_000)),
        (6_000_000, -1, ev.Memory(used=9_000_000_000, limit=16_000_000_000)),
        (6_500_000, 0, ev.Answered(8, "stop", 3, 1, ttft_ms=512.0, e2e_ms=900.0, chars_s=7.5)),
    ):
        journal.append(t_us, model, body)
    journal.close("done")
    async with replaying(tmp_path, path, width=250) as it:
        it.player.pause()
        for seconds, said, unsaid in (
            (3.5, ("120 MB", "5.0 GB", "16 GB"), ("3.0 GB", "512 ms")),
            (7.0, ("3.0 GB", "9.0 GB", "16 GB", "512 ms"), ("120 MB", "5.0 GB")),
            (3.5, ("120 MB", "5.0 GB", "16 GB"), ("3.0 GB", "512 ms")),
        ):
            await it.press("colon")
            await it.press(*str(seconds), "enter")
            for word in said:
                assert word in it.screen.status_bar.text, (seconds, it.screen.status_bar.text)
            for word in unsaid:
                assert word not in it.screen.status_bar.text, (seconds, it.screen.status_bar.text)


async def test_steps_by_question(tmp_path: Path) -> None:
    async with replaying(tmp_path, tokens=50) as it:
        await it.press("space", "n", "n")
        assert it.screen.question == "q2" and "word" not in it.pane(0)
        await it.press("p")
        assert it.screen.question == "q1"
        await it.press("right_square_bracket")
        assert it.screen.question == "q2"
        await it.press("left_square_bracket")
        assert it.screen.question == "q1"
        await it.press("2")
        assert it.screen.question == "q2"
        await it.press("1")
        assert it.screen.question == "q1"


async def test_all_at_once_then_looking_around_and_again(tmp_path: Path) -> None:
    async with replaying(tmp_path, tokens=50) as it:
        await it.press("m")
        assert it.player.speed == math.inf and it.player.has_ended
        assert it.screen.question == "q2" and "0.49" in it.pane(0)
        await it.press("n")
        assert it.screen.question == "q1" and "word0.49" in it.pane(0)
        await it.press("space")
        assert not it.player.has_ended and "word0.49" not in it.pane(0)


async def test_a_session_that_broke_off_is_shown_to_its_end(tmp_path: Path) -> None:
    async with replaying(tmp_path, models=1, tokens=5, status="") as it:
        await it.wait(60)
        assert "答0.4" in it.pane(0) and "demo@fp32  waiting" in it.pane(1)
        await it.press("q")
        assert it.screen.app.return_value == 0
