"""What a pane shows of a model behind HTTP: thoughts apart, estimates as such, repetitions,
what is kept of a broken stream, and an answer asked for again."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.pilot import Pilot

from benchmarks.support.fault_server import (
    FaultServer,
    Received,
    Reply,
    error_status,
    good_answer,
    hang_up,
)
from tests.support.endpoints import clear_proxies, free_port
from tests.support.stage import pane_rows, until_shown
from tui import questions as question_sets
from tui.app.main import make_app
from tui.app.screens.compare import CompareScreen
from tui.cli.support import options
from tui.run.setup import begin
from tui.settings import Settings


@asynccontextmanager
async def panes(url: str, folder: Path) -> AsyncIterator[tuple[Pilot[None], CompareScreen]]:
    """The screen of one model at ``url``, which is asked the first question at once."""
    settings = Settings(sessions=folder)
    run = begin(
        options.resolve_models([f"{url}#m"], settings),
        question_sets.load("smoke"),
        settings.run,
        settings.sessions_dir,
        interactive=True,
    )
    app = make_app(settings.screen, lambda look: CompareScreen(look, run, settings.sessions_dir))
    try:
        async with app.run_test(size=(100, 40)) as pilot:
            run.start()
            await until_shown(pilot, lambda: isinstance(app.screen, CompareScreen))
            assert isinstance(app.screen, CompareScreen)
            yield pilot, app.screen
    finally:
        run.close("closed")


async def shown_when(pilot: Pilot[None], screen: CompareScreen, seen: Callable[[str], bool]) -> str:
    """The text of the pane, header and all, once it is as wanted."""

    def shown() -> str:
        return "\n".join(pane_rows(screen.grid, 0)) if screen.grid is not None else ""

    await until_shown(pilot, lambda: seen(shown()), shown)
    return shown()


async def test_all_that_a_service_does_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clear_proxies(monkeypatch)

    def behave(reply: Reply, received: Received) -> None:
        if received.number == 0:
            return error_status(429, "slowly", Retry_After="0.05")(reply, received)
        if received.number == 3:
            return good_answer("At last.")(reply, received)
        reply.head()
        if received.number == 1:
            reply.data({"choices": [{"delta": {"reasoning_content": "Let me see"}}]})
        for word in ("It is ", "half ", "past ", "nine"):
            time.sleep(0.02)
            reply.token(word)
        if received.number == 2:
            return hang_up(reply)
        reply.finish()
        return reply.done()

    with FaultServer(behave) as server:
        async with panes(server.url, tmp_path) as (pilot, screen):
            await pilot.press("enter")
            shown = await shown_when(pilot, screen, lambda t: "done" in t and "tok/s" in t)
            assert "┊ Let me see" in shown and "┊ It is" not in shown
            assert "It is half past nine" in shown
            assert "HTTP 429: slowly; trying again in 0.05 s (1 of 2)" in shown
            assert " ~" in shown and "tok/s" in shown
            await pilot.press("r")
            shown = await shown_when(pilot, screen, lambda text: "✗" in text)
            assert "It is half past nine" in shown and "broke the stream off" in shown
            assert "→ ask again; what came is kept" in shown
            assert not server.requests[-1].body["messages"][1:]
            await pilot.press("r")
            shown = await shown_when(pilot, screen, lambda text: "At last." in text)
            assert "✗" not in shown and "half past" not in shown
        assert server.asked == 4
    states = [answer.state for answer in screen.board.answers.values()]
    assert states == ["answered", "failed", "answered"]


async def test_a_server_that_is_not_there_yet_is_asked_before_the_readers_eyes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clear_proxies(monkeypatch)
    monkeypatch.setattr("tui.engines.endpoint.FIRST_BACKOFF_S", 0.3)
    port = free_port()
    async with panes(f"http://127.0.0.1:{port}/v1", tmp_path) as (pilot, screen):
        first = "nothing listens at 127.0.0.1:" + f"{port}; trying again in 0.3 s (1 of 2)"
        shown = await shown_when(pilot, screen, lambda text: first in " ".join(text.split()))
        assert "asking the service" in shown
        shown = await shown_when(pilot, screen, lambda text: "✗" in text)
        assert "(2 of 2)" in shown and "start the server" in shown
        assert screen.board.models[0].state == "failed"
