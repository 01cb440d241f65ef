"""The start screen, on real session files."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from benchmarks.support.checkpoints import write_zero_llama
from benchmarks.support.sessions import HEADER, write_session
from tests.support.file_server import serving
from tests.support.folders import find_models_here
from tests.support.hub import FakeHub, hub_environment
from tests.support.stage import until_shown
from tui.app.app import DuibiApp
from tui.app.main import make_app, show_replay, show_start, start_screen
from tui.app.screens.models import ModelsScreen
from tui.app.screens.replay import ReplayScreen
from tui.app.screens.results import ModelSelection
from tui.app.screens.start import StartScreen
from tui.app.widgets.lines import Lines
from tui.app.widgets.menu import MenuHeading
from tui.host import paths
from tui.host.errors import UserError
from tui.models.reference import parse_reference
from tui.models.typed import read_typed
from tui.options import ScreenOptions
from tui.sessions.player import Player


@pytest.fixture(autouse=True)
def samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of bundled recordings of our own."""
    folder, real = tmp_path / "samples", paths.bundled
    folder.mkdir()
    monkeypatch.setattr(paths, "bundled", lambda n: folder if n == "sessions" else real(n))
    return folder


@asynccontextmanager
async def starting(**options: Any) -> AsyncIterator[tuple[DuibiApp, StartScreen, Pilot[Any]]]:
    app = make_app(
        ScreenOptions(**options),
        lambda look: start_screen(
            look, paths.sessions_dir(), find_models_here, "tongji", parse_reference
        ),
    )
    async with app.run_test(size=(100, 30)) as pilot:
        await until_shown(pilot, lambda: isinstance(app.screen, StartScreen))
        screen = app.screen
        assert isinstance(screen, StartScreen)
        await app.workers.wait_for_complete()
        await until_shown(pilot, lambda: screen.menu.items)
        yield app, screen, pilot


async def test_one_key_plays_a_sample(samples: Path) -> None:
    write_session(samples)
    async with starting() as (app, screen, pilot):
        assert [item.key for item in screen.menu.items][:4] == ["", "o", "m", ""]
        await pilot.press("2")
        await until_shown(pilot, lambda: isinstance(app.screen, ReplayScreen))
        await pilot.press("escape")
        await until_shown(pilot, lambda: isinstance(app.screen, StartScreen))


async def test_sessions_models_and_sets_are_listed(samples: Path) -> None:
    write_session(samples)
    write_session(paths.sessions_dir(), status="")
    async with starting(lang="zh") as (_, screen, _pilot):
        headings = [row.title for row in screen.menu.rows if isinstance(row, MenuHeading)]
        assert "新比较" in headings[0] and headings[1] == "最近的会话"
        text = "\n".join(screen.menu.render_line(y).text for y in range(screen.menu.size.height))
        assert "demo@bf16" in text and "Two questions" in text and "4 个回答" in text
        assert "2026-11-22" in text and "演示模型" in text and "tongji" in text


