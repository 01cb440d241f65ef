"""The library by keys: found, opened, followed, compared, deleted and brought back."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.support.sessions import HEADER, write_session
from tests.support.stage import BEAT, Stage
from tui import events as ev
from tui.app import main
from tui.app.main import make_app
from tui.app.screens.library import LibraryScreen
from tui.app.screens.replay import ReplayScreen
from tui.app.screens.results import SessionToResume
from tui.board import fold
from tui.models.reference import parse_reference
from tui.options import ScreenOptions
from tui.sessions import library
from tui.sessions.follow import Follower
from tui.sessions.journal import Journal
from tui.sessions.reader import read
from tui.sessions.search import SearchIndex


class LibraryStage(Stage):
    @property
    def screen(self) -> LibraryScreen:
        return next(s for s in self.app.screen_stack if isinstance(s, LibraryScreen))


@asynccontextmanager
async def looking(folder: Path, size: tuple[int, int] = (100, 30)) -> AsyncIterator[LibraryStage]:
    app = make_app(ScreenOptions(), lambda look: LibraryScreen(look, folder))
    async with app.run_test(size=size) as pilot:
        await pilot.pause(BEAT)
        yield LibraryStage(app, pilot)


def session(folder: Path, started: str, status: str = "done", text: str = "", **more: Any) -> Path:
    """A session of another day; ``text`` stands in its one more question."""
    questions = HEADER.questions
    if text:
        listed = [*questions["questions"], {"id": "q3", "category": "", "turns": [text]}]
        questions = {**questions, "title": "Three", "questions": listed}
    header = replace(HEADER, started=started, models=HEADER.models[:2], questions=questions)
    return write_session(folder, header=header, status=status, **more)


async def test_sessions_stand_under_their_day_with_progress_and_verdict(tmp_path: Path) -> None:
    session(tmp_path, "2026-11-20T09:00:00Z")
    session(tmp_path, "2026-11-22T10:00:00Z", status="", text="more")
    session(tmp_path, "2026-11-22T11:00:00Z")
    (tmp_path / "broken.duibi").write_text("nonsense\n")
    async with looking(tmp_path) as it:
        rows = [line.strip() for line in it.text().splitlines() if line.strip()]
        days = [line for line in rows if line.startswith(("2026-", "without"))]
        assert days == ["2026-11-22", "2026-11-20", "without a date"]
        assert "4 sessions" in rows[0]
        first, second = rows[3], rows[4]
        assert "11:00  demo@bf16  demo@fp32" in first and "4/4 answers  complete  0:01" in first
        assert "Three" in second and "6/6 answers  interrupted" in second
        assert "no session header" in it.text()


async def test_a_session_gets_a_title_with_tags_and_is_found_by_them(tmp_path: Path) -> None:
    path = session(tmp_path, "2026-11-20T09:00:00Z")
    async with looking(tmp_path) as it:
        await it.press("T")
        await it.press(*"week", "space", *"#course", "enter")
        await it.until(lambda: "09:00  week #course" in it.text())
        assert "demo@bf16  demo@fp32  Two questions" in it.text()
        await it.press("slash", *"course")
        await it.until(lambda: "Found in 1 session" in it.text())
        await it.press("escape", "T")
        await it.press(*"two", "enter")
        await it.until(lambda: "09:00  two" in it.text())
    assert library.entry_of(path).title == "two" and read(path).verdict == "complete"
    assert fold(read(path).events).title == "two" and not fold(read(path).events).notes


async def test_a_file_that_is_whole_with_few_answers_is_not_called_complete(tmp_path: Path) -> None:
    write_session(tmp_path, header=HEADER, models=1)
    async with looking(tmp_path) as it:
        assert "answers  partly failed" in it.text() and "complete" not in it.text()


async def test_search_as_one_types_finds_answers_and_questions(tmp_path: Path) -> None:
    session(tmp_path, "2026-11-20T09:00:00Z")
    session(tmp_path, "2026-11-21T09:00:00Z", text="上海有多少座桥？")
    async with looking(tmp_path) as it:
        await it.press("slash", *"桥")
        await it.until(lambda: "Found in 1 session" in it.text())
        assert "2026-11-21 09:00" in it.text() and "多少座桥" in it.text()
        await it.press("escape")
        assert "2026-11-20" in it.text() and len(it.screen.menu.items) == 2
        await it.press("slash", *"word1")
        await it.until(lambda: "Found in 2 sessions" in it.text())
        assert "q1  demo@fp32" in it.text()
        await it.press("enter", "enter")
        await it.until(lambda: isinstance(it.app.screen, ReplayScreen))
        await it.press("escape")
        assert it.app.screen is it.screen


async def test_what_is_found_while_sessions_are_read_is_shown_and_typing_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An index of hundreds of sessions takes its time: neither hits nor keys wait for it."""
    one = session(tmp_path, "2026-11-20T09:00:00Z").read_bytes()
    for number in range(5):
        (tmp_path / f"20261120T090000Z-{number:08x}.duibi").write_bytes(one)
    go_on = threading.Event()
    add = SearchIndex._add

    def slow(index: SearchIndex, path: str, stamp: tuple[int, int]) -> None:
        add(index, path, stamp)
        go_on.wait(30)
        time.sleep(0.01)

    monkeypatch.setattr(SearchIndex, "_add", slow)
    monkeypatch.setattr("tui.app.screens.library._PARTIAL_S", 0.0)
    async with looking(tmp_path) as it:
        await it.press("slash", *"word1")
        await it.until(lambda: "Reading sessions: 0 of 6" in it.text())
        assert "Found in 0 sessions" in it.text()
        await it.press("x")
        go_on.set()
        await it.until(lambda: "6 sessions" in it.text() and "Found in 0 sessions" in it.text())
        await it.press("backspace")
        await it.until(lambda: "Found in 6 sessions" in it.text())


