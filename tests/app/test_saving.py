"""A disk that refuses, seen from the screen: one red line, a key, nothing lost."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from tests.support.engines import EchoEngine
from tests.support.stage import until_shown
from tui.app.main import make_app
from tui.app.screens.compare import CompareScreen
from tui.board import fold
from tui.host import filesystem
from tui.models.resolved import ResolvedModel
from tui.options import RunOptions, ScreenOptions
from tui.questions import Question, QuestionSet
from tui.run import setup
from tui.run.conductor import Run
from tui.sessions import reader
from tui.sessions.save_fallback import ensure_saved

LONG = " ".join(f"word{i}" for i in range(200))
QUESTIONS = QuestionSet("two", "Two", "en", (Question("a", "", (LONG,)), Question("b", "", ("b",))))


@asynccontextmanager
async def asking(folder: Path) -> AsyncIterator[tuple[Pilot[Any], Run, CompareScreen]]:
    model = ResolvedModel("m", "m", "local", Path("nowhere"), "bf16", "llama", 1000)
    run = setup.begin(
        [model], QUESTIONS, RunOptions(), folder, lambda *_: EchoEngine(token_s=0.001)
    )
    app = make_app(ScreenOptions(), lambda look: CompareScreen(look, run, folder))
    try:
        async with app.run_test(size=(120, 24)) as pilot:
            run.start()
            await until_shown(pilot, lambda: bool(pilot.app.screen.query("AnswerPane")))
            screen = pilot.app.screen
            assert isinstance(screen, CompareScreen)
            yield pilot, run, screen
    finally:
        run.close("closed")


async def test_answers_go_on_beside_a_red_line_and_a_key_saves_them_elsewhere(
    tmp_path: Path, limited: Callable[[int], None]
) -> None:
    async with asking(tmp_path / "full") as (pilot, run, screen):
        old = run.path
        limited(old.stat().st_size + 2000)
        await pilot.press("enter")
        await until_shown(pilot, lambda: "NOT SAVED: File too large" in screen.status_bar.text)
        assert "(W: elsewhere)" in screen.status_bar.text
        await until_shown(
            pilot, lambda: not screen.board.open_answers() and bool(screen.board.answers)
        )
        assert screen.board.answers[0].text.split() == LONG.split(), "the answer goes on"
        await pilot.press("q")
        assert pilot.app._exit is False
        assert "Not everything is saved" in [n.message for n in pilot.app._notifications][-1]
        limited(-1)
        await pilot.press("W")
        await until_shown(pilot, lambda: any(w.has_focus for w in screen.query("#ask-line > *")))
        await pilot.press("ctrl+u", *str(tmp_path / "roomy"), "enter")
        await until_shown(pilot, lambda: run.path.parent == tmp_path / "roomy")
        await until_shown(pilot, lambda: "NOT SAVED" not in screen.status_bar.text)
        await pilot.press("n", "enter")
        await until_shown(pilot, lambda: len(screen.board.answers) == 2)
        await until_shown(pilot, lambda: not screen.board.open_answers())
    run.close("closed")
    reading = reader.read(tmp_path / "roomy" / old.name)
    assert reading.verdict == "complete"
    assert [a.text.split() for a in fold(reading.events).answers.values()] == [LONG.split(), ["b"]]
    assert reader.read(old).verdict == "interrupted"


async def test_who_leaves_all_the_same_finds_the_session_elsewhere(
    tmp_path: Path, limited: Callable[[int], None]
) -> None:
    async with asking(tmp_path / "full") as (pilot, run, _):
        limited(run.path.stat().st_size + 500)
        await pilot.press("enter")
        await until_shown(pilot, lambda: bool(run.save_state.error) and run.is_idle)
        run.close("closed")
        limited(-1)
        words = ensure_saved(run)
    assert words.startswith("File too large: the whole session is in ")
    path = tmp_path / "duibi-cache" / "rescued" / run.path.name
    assert words.endswith(str(path)) and run.path == path
    reading = reader.read(path)
    assert reading.verdict == "complete"
    assert fold(reading.events).answers[0].text.split() == LONG.split()
    assert ensure_saved(run) == ""


async def test_a_network_folder_is_told_in_the_screen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = tmp_path.resolve() / "bucket"
    bucket.mkdir()
    monkeypatch.setattr(filesystem, "is_remote", lambda path: path.resolve().is_relative_to(bucket))
    async with asking(bucket) as (pilot, run, screen):
        notices = [notice.message for notice in pilot.app._notifications]
        assert any("is a network disk" in text and str(bucket) in text for text in notices)
        await pilot.press("enter")
        await until_shown(pilot, lambda: "saved here, copied at the end" in screen.status_bar.text)
        assert list(bucket.iterdir()) == []
    assert ensure_saved(run) == f"the session was copied to {bucket}"
    assert reader.read(bucket / run.path.name).verdict == "complete"
