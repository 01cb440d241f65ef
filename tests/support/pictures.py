"""The README's pictures, drawn by the real screens from the bundled recordings.

python -m tests.support.pictures
"""

import asyncio
import math
from pathlib import Path

from tui.app.main import make_app
from tui.app.picture import mended
from tui.app.screens.replay import ReplayScreen
from tui.host.paths import bundled
from tui.sessions.player import Player
from tui.sessions.reader import read
from tui.settings import Settings


async def replay(name: str, lang: str, theme: str, share: float, size: tuple[int, int]) -> str:
    """The replay screen of a bundled session at a share (0 to 1) of its duration, as SVG."""
    path = bundled("sessions") / f"{name}.duibi"
    player = Player(read(path).events, speed=math.inf)
    player.seek(round(player.duration_us * share))
    player.pause()
    settings = Settings(lang=lang, theme=theme)
    app = make_app(settings, lambda look: ReplayScreen(look, player, path, Path()))
    async with app.run_test(size=size) as pilot:
        await pilot.pause(0.5)
        return mended(app.export_screenshot(title="duibi"))


def main() -> None:
    """Write them beside the sessions that they show."""
    for name, lang, theme, share in (
        ("english", "en", "duibi-dark", 0.3),
        ("tongji", "zh", "duibi-light", 0.82),
    ):
        svg = asyncio.run(replay(name, lang, theme, share, (118, 30)))
        (bundled("sessions") / f"{name}.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
