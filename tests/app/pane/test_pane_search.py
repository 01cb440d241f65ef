"""Search in a pane: found wherever the width breaks it, and in what is yet to come."""

from hypothesis import given
from hypothesis import strategies as st

from tests.support.stage import comparing
from tui.app.pane.pane_search import PaneSearch, highlight_matches, normalised
from tui.app.widgets.ask_line import AskLine

ROWS = st.lists(st.text(alphabet="aAb ß┊雨", max_size=6), max_size=8)


def found(finder: PaneSearch) -> list[list[tuple[tuple[int, int], bool]]]:
    return [finder.match_ranges(row) for row in range(len(finder._texts))]


@given(ROWS, ROWS, st.integers(0, 8), st.text(alphabet="ab ß雨", min_size=1, max_size=3))
def test_growing_rows_give_what_all_at_once_give(
    before: list[str], after: list[str], kept: int, query: str
) -> None:
    grown, whole = PaneSearch(query), PaneSearch(query)
    grown.update(0, len(before), before.__getitem__)
    rows = before[:kept] + after
    grown.update(min(kept, len(before)), len(rows), rows.__getitem__)
    whole.update(0, len(rows), rows.__getitem__)
    assert found(grown) == found(whole) and len(grown) == len(whole)
    text, needle = normalised("".join(rows))[0], normalised(query)[0]
    assert len(whole) == (text.count(needle) if needle else 0)


@given(ROWS, st.text(alphabet="ab雨", min_size=1, max_size=2))
def test_marking_loses_no_character(rows: list[str], query: str) -> None:
    finder = PaneSearch(query)
    finder.update(0, len(rows), rows.__getitem__)
    for index, row in enumerate(rows):
        pieces = [(row[:2], "text"), (row[2:], "bold")]
        made = highlight_matches(pieces, finder.match_ranges(index))
        assert "".join(text for text, _ in made) == row
        shown = "".join(text for text, style in made if style not in ("text", "bold"))
        assert set(normalised(shown)[0]) <= set(normalised(query)[0])


def test_going_round_both_ways() -> None:
    rows = ["rain", "sun", "Rain ra", "in"]
    finder = PaneSearch("RAIN")
    finder.update(0, len(rows), rows.__getitem__)
    assert [finder.move_to_match(1, 1) for _ in range(4)] == [2, 2, 0, 2]
    assert [finder.move_to_match(-1, 0) for _ in range(2)] == [0, 2]
    assert finder.match_ranges(3) == [((0, 2), True)], "what is broken is marked on both rows"
    assert PaneSearch("snow").move_to_match(1, 0) is None


async def test_slash_searches_the_chosen_pane_also_while_it_streams() -> None:
    async with comparing() as it:
        it.run.asked(0, 0, "logic")
        it.run.tokens(0, 0, [f"line {n} of rain\n" if n % 50 == 7 else "sun\n" for n in range(200)])
        await it.beat()
        assert it.screen.grid
        pane = it.screen.grid.panes[0]
        await it.press("g", "slash")
        line = it.screen.query_one(AskLine)
        assert line.display and "Search" in line.heading.text
        await it.press(*"RAIN", "enter")
        assert "“RAIN” 1/4" in it.pane(0)[0] and any("line 7 of rain" in r for r in it.pane(0))
        await it.press("asterisk")
        assert "“RAIN” 2/4" in it.pane(0)[0] and any("line 57 of rain" in r for r in it.pane(0))
        await it.press("number_sign", "number_sign")
        assert "“RAIN” 4/4" in it.pane(0)[0] and any("line 157 of rain" in r for r in it.pane(0))
        top = pane.top
        it.run.tokens(0, 0, ["more ra", "in"])
        await it.beat()
        assert "“RAIN” 4/5" in it.pane(0)[0] and pane.top == top
        row = pane.render_line(next(y for y, r in enumerate(it.pane(0)) if "157" in r))
        assert [s.text for s in row if s.style and s.style.underline] == ["rain"]
        await it.press("f3", "f3", "slash")
        assert line.line.text == "", "it begins empty"
        await it.press(*["backspace"] * 4, *"hail", "enter")
        assert "does not stand here" in it.notices()[-1] and "“hail” 0/0" in it.pane(0)[0]
        await it.press("slash", *["backspace"] * 4, "enter")
        assert "“" not in it.pane(0)[0] and "TTFT" in it.pane(0)[0]
