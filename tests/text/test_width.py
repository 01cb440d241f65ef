"""Widths agree with what a terminal emulator does."""

import pyte
import pytest

from tui.text.width import text_width


@pytest.mark.parametrize("text", ["", "abc", "同济大学", "a，b。", "e\u0301", "カナ", "Ｆ", "Ω±"])
def test_a_text_takes_as_many_cells_as_on_a_terminal(text: str) -> None:
    screen = pyte.Screen(40, 1)
    pyte.Stream(screen).feed(text)
    assert text_width(text) == screen.cursor.x
