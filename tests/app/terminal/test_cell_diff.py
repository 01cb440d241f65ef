"""What is written brings a terminal to what is wanted, in few bytes."""

from typing import Any

import pyte
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tui.app.terminal.cell_diff import CellBuffer, split_cells

COLUMNS, ROWS = 24, 4
TEXT = st.text(alphabet="ab  .逻辑，─━✓“", min_size=1, max_size=20)
STYLE = st.sampled_from(["", "1", "38;2;1;2;3", "38;5;9;48;5;4"])
PUT = st.tuples(st.integers(0, COLUMNS - 1), st.integers(0, ROWS - 1), TEXT, STYLE)


def terminal() -> tuple[pyte.Screen, pyte.Stream]:
    screen = pyte.Screen(COLUMNS, ROWS)
    screen.reset_mode(pyte.modes.DECAWM)
    return screen, pyte.Stream(screen)


def seen(screen: pyte.Screen) -> list[list[tuple[str, str, bool]]]:
    return [
        [(c.data, c.bg, c.bold) for c in (screen.buffer[y][x] for x in range(COLUMNS))]
        for y in range(ROWS)
    ]


def put(picture: CellBuffer, x: int, y: int, text: str, sgr: str) -> None:
    """As the compositor does it: whole rows, so that no half of a wide character stays."""
    cells = split_cells(" " * x + text, sgr)[:COLUMNS]
    if len(cells) == COLUMNS and cell_len(text) and cells[-1][0] not in ("", " "):
        cells[-1] = (" ", sgr)
    picture.set_cells(0, y, cells + [(" ", "")] * (COLUMNS - len(cells)))


@given(st.lists(st.lists(PUT, max_size=5), max_size=5))
def test_frames_bring_the_terminal_to_what_is_wanted(frames: list[list[tuple[Any, ...]]]) -> None:
    grown, (screen, stream) = CellBuffer(COLUMNS, ROWS), terminal()
    everything = []
    for frame in frames:
        everything += frame
        for place in frame:
            put(grown, *place)
        stream.feed(grown.render_frame())
        assert grown.render_frame() == ""
        anew, (fresh, fresh_stream) = CellBuffer(COLUMNS, ROWS), terminal()
        for place in everything:
            put(anew, *place)
        fresh_stream.feed(anew.render_frame())
        assert seen(screen) == seen(fresh)


def test_only_what_changed_is_written() -> None:
    picture = CellBuffer(COLUMNS, ROWS)
    picture.set_cells(2, 1, split_cells("The answer", ""))
    picture.render_frame()
    picture.set_cells(2, 1, split_cells("The answer is", ""))
    assert picture.render_frame() == " is"
    picture.set_cells(2, 1, split_cells("The answer is", ""))
    assert picture.render_frame() == ""


def test_the_rest_of_a_row_is_erased_not_written() -> None:
    picture = CellBuffer(COLUMNS, ROWS)
    picture.set_cells(0, 0, split_cells("x" * COLUMNS, ""))
    picture.set_cells(0, 1, split_cells("y" * COLUMNS, ""))
    picture.render_frame()
    picture.set_cells(0, 0, [(" ", "")] * COLUMNS)
    picture.set_cells(2, 1, [(" ", "")] * 12)
    assert picture.render_frame() == "\x1b[1H\x1b[K\x1b[2;3H\x1b[12X"


def test_after_a_character_of_uncertain_width_the_place_is_said() -> None:
    picture = CellBuffer(COLUMNS, ROWS)
    picture.set_cells(0, 0, split_cells("👩‍👧a逻b", ""))
    assert picture.render_frame().endswith("\x1b[1H👩‍👧\x1b[1;3Ha逻b")


def test_a_row_with_a_character_of_uncertain_width_begins_from_nothing() -> None:
    """tmux gives a heart with U+FE0F one cell: what stood in the second one would stay."""
    picture = CellBuffer(COLUMNS, ROWS)
    put(picture, 0, 0, "abcdefgh", "")
    picture.render_frame()
    put(picture, 0, 0, "a \u2764\ufe0f end", "")
    assert picture.render_frame().endswith("\x1b[1H\x1b[2Ka \u2764\ufe0f\x1b[1;6Hend")
    put(picture, 0, 0, "abcdefgh", "")
    assert picture.render_frame() == "\x1b[1H\x1b[2Kabcdefgh"


def test_of_a_wide_character_under_an_edge_a_blank_is_left() -> None:
    picture, (screen, stream) = CellBuffer(COLUMNS, ROWS), terminal()
    put(picture, 0, 0, "逻辑推理题目", "")
    stream.feed(picture.render_frame())
    picture.set_cells(3, 0, split_cells("|主题|", "1"))
    stream.feed(picture.render_frame())
    shown = "".join(cell for cell, *_ in seen(screen)[0])
    assert shown.rstrip() == "逻 |主题| 目"


def test_the_cursor_is_brought_to_who_types() -> None:
    picture = CellBuffer(COLUMNS, ROWS)
    picture.set_cells(0, 0, split_cells("ab", ""))
    assert picture.render_frame((5, 3)).endswith("\x1b[4;6H")
    assert picture.render_frame((5, 3)) == ""
