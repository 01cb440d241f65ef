"""Every key of every screen reaches its action; what the actions do is tested with them."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from benchmarks.support.sessions import write_session
from tests.support.stage import comparing, until_shown
from tui.app import open_session
from tui.app.app import DuibiApp
from tui.app.main import make_app, start_screen
from tui.app.screens.differences import DifferencesScreen
from tui.app.screens.help import HelpScreen
from tui.app.screens.library import LibraryScreen
from tui.app.widgets.keys_bar import active_keys
from tui.models.reference import parse_reference
from tui.options import ScreenOptions

SCREEN = {
    "n": "step(1)",
    "p": "step(-1)",
    "enter": "ask",
    "r": "ask_again",
    "escape": "cancel",
    "tab": "next_focus(1)",
    "z": "zoom",
    "d": "differences",
    "s": "stars",
    "v": "votes",
    "b": "blind",
    "y": "copy",
    "e": "export",
    "S": "screenshot",
    "t": "next_theme",
    "question_mark": "help",
    "q": "leave",
    "j": "scroll(1)",
    "k": "scroll(-1)",
    "g": "top",
    "G": "end",
    "slash": "find",
    "ctrl+p": "command_palette",
    "ctrl+d": "page(0.5)",
    "ctrl+u": "page(-0.5)",
    **{str(n): f"jump({n})" for n in range(1, 10)},
}
"""The keys of the design, with a pane in focus, and what each is for."""


class Keys:
    """Presses keys in an app whose actions are written down instead of done."""

    def __init__(self, app: DuibiApp, pilot: Pilot[Any], patch: pytest.MonkeyPatch) -> None:
        self.app, self.pilot = app, pilot
        self.ran: list[str] = []

        async def run_action(action: Any, *_: Any, **__: Any) -> bool:
            self.ran.append(action)
            return True

        patch.setattr(app, "run_action", run_action)

    async def check_all(self) -> set[str]:
        """Press every key that applies; the ids of the bindings that were reached."""
        found = set()
        for key, active in list(self.app.screen.active_bindings.items()):
            if not (active.enabled and active.binding.id):
                continue
            self.ran.clear()
            await self.pilot.press(key)
            assert self.ran == [active.binding.action], key
            found.add(active.binding.id)
        return found


async def test_the_keys_of_the_design(monkeypatch: pytest.MonkeyPatch) -> None:
    async with comparing() as it:
        keys = Keys(it.app, it.pilot, monkeypatch)
        for key, action in SCREEN.items():
            keys.ran.clear()
            await it.pilot.press(key)
            assert [ran.removeprefix("app.") for ran in keys.ran] == [action], key


async def test_every_key_of_a_comparison_and_its_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    async with comparing() as it:
        keys = Keys(it.app, it.pilot, monkeypatch)
        panes = await keys.check_all()
        assert {"answer.ask", "pane.find", "session.elsewhere", "pane.top"} <= panes
        shown = {id_ for id_, *_ in active_keys(it.screen)}
        assert shown == panes, "the help has them all"
        it.screen.prompt.focus()
        await it.beat()
        prompt = await keys.check_all()
        assert {"prompt.send", "prompt.line_break", "prompt.leave", "app.stop"} <= prompt


def active_ids(app: DuibiApp) -> set[str]:
    """The bindings whose keys act now."""
    bindings = app.screen.active_bindings.values()
    return {active.binding.id for active in bindings if active.enabled and active.binding.id}


async def _replay(app: DuibiApp, tmp_path: Path) -> None:
    path = write_session(tmp_path / "s")
    await app.push_screen(
        open_session.replay_screen(app.appearance, path, tmp_path / "s", at_once=True)
    )


async def _library(app: DuibiApp, tmp_path: Path) -> None:
    write_session(tmp_path / "s")
    await app.push_screen(LibraryScreen(app.appearance, tmp_path / "s"))


async def _differences(app: DuibiApp, tmp_path: Path) -> None:
    await _replay(app, tmp_path)
    screen: Any = app.screen
    await app.push_screen(DifferencesScreen(app.appearance, screen, 0))


async def _help(app: DuibiApp, tmp_path: Path) -> None:
    await app.push_screen(HelpScreen(app.appearance, app.screen))


async def _nothing(app: DuibiApp, tmp_path: Path) -> None:
    """The start screen itself."""


@pytest.mark.parametrize(
    ("go", "ids"),
    [
        (_nothing, {"menu.open", "menu.mark", "start.models", "start.library", "menu.9"}),
        (_replay, {"replay.toggle", "replay.back", "replay.faster", "replay.token", "judge.votes"}),
        (_library, {"library.search", "library.delete", "library.undo", "library.beside"}),
        (_differences, {"diff.leave"}),
        (_help, {"help.close", "help.down"}),
    ],
)
async def test_every_key_of_the_other_screens(
    go: Callable[[DuibiApp, Path], Awaitable[None]],
    ids: set[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    app = make_app(
        ScreenOptions(),
        lambda look: start_screen(look, tmp_path / "none", list, "tongji", parse_reference),
    )
    async with app.run_test(size=(120, 36)) as pilot:
        await go(app, tmp_path)
        await until_shown(pilot, lambda: ids <= active_ids(app))
        found = await Keys(app, pilot, monkeypatch).check_all()
        assert ids <= found and "app.theme" in found
