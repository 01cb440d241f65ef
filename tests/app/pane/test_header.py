"""The line above a pane: what stands there in how many cells."""

from pathlib import Path

import pytest

from benchmarks.support.scripted_run import EventScript
from tui.app.pane.header import pane_header
from tui.app.style import themes
from tui.app.style.appearance import Appearance
from tui.app.style.messages import Messages
from tui.board import fold
from tui.events import Answered, Asked, Started


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


def test_a_speed_of_a_batch_is_marked_at_any_width() -> None:
    script = EventScript("Qwen2.5-Coder-0.5B")
    script.ready(0)
    script.say(0, Asked(1, "logic", "?"), Started(1, batch=4))
    script.say(0, Answered(1, "stop", ttft_ms=9.0, decode_tok_s=38.0, batch=4))
    board = fold(script.drain()[1])
    theme = themes.load(Path(themes.__file__).parents[3] / "themes" / "duibi-dark.toml")
    appearance = Appearance(theme, Messages("en"))
    narrow, wide = (
        pane_header(board, board.models[0], "logic", appearance, cells)[-1][0] for cells in (39, 90)
    )
    assert narrow == "38.0+ tok/s" and "38.0 tok/s (batch 4)" in wide


def test_both_figures_of_a_disturbed_answer_are_marked() -> None:
    script = EventScript("Qwen2.5-Coder-0.5B")
    script.ready(0)
    script.say(0, Asked(1, "logic", "?"), Started(1))
    script.say(0, Answered(1, "stop", ttft_ms=9.0, decode_tok_s=38.0, contended=True))
    board = fold(script.drain()[1])
    theme = themes.load(Path(themes.__file__).parents[3] / "themes" / "duibi-dark.toml")
    header = pane_header(board, board.models[0], "logic", Appearance(theme, Messages("en")), 90)
    assert "TTFT 9 ms*  38.0* tok/s" in header[-1][0]


def test_a_disturbed_time_is_marked_also_without_a_speed() -> None:
    """An answer of one token has no speed that could carry the mark."""
    script = EventScript("Qwen2.5-Coder-0.5B")
    script.ready(0)
    script.say(0, Asked(1, "logic", "?"), Started(1))
    script.say(0, Answered(1, "stop", ttft_ms=9.0, contended=True))
    board = fold(script.drain()[1])
    theme = themes.load(Path(themes.__file__).parents[3] / "themes" / "duibi-dark.toml")
    appearance = Appearance(theme, Messages("en"))
    header = pane_header(board, board.models[0], "logic", appearance, 90)
    assert "9 ms*" in header[-1][0]
