"""Themes and messages: complete, checked, and told by file and line."""

import ast
import asyncio
import re
import string
from pathlib import Path

import pytest
from rich.cells import cached_cell_len, cell_len
from textual.geometry import Region

import tui.app
from benchmarks.support.scripted_run import ScriptedRun
from tests.support.stage import until_shown
from tui.app import app as app_module
from tui.app.app import DuibiApp
from tui.app.main import make_app
from tui.app.screens.compare import CompareScreen
from tui.app.style.messages import Messages, catalogue
from tui.app.style.themes import ROLES, load, load_all
from tui.engines.base import EXIT_CODES
from tui.engines.errors import CAUSES
from tui.host import paths
from tui.host.errors import UserError
from tui.options import ScreenOptions
from tui.run.lane import RELOAD_CAUSES
from tui.text.translation import LANGUAGES


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_every_message_is_there_in_both_languages_with_the_same_placeholders() -> None:
    for key, texts in catalogue().items():
        assert set(texts) == set(LANGUAGES), key
        assert all(texts.values()), key
        assert fields(texts["en"]) == fields(texts["zh"]), key


def test_every_message_that_is_used_exists_and_every_one_is_used() -> None:
    known = set(catalogue())
    sources = [
        path.read_text("utf-8")
        for path in Path(tui.app.__file__).parent.rglob("*.py")
        if path.name != "messages.py"
    ]
    code = "\n".join(sources)
    used = set(re.findall(r"[\"']([a-z]+\.[a-z_]+)[\"']", code)) & known
    said = set(re.findall(r"say\(\s*\"([^\"]+)\"", code))
    assert said <= known
    groups = (
        *("state.", "verdict.", "stage.", "vote.", "found.", "fetch.", "cause.", "help.group_"),
        *("differences.filter_", "export.template_", "contended."),
    )
    composed = {key for key in known if key.startswith(groups)}
    assert known - used - composed == set()


def test_a_failure_is_named_in_the_readers_language_and_fills_nothing_in() -> None:
    english, chinese = Messages("en"), Messages("zh")
    assert english.failure("out_of_memory", "needs {17} GB") == "needs {17} GB"
    assert chinese.failure("out_of_memory", "needs {17} GB") == "内存不足：needs {17} GB"
    assert chinese.failure("{message.x}", "said") == "said"
    causes = {key.removeprefix("cause.") for key in catalogue() if key.startswith("cause.")}
    assert {*CAUSES, *EXIT_CODES, *RELOAD_CAUSES} <= causes


def is_said(node: ast.AST) -> bool:
    """Whether it is a call of the catalogue: ``say(...)``, ``self.appearance.say(...)``."""
    name = node.func if isinstance(node, ast.Call) else None
    return "say" in (getattr(name, "id", ""), getattr(name, "attr", ""))


def sentences(node: ast.AST) -> list[str]:
    """The parts of one text that have words: messages, and literals with letters."""
    parts = [ast.unparse(n) for n in ast.walk(node) if is_said(n)]
    inside = {id(n) for call in ast.walk(node) if is_said(call) for n in ast.walk(call)}
    parts += [
        n.value
        for n in ast.walk(node)
        if isinstance(n, ast.Constant)
        and id(n) not in inside
        and isinstance(n.value, str)
        and any(letter.isalpha() for letter in n.value)
    ]
    return parts


