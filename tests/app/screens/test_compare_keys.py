"""The prompt, help, leaving and keys of one's own on the live screen."""

import pytest

from tests.support.stage import comparing
from tui.app.screens.compare import CompareScreen
from tui.app.screens.help import HelpScreen
from tui.app.widgets.prompt import MAX_PROMPT
from tui.host.errors import UserError


async def test_pasted_lines_stay_lines_whatever_ends_them() -> None:
    from textual import events

    async with comparing() as it:
        await it.press("i")
        it.screen.prompt.post_message(events.Paste("def f():\r    return 1\r\nf()\n"))
        await it.beat()
        assert it.screen.prompt.text == "def f():\n    return 1\nf()\n"


async def test_a_refused_question_is_told_with_its_next_step() -> None:
    async with comparing() as it:
        it.run.refuse = UserError("the context [/b] is full", "ask a new question")
        await it.press("enter")
        assert it.notices() == ["the context [/b] is full\n→ ask a new question"]


async def test_prompt_asks_a_new_question_then_goes_on_in_it() -> None:
    async with comparing() as it:
        await it.press("i", *"why", "enter")
        assert it.run.calls[-1:] == [("ask", None, "why", None, False)]
        assert it.screen.question == "free-1" and "free question" in it.screen.question_bar.text
        await it.press("i", *"qnz", "ctrl+j", *"more", "enter")
        assert it.run.calls[-1:] == [("ask", "free-1", "qnz\nmore", None, False)]
        await it.press("f", *"new", "enter")
        assert it.run.calls[-1:] == [("ask", None, "new", None, False)]


async def test_a_new_question_stays_one_whatever_happens_while_it_is_typed() -> None:
    async with comparing() as it:
        await it.press("i", *"why", "enter", "f")
        it.screen.after_events()
        await it.press(*"new", "enter")
        assert it.run.calls[-1:] == [("ask", None, "new", None, False)]


async def test_prompt_history_and_leaving_it() -> None:
    async with comparing() as it:
        await it.press("i", *"one", "enter", "i", *"two", "enter", "i", "up", "up")
        assert it.screen.prompt.text == "one"
        await it.press("down")
        assert it.screen.prompt.text == "two"
        await it.press("down")
        assert it.screen.prompt.text == ""
        await it.press("x", "escape")
        assert not it.screen.prompt.has_focus and it.screen.prompt.text == "x"
        assert not any(call[0] == "cancel" for call in it.run.calls)


async def test_a_large_or_hostile_paste_is_bounded_and_cleaned() -> None:
    from textual import events

    async with comparing() as it:
        await it.press("i")
        it.screen.prompt.post_message(events.Paste("a\x1b[2J\r\nb" + "x" * 2 * MAX_PROMPT))
        await it.beat()
        await it.beat()
        text = it.screen.prompt.text
        assert len(text) == MAX_PROMPT and text.startswith("a␛[2J\nb")
        assert "100,000" in it.notices()[0]


async def test_tab_goes_round_panes_and_prompt() -> None:
    async with comparing() as it:
        assert it.screen.grid
        seen = []
        for _ in range(3):
            await it.press("tab")
            assert it.app.focused is not None
            seen.append(it.app.focused.id)
        assert seen == ["pane-1", "prompt", "pane-0"]
        await it.press("shift+tab")
        assert it.screen.prompt.has_focus


async def test_themes_change_and_come_round() -> None:
    async with comparing() as it:
        first = it.app.appearance.theme.name
        names = {first}
        while True:
            await it.press("t")
            if it.app.appearance.theme.name == first:
                break
            names.add(it.app.appearance.theme.name)
        assert {"duibi-dark", "duibi-light", "ansi16", "high-contrast"} <= names