async def test_open_shows_the_end_and_replay_the_beginning(tmp_path: Path) -> None:
    session(tmp_path, "2026-11-20T09:00:00Z", tokens=200)
    async with looking(tmp_path) as it:
        await it.press("enter")
        screen = it.app.screen
        assert isinstance(screen, ReplayScreen) and screen.player.has_ended
        await it.press("l")
        assert it.app.screen is it.screen
        await it.press("r")
        screen = it.app.screen
        assert isinstance(screen, ReplayScreen) and not screen.player.has_ended
        await it.until(lambda: "word" in it.text())
        assert "waits cut to 1 s" in screen.transport.text


async def test_a_running_session_is_followed(tmp_path: Path) -> None:
    journal = Journal.reopen(session(tmp_path, "2026-11-20T09:00:00Z", status=""))
    try:
        async with looking(tmp_path) as it:
            assert "running" in it.text()
            await it.press("D")
            assert "being written" in it.notice_text()
            await it.press("enter")
            screen = it.app.screen
            assert isinstance(screen, ReplayScreen) and isinstance(screen.player, Follower)
            await it.until(lambda: "live" in screen.transport.text)
            journal.append(9_000_000, 0, ev.Asked(9, "q1", "And now?", 1))
            journal.append(9_000_000, 0, ev.Delta(9, text="something new"))
            await it.press("1")
            await it.until(lambda: "something new" in it.text())
    finally:
        await asyncio.to_thread(journal.close)


async def test_two_sessions_of_the_same_questions_are_compared(tmp_path: Path) -> None:
    old = session(tmp_path, "2026-11-20T09:00:00Z")
    session(tmp_path, "2026-11-22T10:00:00Z", tokens=9)
    session(tmp_path, "2026-11-22T11:00:00Z", text="another")
    async with looking(tmp_path, size=(160, 40)) as it:
        await it.press("m")
        assert "Mark two sessions" in it.notice_text()
        await it.press("space", "down", "space", "m")
        assert "asked different questions" in it.notice_text()
        await it.press("up", "space", "down", "down", "space")
        assert "2 marked" in it.text()
        await it.press("m")
        screen = it.app.screen
        assert isinstance(screen, ReplayScreen)
        labels = [model.label for model in screen.visible_board.models]
        assert labels[0] == "demo@bf16 11-22 10:00" and labels[2] == "demo@bf16 11-20 09:00"
        await it.press("1")
        assert "word0.8" in it.text() and "word0.4" in it.text()
        before = old.read_bytes()
        await it.press("s", "5")
        assert "open one of them" in it.notice_text() and old.read_bytes() == before


async def test_deleting_is_undone(tmp_path: Path) -> None:
    path = session(tmp_path, "2026-11-20T09:00:00Z")
    content = path.read_bytes()
    async with looking(tmp_path) as it:
        await it.press("u")
        assert "Nothing was deleted" in it.notice_text()
        await it.press("D")
        assert not path.exists() and "0 sessions" in it.text() and library.trashed(tmp_path)
        await it.press("u")
        assert path.read_bytes() == content and "1 session" in it.text()
        await it.press("D")
    async with looking(tmp_path) as it:
        await it.press("u")
        assert path.read_bytes() == content


async def test_only_an_interrupted_session_goes_on(tmp_path: Path) -> None:
    broken_off = session(tmp_path, "2026-11-20T09:00:00Z", status="")
    session(tmp_path, "2026-11-22T09:00:00Z")
    async with looking(tmp_path) as it:
        await it.press("c")
        assert "this one is complete" in it.notice_text()
        await it.press("down", "c")
        assert it.app.return_value == SessionToResume(broken_off)


async def test_a_report_of_the_marked_sessions(tmp_path: Path) -> None:
    session(tmp_path, "2026-11-20T09:00:00Z")
    session(tmp_path, "2026-11-22T10:00:00Z")
    async with looking(tmp_path) as it:
        await it.press("space", "down", "space", "e")
        await it.until(lambda: "The whole, to hand in" in it.text())
        await it.press("enter")
        await it.until(lambda: "-and-more-report.html" in it.notice_text())
    (markdown,) = tmp_path.glob("*-report.md")
    assert "demo@bf16" in markdown.read_text()


async def test_many_sessions_are_listed_and_scrolled(tmp_path: Path) -> None:
    one = session(tmp_path, "2026-11-20T09:00:00Z").read_bytes()
    for number in range(300):
        (tmp_path / f"20261120T090000Z-{number:08x}.duibi").write_bytes(one)
    async with looking(tmp_path) as it:
        assert "301 sessions" in it.text()
        await it.press("end")
        assert it.screen.chosen == it.screen._entries[-1]
        assert it.screen.menu.render_line(it.screen.menu.size.height - 1).text.strip()


def test_what_is_chosen_to_go_on_is_handed_to_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = session(tmp_path, "2026-11-20T09:00:00Z", status="")
    monkeypatch.setattr(main, "_run", lambda app, options: SessionToResume(path))
    asked: list[str] = []

    def open_session(name: str) -> int:
        asked.append(name)
        return 7

    ways = (lambda *_: 1, open_session, parse_reference)
    code = main.show_start(ScreenOptions(), tmp_path, list, "tongji", *ways)
    assert code == 7 and asked == [str(path)]
