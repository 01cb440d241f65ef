"""The README's pictures, drawn by the real screens from the bundled recordings.

python -m tests.support.pictures

Each main screen in both languages and in two sizes, in `tests/screens`, and the two beside the
sessions that they show.
"""

import asyncio
import math
import os
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from textual.pilot import Pilot
from textual.screen import Screen

from tui.app.main import make_app, start_screen
from tui.app.screens.library import LibraryScreen
from tui.app.screens.replay import ReplayScreen
from tui.app.style.appearance import Appearance
from tui.app.terminal.svg_picture import repair_svg
from tui.host.paths import bundled
from tui.sessions.player import Player
from tui.sessions.reader import read
from tui.settings import Settings

SIZES = ((118, 30), (80, 24))
THEMES = {"en": "duibi-dark", "zh": "duibi-light"}
SAMPLES = {"en": "english", "zh": "tongji"}
FOLDER = Path(__file__).parent.parent.parent / "tests" / "screens"
ScreenFactory = Callable[[Appearance], Screen[Any]]


async def draw_screen(
    settings: Settings,
    first: ScreenFactory,
    size: tuple[int, int],
    keys: tuple[str, ...] = (),
) -> str:
    """A screen after some keys, as SVG."""
    app = make_app(settings, first)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        for key in keys:
            await pilot.press(key)
            await settle(pilot)
        return repair_svg(app.export_screenshot(title="duibi"))


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


def screens(lang: str) -> dict[str, Callable[[tuple[int, int]], Awaitable[str]]]:
    """Name of a picture -> what draws it in a size."""
    settings = Settings(lang=lang, theme=THEMES[lang])
    sample, share = SAMPLES[lang], 0.3 if lang == "en" else 0.82

    def of(
        first: Callable[[], ScreenFactory], *keys: str
    ) -> Callable[[tuple[int, int]], Awaitable[str]]:
        return lambda size: draw_screen(settings, first(), size, keys)

    return {
        "start": of(lambda: lambda look: start_screen(settings, look, True)),
        "compare": of(lambda: replay_at(sample, share)),
        "stars": of(lambda: replay_at(sample, 1.0), "1", "s"),
        "differences": of(lambda: replay_at(sample, 1.0), "1", "d"),
        "library": of(lambda: lambda look: LibraryScreen(look, settings.sessions_dir)),
        "help": of(lambda: replay_at(sample, 1.0), "question_mark"),
    }


def main() -> None:
    """Write them."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as own:
        # Nothing of this machine is in a picture: no models, no sessions but the bundled ones.
        os.environ |= {f"DUIBI_{kind}_DIR": f"{own}/{kind}" for kind in ("CACHE", "CONFIG")}
        os.environ |= {"HOME": own, "DUIBI_SESSIONS_DIR": f"{own}/sessions", "TERM": "xterm"}
        os.environ |= {"COLORTERM": "truecolor"}
        shutil.copytree(bundled("sessions"), f"{own}/sessions")
        os.chdir(own)
        for lang, sample in SAMPLES.items():
            for name, draw in screens(lang).items():
                for size in SIZES:
                    svg = asyncio.run(draw(size))
                    (FOLDER / f"{name}-{lang}-{size[0]}.svg").write_text(svg, encoding="utf-8")
                    if name == "compare" and size == SIZES[0]:
                        (bundled("sessions") / f"{sample}.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