async def test_help_lists_the_keys_with_their_names() -> None:
    async with comparing() as it:
        await it.press("question_mark")
        assert isinstance(it.app.screen, HelpScreen)
        help_screen = it.app.screen

        def text() -> str:
            return "\n".join("".join(t for t, _ in row) for row in help_screen.page.rows)

        await it.pilot.resize_terminal(160, 45)
        await it.beat()
        names = ("answer.ask", "question.next", "pane.down", "app.quit", "screen.zoom")
        for name in (*names, "question.1 … 9", "ask with other settings", "stands its name"):
            assert name in text()
        # Where names would cut a word they are left out, and a key is told that shows them.
        await it.pilot.resize_terminal(118, 45)
        await it.beat()
        assert "answer.ask" not in text() and "ask with other settings" in text()
        assert "n shows the names" in text()
        for group in ("Ask", "Look", "Judge", "Save", "Move", "Program", "Ctrl+P"):
            assert group in text()
        await it.pilot.resize_terminal(80, 24)
        await it.beat()
        assert "answer.ask" not in text() and "ask all" in text()
        assert any(("Ask" in row and "Move" in row) or "Save" in row for row in text().splitlines())
        await it.press("n")
        assert "answer.ask" in text()
        for down, up in (("j", "k"), ("pagedown", "pageup"), ("end", "home"), ("G", "g")):
            await it.press(down)
            assert help_screen.page.top > 0
            await it.press(up)
            assert help_screen.page.top == 0
        await it.press("escape")
        assert isinstance(it.app.screen, CompareScreen)


@pytest.mark.parametrize(("key", "code"), [("q", 0), ("ctrl+c", 130)])
async def test_leaving_asks_once_while_answers_run_and_ctrl_c_says_interrupted(
    key: str, code: int
) -> None:
    async with comparing() as it:
        it.run.asked(0, 0, "logic")
        await it.beat()
        await it.press(key)
        assert it.app.is_running and "still running" in it.notices()[0]
        await it.press(key)
        assert it.app.return_value == code


async def test_ctrl_c_leaves_from_the_prompt() -> None:
    async with comparing() as it:
        await it.press("i", "ctrl+c")
        assert it.app.return_value == 0


async def test_the_palette_runs_what_applies() -> None:
    async with comparing() as it:
        commands = {c.title: c for c in it.app.get_system_commands(it.app.screen)}
        assert {"ask", "zoom", "quit", "help"} <= set(commands)
        await commands["ask"].callback()
        assert it.run.calls[-1][0] == "ask"
        await it.press("ctrl+p")
        assert type(it.app.screen).__name__ == "CommandPalette"
        await it.press("escape")


async def test_keys_can_be_changed_and_clashes_are_told() -> None:
    keys = {"question.next": "comma", "question.previous": "comma"}
    async with comparing(keys={"question.next": "comma"}) as it:
        assert ", next" in it.screen.keys_bar.text
        await it.press("n")
        assert it.screen.question == "logic"
        await it.press("comma")
        assert it.screen.question == "code"
    async with comparing(keys=keys) as it:
        assert "comma: question.next, question.previous" in it.notices()[0]


async def test_keys_that_the_program_shares_itself_are_no_clash() -> None:
    async with comparing(keys={"app.theme": "T", "menu.open": "enter,o"}) as it:
        assert it.notices() == []


async def test_a_key_that_is_none_is_told() -> None:
    async with comparing(keys={"app.theme": "ctlr+t"}) as it:
        assert "app.theme has ctlr+t, which is no key" in it.notices()[0]


async def test_a_key_for_something_unknown_is_told() -> None:
    async with comparing(keys={"question.nxt": "comma"}) as it:
        assert "question.nxt" in it.notices()[0]


async def test_a_first_screen_that_cannot_open_ends_in_one_line() -> None:
    from tui.app.main import make_app
    from tui.options import ScreenOptions

    def first(_: object) -> CompareScreen:
        raise UserError("no such session", "look for it")

    app = make_app(ScreenOptions(), first)
    await app.run_async(headless=True)
    assert app.user_error is not None and app.user_error.message == "no such session"
    assert app.return_code == 2 and not app._exit_renderables