@pytest.mark.parametrize("path", sorted(Path(tui.app.__file__).parent.rglob("*.py")), ids=str)
def test_no_sentence_is_put_together_from_pieces(path: Path) -> None:
    """Other languages have their words in another order."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.JoinedStr) or (
            isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add)
        ):
            parts = sentences(node)
            if any("say(" in part for part in parts):
                assert len(parts) == 1, f"{path.name}:{node.lineno}: {parts}"


def test_messages_fill_in_and_fall_back_to_english() -> None:
    assert Messages("zh")("questions.position", number=3, count=8) == "3/8"
    assert Messages("fr").language == "en"
    with pytest.raises(KeyError):
        Messages("en")("no.such")


def test_bundled_themes_are_valid_and_at_least_six() -> None:
    themes, errors = load_all([paths.bundled("themes")])
    assert not errors and len(themes) >= 6
    assert all(set(theme.colours) == set(ROLES) for theme in themes.values())


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("path", sorted(paths.bundled("themes").glob("*.toml")), ids=str)
def test_text_can_be_read_on_its_background(path: Path) -> None:
    """WCAG 2.2 contrast: 4.5:1, and 7:1 for the high contrast theme."""
    theme = load(path)
    own = {"dark": "#000000", "light": "#ffffff"}["dark" if theme.dark else "light"]

    def colour(role: str) -> str:
        value = theme.colours[role]
        return own if value == "terminal" and role == "background" else value

    pairs = [(role, "background") for role in ("text", "muted", "accent", "good", "warn", "bad")]
    for front, back in [*pairs, ("panel_text", "panel"), ("cursor_text", "cursor")]:
        if colour(front).startswith("#") and colour(back).startswith("#"):
            a, b = sorted((luminance(colour(front)), luminance(colour(back))))
            assert (b + 0.05) / (a + 0.05) >= (7 if "contrast" in theme.name else 4.5), front


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("#8a919c", "#8a919"), r":8: `muted` is #rrggbb"),
        (("muted", "mutd"), r":8: unknown colour `mutd`"),
        (("dark = true", 'dark = "yes"'), r":3: `dark` is true or false"),
        (("[colours]", "[colors]"), r"\[colours\] is missing"),
        (('accent = "#6cb6ff"\n', ""), "missing: accent"),
        (("dark = true", "dark = "), ":3: not TOML"),
        (('"duibi-dark"', '"../x"'), ":2: `name`"),
    ],
)
def test_a_wrong_theme_is_told_by_file_and_line(
    tmp_path: Path, change: tuple[str, str], said: str
) -> None:
    text = (paths.bundled("themes") / "duibi-dark.toml").read_text("utf-8")
    assert change[0] in text
    mine = tmp_path / "mine.toml"
    mine.write_text(text.replace(*change), "utf-8")
    with pytest.raises(UserError, match=said) as caught:
        load(mine)
    assert "mine.toml" in caught.value.message


def test_a_theme_of_ones_own_wins_and_a_broken_one_spoils_nothing(tmp_path: Path) -> None:
    text = (paths.bundled("themes") / "duibi-dark.toml").read_text("utf-8")
    (tmp_path / "a.toml").write_text(text.replace("#6cb6ff", "ansi_red"), "utf-8")
    (tmp_path / "b.toml").write_bytes(b"\xff")
    themes, errors = load_all([paths.bundled("themes"), tmp_path])
    assert themes["duibi-dark"].colours["accent"] == "ansi_red" and len(errors) == 1


async def test_another_theme_colours_what_is_drawn_already() -> None:
    run = ScriptedRun()
    app = make_app(ScreenOptions(), lambda look: CompareScreen(look, run, Path()))
    async with app.run_test(size=(120, 30)) as pilot:
        await until_shown(pilot, lambda: has_panes(app))
        before = ground(app)
        await pilot.press("t")
        await until_shown(pilot, lambda: ground(app) != before)


def has_panes(app: DuibiApp) -> bool:
    """Whether the panes stand, with their sizes."""
    screen = app.screen
    return isinstance(screen, CompareScreen) and bool(screen.grid and screen.grid.panes[1].size)


def ground(app: DuibiApp, index: int = 1) -> set[str]:
    """The backgrounds of a pane's header, as it is drawn now."""
    assert isinstance(app.screen, CompareScreen) and app.screen.grid
    pane = app.screen.grid.panes[index]
    (strip,) = pane.render_lines(Region(0, 0, pane.size.width, 1))
    return {str(segment.style.bgcolor) for segment in strip if segment.style}


async def test_what_rich_measured_is_forgotten_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_module, "_CLEAR_WIDTHS_S", 0.05)
    app = make_app(ScreenOptions(), lambda look: CompareScreen(look, ScriptedRun(), Path()))
    async with app.run_test(size=(120, 30)) as pilot:
        cell_len("never seen again")
        async with asyncio.timeout(10):
            # Misses are counted since it was last cleared.
            seen = cached_cell_len.cache_info().misses
            while seen <= (seen := cached_cell_len.cache_info().misses):
                await pilot.pause(0.02)


async def test_a_theme_that_is_written_while_the_screen_is_up_is_used_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(app_module, "_THEME_POLL_S", 0.05)
    folder = paths.config_dir() / "themes"
    text = (paths.bundled("themes") / "duibi-dark.toml").read_text("utf-8")
    panel = load(paths.bundled("themes") / "duibi-dark.toml").colours["panel"]
    app = make_app(ScreenOptions(), lambda look: CompareScreen(look, ScriptedRun(), Path()))

    async with app.run_test(size=(120, 30)) as pilot:
        await until_shown(pilot, lambda: has_panes(app))
        before = ground(app)
        folder.mkdir(parents=True)
        mine = folder / "mine.toml"
        mine.write_text(text.replace(panel, "#123456"), "utf-8")
        await until_shown(pilot, lambda: ground(app) != before)
        assert app.get_css_variables()["duibi-panel"] == "#123456"
        mine.write_text(text.replace(panel, "#12345"), "utf-8")
        await until_shown(pilot, lambda: bool(app._notifications))
        (said,) = [notice.message for notice in app._notifications]
        assert f"{mine}:" in said and "`panel` is #rrggbb" in said
        assert ground(app) == before, "a broken file leaves the bundled theme of its name"
        mine.write_text(text.replace(panel, "#654321").replace("duibi-dark", "a-new"), "utf-8")
        await until_shown(pilot, lambda: "a-new" in app._themes.themes)
        while app.appearance.theme.name != "a-new":
            await pilot.press("t")
        mine.unlink()
        await until_shown(pilot, lambda: "a-new" not in app._themes.themes)
        await pilot.press("t")
        assert app.appearance.theme.name == "ansi16"
