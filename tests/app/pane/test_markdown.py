"""A finished answer as Markdown: rows that fit, in a theme's roles, from anybody's text."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from benchmarks.support.scripted_run import ScriptedRun
from tests.support.stage import until_shown
from tui.app.main import make_app
from tui.app.pane.conversation import MARKDOWN
from tui.app.pane.markdown import MAX_CHARACTERS, rows
from tui.app.screens.compare import CompareScreen
from tui.app.style.themes import ROLES
from tui.options import ScreenOptions
from tui.text.sanitise import clean

ANSWER = """## 结论

So **it** is `x`.

- one
- 二

```python
return 'a'
```

| a | b |
|--|--|
| 1 | 2 |
"""
PLAIN = {"bold", "italic", "underline"}


def lines(text: str, width: int = 40) -> list[str]:
    made = rows(text, width)
    assert made is not None
    return ["".join(piece for piece, _ in row).rstrip() for row in made]


def test_headings_lists_code_and_tables_are_laid_out() -> None:
    said = lines(ANSWER)
    assert said[0] == "结论" and "So it is x." in said
    assert " • one" in said and " • 二" in said
    assert " return 'a'" in said and any("1" in line and "2" in line for line in said[-3:])
    assert not any(mark in "".join(said) for mark in ("**", "##", "```", "`"))


def test_a_newline_is_a_line_and_rows_are_broken_as_chinese_is() -> None:
    assert lines("Roses are red\nviolets are blue") == ["Roses are red", "violets are blue"]
    said = lines("- 逻辑推理题目逻辑推理题，目逻辑推理题目逻辑推理题目逻辑。推理题吧。", 23)
    assert all(not row.strip(" •").startswith(tuple("，。、）")) for row in said)
    assert said[-1].strip() != "吧。"


def test_styles_are_roles_of_a_theme() -> None:
    made = rows(ANSWER, 40) or []
    used = {name for row in made for _, names in row for name in names.split()}
    assert used <= set(ROLES) | PLAIN and {"accent", "warn", "bold", "muted"} <= used


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="#*_`|->[]()!\n 1.ab逻，\x1b\u202e<&;", max_size=300), st.integers(8, 60))
def test_any_text_gives_rows_that_fit_and_nothing_that_acts(text: str, width: int) -> None:
    made = rows(clean(text), width) or []
    for row in made:
        line = "".join(piece for piece, _ in row)
        assert cell_len(line.rstrip()) <= width or width < 12
        assert line == clean(line) and "\n" not in line


@pytest.mark.parametrize("text", ["> " * 3000 + "deep", "[" * 5000, "*a " * 3000, "a" * 50_000])
def test_what_cannot_be_laid_out_stays_as_it_was(text: str) -> None:
    made = rows(text, 40)
    assert made is None or len(made) < MAX_CHARACTERS


async def test_an_answer_is_laid_out_when_it_is_finished_but_not_under_the_readers_eyes() -> None:
    run = ScriptedRun("demo")
    app = make_app(ScreenOptions(), lambda look: CompareScreen(look, run, Path()))
    async with app.run_test(size=(60, 14)) as pilot:
        run.ready(0)
        run.asked(0, 0, "logic")
        run.tokens(0, 0, ANSWER.splitlines(keepends=True) * 4)
        await until_shown(pilot, lambda: isinstance(app.screen, CompareScreen) and app.screen.grid)
        assert isinstance(app.screen, CompareScreen) and app.screen.grid
        pane = app.screen.grid.pane

        def shown() -> str:
            return "\n".join(pane.render_line(y).text for y in range(pane.size.height))

        def header() -> str:
            return shown().splitlines()[0]

        await until_shown(pilot, lambda: ANSWER.splitlines()[-1] in shown())
        await pilot.press("k", "k")
        before, decoding = shown().splitlines()[1:], header()
        run.answered(0, 0)
        await until_shown(pilot, lambda: MARKDOWN.module and header() != decoding)
        assert shown().splitlines()[1:] == before and "##" in "".join(
            piece for i in range(len(pane._conversation)) for piece, _ in pane._conversation.row(i)
        )
        await pilot.press("G", "g")
        await until_shown(pilot, lambda: "##" not in shown() and "结论" in shown(), shown)