async def test_choosing_models_under_a_question_set() -> None:
    async with starting() as (app, screen, pilot):
        titles = [entry.detail for entry in screen.menu.items]
        await pilot.press(*["down"] * titles.index("smoke"), "enter")
        await until_shown(
            pilot, lambda: [item.detail for item in screen.menu.items if item.marked] == ["smoke"]
        )
        await pilot.press("home", "enter")
        await until_shown(pilot, lambda: app.return_value)
        assert app.return_value == ModelSelection(("demo@bf16", "demo@fp32"), "smoke")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("./Mine", "./Mine"),
        ("Mine", "./Mine"),
        ("Mine@int8", "./Mine@int8"),
        ("openai:gpt-5", "openai:gpt-5"),
        ("ms:ms:Qwen/Qwen3-0.6B@int8", "ms:Qwen/Qwen3-0.6B@int8"),
        ("https://www.modelscope.cn/models/Qwen/Qwen3-0.6B/files", "ms:Qwen/Qwen3-0.6B"),
        (" 'Qwen/Qwen3-0.6B' ", "ms:Qwen/Qwen3-0.6B"),
        ("http://127.0.0.1:1/v1#m", "http://127.0.0.1:1/v1#m"),
        ("ms:hf:Qwen/Qwen3-0.6B", "hf:Qwen/Qwen3-0.6B"),
        ("https://huggingface.co/Qwen/Qwen3-0.6B/tree/main", "hf:Qwen/Qwen3-0.6B"),
        ("demo", "demo"),
    ],
)
def test_what_is_typed_for_a_model_is_understood(
    typed: str, meant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Mine").mkdir()
    assert read_typed(typed) == meant


async def test_several_models_can_be_typed() -> None:
    async with starting() as (app, _, pilot):
        await pilot.press("o", *"nothing", "enter")
        await until_shown(pilot, lambda: app._notifications)
        assert app.is_running and any(n.severity == "error" for n in app._notifications)
        await pilot.press("o", *"openai:m", "space", *"Some/Where", "enter")
        await until_shown(pilot, lambda: app.return_value)
        assert app.return_value == ModelSelection(("openai:m", "ms:Some/Where"), "tongji")


async def test_several_models_are_marked_and_opened_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_zero_llama(tmp_path / "Mine [-x]")
    async with starting() as (app, screen, pilot):
        assert [entry.title for entry in screen.menu.items][1] == "Mine [-x]"
        await pilot.press("space", "down", "space")
        # With the question set.
        await until_shown(pilot, lambda: sum(item.marked for item in screen.menu.items) == 3)
        await pilot.press("enter")
        await until_shown(pilot, lambda: app.return_value)
        choice = app.return_value
        assert isinstance(choice, ModelSelection)
        assert choice.references[:2] == ("demo@bf16", "demo@fp32")
        assert choice.references[2].endswith("Mine [-x]")


async def test_a_broken_session_is_told_and_nothing_is_lost(samples: Path) -> None:
    path = write_session(samples)
    path.write_bytes(b"not a session [/b]\n")
    async with starting() as (app, _, pilot):
        await pilot.press("2")
        await until_shown(pilot, lambda: app._notifications)
        assert isinstance(app.screen, StartScreen)
        assert any(notice.severity == "error" for notice in app._notifications)


async def test_hostile_names_are_only_text() -> None:
    models = [{"name": "x", "label": "\x1b]0;gotcha\x07[@click=app.quit]q[/] [/foo]"}]
    write_session(paths.sessions_dir(), models=1, header=replace(HEADER, models=models))
    async with starting() as (_, screen, _pilot):
        text = "\n".join(screen.menu.render_line(y).text for y in range(screen.menu.size.height))
        assert "␛]0;gotcha␇[@click=app.quit]q[/] [/foo]" in text and "\x1b" not in text


def test_without_a_terminal_it_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="needs a terminal"):
        show_start(ScreenOptions(), tmp_path, list, "tongji", *[lambda *_: 0] * 3)
    with pytest.raises(UserError, match="needs a terminal"):
        path = tmp_path / "x.duibi"
        show_replay(ScreenOptions(), Player([]), path, tmp_path, lambda *_: 0)


def test_an_unknown_theme_is_said_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no theme purple; known are .*duibi-dark"):
        options = ScreenOptions(theme="purple")
        show_start(options, tmp_path, list, "tongji", *[lambda *_: 0] * 3)


@asynccontextmanager
async def starting_first(samples: Path) -> AsyncIterator[tuple[DuibiApp, Pilot[Any]]]:
    """A first start: the recording is played above the start screen."""
    path = write_session(samples)
    app = make_app(
        ScreenOptions(),
        lambda look: start_screen(
            look, paths.sessions_dir(), find_models_here, "", parse_reference, path
        ),
    )
    async with app.run_test(size=(100, 30)) as pilot:
        await until_shown(pilot, lambda: isinstance(app.screen, ReplayScreen))
        yield app, pilot


def introduction(app: DuibiApp) -> str:
    return app.screen.query_one("#introduction", Lines).text


async def test_a_first_start_plays_a_recording_and_a_key_fetches_a_small_chinese_model(
    samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(FakeHub({})) as server:
        for name, value in hub_environment(server, tmp_path).items():
            monkeypatch.setenv(name, value)
        async with starting_first(samples) as (app, pilot):
            assert "This is a recording" in introduction(app)
            await until_shown(pilot, lambda: "f fetches Qwen3 0.6B" in introduction(app))
            assert "(1.5 GB, 2m30s at 10 MB/s)" in introduction(app)
            await pilot.press("f")
            await until_shown(pilot, lambda: isinstance(app.screen, ModelsScreen))
            models = app.screen
            assert isinstance(models, ModelsScreen)
            assert [one.status.reference for one in models.downloads.all] == ["ms:Qwen/Qwen3-0.6B"]


async def test_where_the_hub_is_silent_the_demo_is_offered_and_escape_leads_to_all_choices(
    samples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", "http://127.0.0.1:1")
    async with starting_first(samples) as (app, pilot):
        assert "Esc all choices" in introduction(app)
        await until_shown(pilot, lambda: "f fetches SmolLM2 135M Instruct" in introduction(app))
        await pilot.press("escape")
        await until_shown(pilot, lambda: isinstance(app.screen, StartScreen))
        start = app.screen
        assert isinstance(start, StartScreen)
        await until_shown(pilot, lambda: start.menu.items)
        assert "in a language of the models" in str(start.menu.rows[0])
