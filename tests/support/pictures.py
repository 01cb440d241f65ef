"""Draws the README's pictures with the real screens from the bundled recordings.

`make screens` writes them anew: each main screen in both languages and in two sizes, in
`tests/screens`, and the two beside the sessions that they show.
"""

import asyncio
import math
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Coroutine
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.screen import Screen

from tests.support.folders import find_models_here
from tui.app.main import make_app, start_screen
from tui.app.screens.library import LibraryScreen
from tui.app.screens.replay import ReplayScreen
from tui.app.style.appearance import Appearance
from tui.app.terminal.svg_picture import repair_svg
from tui.host.paths import bundled, sessions_dir
from tui.models import discover
from tui.models.reference import parse_reference
from tui.options import ScreenOptions
from tui.sessions.player import Player
from tui.sessions.reader import read

SIZES = ((118, 30), (80, 24))
THEMES = {"en": "duibi-dark", "zh": "duibi-light"}
SAMPLES = {"en": "english", "zh": "tongji"}
COMPARED = "7"
"""Number of the question whose finished answers the comparison shows."""
FOLDER = Path(__file__).parent.parent.parent / "tests" / "screens"
ScreenFactory = Callable[[Appearance], Screen[Any]]
Expected = Callable[[str], bool]
"""Whether a picture is the expected one."""
DrawPicture = Callable[[tuple[int, int], Expected | None], Coroutine[Any, Any, str]]
_LONGEST_S = 10.0
_KEPT = ("PATH", "PYTEST_", "PYTHON", "LD_", "TMPDIR")
"""What the variables begin with that a process and pytest need."""


def empty_machine(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Make ``folder`` the home and the current folder of a machine without models, keys and
    services, with no sessions but the bundled ones; a UTF-8 terminal with all colours."""
    for name in [name for name in os.environ if not name.startswith(_KEPT)]:
        patch.delenv(name)
    for kind in ("CACHE", "CONFIG", "SESSIONS", "PERSISTENT"):
        patch.setenv(f"DUIBI_{kind}_DIR", str(folder / kind.lower()))
    for name in ("MODELSCOPE_CACHE", "HF_HUB_CACHE"):
        patch.setenv(name, str(folder / name.lower()))
    patch.setenv("OLLAMA_HOST", "127.0.0.1:1")
    patch.setenv("HOME", str(folder))
    patch.setenv("LANG", "C.UTF-8")
    patch.setenv("TERM", "xterm")
    patch.setenv("COLORTERM", "truecolor")
    patch.setattr(discover, "CLONE_FOLDERS", ())
    shutil.copytree(bundled("sessions"), folder / "sessions")
    patch.chdir(folder)


async def draw_screen(
    options: ScreenOptions,
    first: ScreenFactory,
    size: tuple[int, int],
    keys: tuple[str, ...] = (),
    expected: Expected | None = None,
) -> str:
    """A screen after some keys, as SVG: once it is as ``expected``, else as it is in the end."""
    app = make_app(options, first)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        for key in keys:
            await pilot.press(key)
            await settle(pilot)
        end, drawn = time.monotonic() + _LONGEST_S, ""
        while True:
            before, drawn = drawn, repair_svg(app.export_screenshot(title="duibi"))
            is_final = drawn == before if expected is None else expected(drawn)
            if is_final or time.monotonic() > end:
                return drawn
            await pilot.pause(0.2)


async def settle(pilot: Pilot[Any]) -> None:
    """Let threads come to their end and what they found be drawn."""
    await pilot.app.workers.wait_for_complete()
    await pilot.pause(0.4)


def replay_at(name: str, share: float) -> ScreenFactory:
    """The replay screen of a bundled session at a share (0 to 1) of its duration."""
    path = bundled("sessions") / f"{name}.duibi"
    player = Player(read(path).events, speed=math.inf)
    player.seek(round(player.duration_us * share))
    player.pause()
    return lambda look: ReplayScreen(look, player, path, Path())


def screens(lang: str) -> dict[str, DrawPicture]:
    """Name of a picture -> what draws it in a size (columns and rows)."""
    options = ScreenOptions(lang=lang, theme=THEMES[lang])
    sample = SAMPLES[lang]

    def of(first: Callable[[], ScreenFactory], *keys: str) -> DrawPicture:
        return lambda size, expected: draw_screen(options, first(), size, keys, expected)

    return {
        "start": of(
            lambda: (
                lambda look: start_screen(
                    look, sessions_dir(), find_models_here, "tongji", parse_reference
                )
            )
        ),
        "compare": of(lambda: replay_at(sample, 1.0), COMPARED),
        "stars": of(lambda: replay_at(sample, 1.0), "1", "s"),
        "differences": of(lambda: replay_at(sample, 1.0), "1", "d"),
        "library": of(lambda: lambda look: LibraryScreen(look, sessions_dir())),
        "help": of(lambda: replay_at(sample, 1.0), "question_mark"),
    }


def runs(svg: str) -> list[str]:
    """What a picture shows, line by line: each run of text and each filled rectangle with its
    place and its style. The names that Rich makes up for each picture are left out."""
    styles = dict(re.findall(r"\.(terminal-\d+-r\d+) \{ ([^}]*?) *\}", svg))
    texts = re.findall(
        r'<text class="([^"]*)" x="([\d. ]+)" y="([\d.]+)"(?: textLength="([\d.]+)")?'
        r"[^>]*>([^<]*)<",
        svg,
    )
    rects = re.findall(
        r'<rect fill="([^"]*)" x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"', svg
    )
    found = [(float(y), float(x), f"{fill} {wide}x{high}") for fill, x, y, wide, high in rects]
    found += [
        (float(y), float(xs.split()[0]), f"{styles[name]} {wide}: {unescape(text)}")
        for name, xs, y, wide, text in texts
        if name in styles
    ]
    return [f"{y:.1f} {x:.1f} {what}" for y, x, what in sorted(found)]


def main() -> None:
    """Write them."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    samples = bundled("sessions")
    with tempfile.TemporaryDirectory() as own, pytest.MonkeyPatch.context() as patch:
        empty_machine(Path(own), patch)
        for lang, sample in SAMPLES.items():
            for name, draw in screens(lang).items():
                for size in SIZES:
                    svg = asyncio.run(draw(size, None))
                    (FOLDER / f"{name}-{lang}-{size[0]}.svg").write_text(svg, encoding="utf-8")
                    if name == "compare" and size == SIZES[0]:
                        (samples / f"{sample}.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
