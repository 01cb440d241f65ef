"""Notices: one at a time, above what one types into, and whole in every way of drawing them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape
from pathlib import Path

import pytest
from textual.widgets._toast import Toast

from benchmarks.support.scripted_run import ScriptedRun
from tests.support.stage import CompareStage, until_shown
from tui.app.main import make_app
from tui.app.screens.compare import CompareScreen
from tui.host.errors import UserError
from tui.options import ScreenOptions

CHINESE = "甲乙丙三人中只有一人说真话。" * 60


@asynccontextmanager
async def notified(size: tuple[int, int], lang: str = "en") -> AsyncIterator[CompareStage]:
    run = ScriptedRun()
    app = make_app(ScreenOptions(lang=lang), lambda look: CompareScreen(look, run, Path()))
    async with app.run_test(size=size, notifications=True) as pilot:
        it = CompareStage(app, pilot, run)
        await it.until(lambda: isinstance(app.screen, CompareScreen) and app.screen.grid)
        for model in (0, 1):
            run.ready(model)
            run.asked(model, model, "logic")
            run.tokens(model, model, [CHINESE])
            run.answered(model, model)
        await it.beat()
        yield it


async def shown(it: CompareStage, text: str) -> list[Toast]:
    """The notices on the screen, once one says ``text`` and all have their place."""

    def toasts() -> list[Toast]:
        return list(it.app.screen.query(Toast))

    await until_shown(
        it.pilot,
        lambda: (
            any(text in str(one.render()) for one in toasts())
            and all(one.region for one in toasts())
        ),
        lambda: it.notices(),
    )
    return toasts()


async def test_the_newest_takes_the_place_of_the_one_before_and_an_error_stays() -> None:
    async with notified((80, 24)) as it:
        for number in range(4):
            it.screen.show_notice(f"notice {number}")
        await it.until(lambda: it.notices() == ["notice 3"])
        it.screen.show_error(UserError("it is full", "make room"))
        it.screen.show_notice("notice 4")
        it.screen.show_notice("notice 5")
        await it.until(lambda: it.notices() == ["it is full\n→ make room", "notice 5"])
        toasts = await shown(it, "notice 5")
        await it.until(lambda: len(list(it.app.screen.query(Toast))) == 2)
        assert min(one.region.y for one in toasts) > 12


@pytest.mark.parametrize("size", [(120, 36), (80, 24), (60, 16)])
async def test_what_is_typed_is_not_covered(size: tuple[int, int]) -> None:
    async with notified(size) as it:
        await it.press("i")
        await it.press(*"abc", "ctrl+j", *"def", "ctrl+j", *"ghi")
        it.screen.show_notice("one")
        toasts = await shown(it, "one")
        await it.until(
            lambda: max(one.region.bottom for one in toasts) <= it.screen.prompt.region.y
        )
        await it.press("escape")
        await it.press("c")
        it.screen.show_notice("two")
        toasts = await shown(it, "two")
        line = it.app.screen.query_one("#ask-line")
        await it.until(lambda: max(one.region.bottom for one in toasts) <= line.region.y)


@pytest.mark.parametrize("width", [80, 81])
async def test_no_character_of_a_notice_is_lost_where_panes_end_below_it(width: int) -> None:
    words = "这一条通知足够长，正好横跨两个窗格，不能少字。"
    async with notified((width, 24), "zh") as it:
        it.screen.show_notice(words)
        await shown(it, words)
        await it.until(lambda: words in it.text())
        drawn = unescape(it.app.export_screenshot()).replace("\xa0", " ")
        assert words in drawn
