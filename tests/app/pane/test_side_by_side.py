"""Two texts beside each other: nothing lost, common lines level, differences marked."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tui.app.pane.side_by_side import side_by_side
from tui.text.sanitise import clean


def words(rows: list[list[tuple[str, str]]]) -> str:
    return "".join(text for row in rows for text, _ in row)


def test_common_lines_stand_in_the_same_row() -> None:
    made = side_by_side("first\nleft only\nlast", "first\nother words here\nand more\nlast", 40)
    level = [("".join(t for t, _ in a), "".join(t for t, _ in b)) for a, b in made.rows]
    assert level[0] == ("first", "first") and level[-1] == ("last", "last")


def test_changed_characters_are_marked_in_chinese_and_english() -> None:
    made = side_by_side("甲说真话 in 1990.", "乙说真话 in 1991.", 40)
    ((left, right),) = made.rows
    marked = [[text for text, style in side if style] for side in (left, right)]
    assert "甲" in marked[0] and "乙" in marked[1]
    assert ("0", "warn reverse") in left and ("1", "warn reverse") in right
    assert 0.5 < made.similarity < 1


def test_hostile_text_is_made_harmless() -> None:
    made = side_by_side("a\x1b[31mb", "a\u202eb", 40)
    assert "\x1b" not in words([made.rows[0][0]]) and "\u202e" not in words([made.rows[0][1]])


def test_nothing_at_all() -> None:
    assert side_by_side("", "", 20).similarity == 1.0


TEXTS = st.text(alphabet="ab 中文。\n", max_size=60)


@settings(max_examples=200, deadline=None)
@given(TEXTS, TEXTS, st.integers(8, 30))
def test_every_character_is_shown_once(left: str, right: str, width: int) -> None:
    made = side_by_side(left, right, width)
    for side, text in enumerate((left, right)):
        shown = words([row[side] for row in made.rows])
        assert shown.replace(" ", "") == clean(text).replace(" ", "").replace("\n", "")
