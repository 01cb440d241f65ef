"""The line above a pane: what stands there in how many cells."""

from pathlib import Path

import pytest

from benchmarks.support.scripted_run import EventScript
from tui.app.pane.header import pane_header
from tui.app.style import themes
from tui.app.style.appearance import Appearance
from tui.app.style.messages import Messages
from tui.board import fold


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_state_is_said_whole_or_long_enough_to_be_read(language: str) -> None:
    script = EventScript("Qwen2.5-Coder-0.5B")
    script.ready(0)
    script.asked(0, 1, "logic")
    script.tokens(0, 1, "abcdef")
    board = fold(script.drain()[1])
    theme = themes.load(Path(themes.__file__).parents[3] / "themes" / "duibi-dark.toml")
    appearance = Appearance(theme, Messages(language))
    whole = appearance.say("state.decoding")
    headers = [
        pane_header(board, board.models[0], "logic", appearance, cells) for cells in range(20, 90)
    ]
    said = {pieces[3][0] for pieces in headers}
    assert said == {"", whole}
