"""Every key of the live screen, driven by a scripted run."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks.support.scripted_run import ScriptedRun
from tests.support.stage import comparing, until_shown
from tui import events as ev
from tui.app.screens.compare import CompareScreen
from tui.app.screens.help import HelpScreen
from tui.app.widgets.prompt import MAX_PROMPT
from tui.events import RUN
from tui.host.errors import UserError
from tui.sessions.journal import SaveState


async def test_answers_stream_into_their_panes() -> None:
    async with comparing() as it:
        it.run.asked(0, 0, "logic", "谁说真话？")
        it.run.tokens(0, 0, ["乙", "说真话", "。"])
        it.run.asked(1, 1, "logic", "谁说真话？")
        await it.beat()
        left, right = it.pane(0), it.pane(1)
        assert "demo@bf16" in left[0] and "decoding" in left[0] and "tok/s" in left[0]
        # The question stands above the panes where it is the set's own text.
        assert left[1] == " › 谁说真话？" and left[3] == " 乙说真话。"
        assert "demo@fp32" in right[0] and "prefill" in right[0]
        it.run.answered(0, 0)
        await it.beat()
        assert "done" in it.pane(0)[0] and "TTFT 412 ms  27.0 tok/s" in it.pane(0)[0]
        assert "1/3  逻辑推理" in it.screen.question_bar.text


@pytest.mark.parametrize(
    ("by", "lost", "told"),
    [
        ("programs", 0.72, "* Other programs took 72% of its cores."),
        ("model", 0.0, "* Another model was computing meanwhile."),
        ("", 0.0, "* It did not have its cores for itself."),
        ("", 0.0, ""),
    ],
)
async def test_a_disturbed_answer_is_marked_and_says_why(by: str, lost: float, told: str) -> None:
    async with comparing() as it:
        it.run.asked(0, 0, "logic", "谁说真话？")
        it.run.tokens(0, 0, ["乙"])
        figures = ev.Answered(0, "stop", 20, 3, ttft_ms=412.0, decode_tok_s=27.0)
        spoilt = replace(figures, contended=bool(told), contended_by=by, lost=lost)
        it.run.say(0, spoilt)
        await it.beat()
        header, *rows = it.pane(0)
        assert ("27.0* tok/s" in header) == bool(told)
        assert [row.strip() for row in rows if "* " in row] == ([told] if told else [])


async def test_an_answer_is_pasted_where_it_is_waited_for() -> None:
    async with comparing("demo@bf16", "ChatGPT-4o (pasted)") as it:
        notes = ["answers are pasted by a person: no timing, tokens estimated"]
        it.run.say(1, ev.Loaded(load_s=0.0, family="pasted", notes=notes))
        it.run.say(1, ev.Asked(7, "logic", "谁说真话？"))
        it.run.to_paste.add(7)
        await it.beat()
        assert any("Waiting for you" in row for row in it.pane(1))
        assert any("pasted by a person" in row for row in it.pane(1))
        # What is typed beside another pane is a question, beside this one the answer.
        assert "Paste" not in str(it.screen.prompt.placeholder)
        await it.press("tab")
        assert "Paste the answer" in str(it.screen.prompt.placeholder)
        await it.press("i")
        await it.pilot.press(*"Yi")
        await it.press("enter")
        assert it.run.calls == [("supply", 7, "Yi")]
        assert "Paste" not in str(it.screen.prompt.placeholder)
        it.run.say(1, ev.Started(7), ev.Delta(7, 1, "Yi"), us=0)
        it.run.say(1, ev.Answered(7, "stop", output_tokens=1, token_source="estimate"))
        await it.beat()
        header, *rows = it.pane(1)
        assert "done" in header and "TTFT" not in header and "tok/s" not in header
        assert " Yi" in rows


async def test_question_keys_cycle_and_jump_while_answers_go_on() -> None:
    async with comparing() as it:
        it.run.asked(0, 0, "logic")
        await it.press("n")
        assert it.screen.question == "code" and "2/3" in it.screen.question_bar.text
        assert "at work on question 1" in it.pane(0)[0]
        it.run.tokens(0, 0, ["still", " here"])
        await it.press("p")
        assert it.screen.question == "logic" and " still here" in it.pane(0)
        await it.press("3")
        assert it.screen.question == "poem"
        await it.press("n")
        assert it.screen.question == "logic"
        await it.press("9")
        assert it.screen.question == "logic"


async def test_asking_again_all_and_stopping() -> None:
    async with comparing() as it:
        await it.press("enter")
        await it.press("r")
        await it.press("tab", "R")
        await it.press("a")
        assert it.run.calls == [
            ("ask", "logic", None, None, False),
            ("ask", "logic", None, None, True),
            ("ask", "logic", None, [1], True),
            ("ask_all",),
        ]
        await it.press("L")
        assert it.run.calls[-1] == ("reload", 1)


async def test_escape_stops_only_what_is_on_view_and_only_when_pressed_again() -> None:
    async with comparing() as it:
        for answer, question in enumerate(("logic", "code")):
            it.run.asked(0, answer, question)
        await it.beat()
        await it.press("escape")
        assert it.run.calls == [] and "Esc again stops" in it.notices()[-1]
        await it.press("escape")
        assert it.run.calls == [("cancel", 0, [0])]
        it.run.say(0, ev.Cancelled(0))
        await it.beat()
        await it.press("escape", "escape")
        assert len(it.run.calls) == 1 and "1 answer is on its way" in it.notices()[-1]
        await it.press("X")
        assert it.run.calls[1:] == [("cancel", 0, None)]


async def test_escape_from_a_finished_pane_stops_what_is_on_view_beside_it() -> None:
    async with comparing("one", "two", "three") as it:
        for model in range(3):
            it.run.asked(model, model, "logic")
        it.run.answered(0, 0)
        await it.beat()
        await it.press("escape")
        assert "stops the answer of two, three" in it.notices()[-1] and it.run.calls == []
        await it.press("escape")
        assert it.run.calls == [("cancel", 1, [1]), ("cancel", 2, [2])]
        # On another question none of them is on view.
        it.run.calls.clear()
        await it.press("n", "escape", "escape")
        assert it.run.calls == [] and "on their way elsewhere" in it.notices()[-1]


async def test_stars_stand_in_the_order_of_the_dimensions() -> None:
    async with comparing() as it:
        it.run.asked(0, 0, "logic")
        it.run.answered(0, 0)
        for dimension, stars in (("幽默感", 2), ("输出流畅性", 4), ("语言理解", 5)):
            it.run.say(RUN, ev.Rated(0, dimension, stars))
        await it.beat()
        row = next(row for row in it.pane(0) if "★" in row)
        assert row.split() == ["Understanding", "★★★★★", "Humour", "★★", "Fluency", "★★★★"]


async def test_two_names_that_differ_in_the_middle_stay_two() -> None:
    names = [f"qwen2.5-coder-{size}-instruct-q4_k_m" for size in ("0.5b", "1.5b")]
    async with comparing(*names, size=(80, 24)) as it:
        assert "-0." in it.pane(0)[0] and "-1." in it.pane(1)[0]
        for model in (0, 1):
            it.run.asked(model, model, "logic")
            it.run.answered(model, model)
        await it.beat()
        assert "0.5b" in it.pane(0)[0] and "1.5b" in it.pane(1)[0]
        assert "0.5b" in it.screen.status_bar.text and "1.5b" in it.screen.status_bar.text


async def test_a_pane_that_is_put_away_is_not_asked_and_comes_back() -> None:
    async with comparing("one", "two", "three") as it:
        grid = it.screen.grid
        assert grid is not None
        await it.press("tab", "h", "enter")
        assert [pane.index for pane in grid.visible_panes()] == [0, 2] and grid.chosen == 2
        assert it.run.calls == [("ask", "logic", None, [0, 2], False)]
        await it.press("h", "h")
        assert [pane.index for pane in grid.visible_panes()] == [0]
        assert "last pane" in it.notices()[-1]
        await it.press("H")
        assert len(list(grid.visible_panes())) == 3


async def test_a_model_that_joins_gets_a_pane_and_is_asked() -> None:
    async with comparing("one", "two", size=(120, 30)) as it:
        added: list[str] = []

        def add(text: str) -> int:
            if text == "openai:x":
                raise UserError("no key", "set it")
            added.append(text)
            it.run.say(RUN, ev.Joined(2, {"name": text, "label": "three"}))
            return 2

        it.screen._add_model = add
        await it.press("M")
        await it.press(*"openai:x", "enter")
        await it.until(lambda: "no key" in it.notice_text())
        await it.press("M")
        await it.press(*"three=demo@int8", "enter")
        await it.until(lambda: it.screen.grid and len(it.screen.grid.panes) == 3)
        await it.until(lambda: "○ three" in it.pane(2)[0])
        assert added == ["three=demo@int8"]
        it.run.ready(2)
        it.run.asked(2, 0, "logic")
        it.run.tokens(2, 0, ["here I am"])
        await it.until(lambda: " here I am" in it.pane(2))
        await it.press("tab", "tab")
        assert it.screen.chosen_model == 2
        await it.press("tab", "tab", "h")
        assert [pane.index for pane in it.screen.grid.visible_panes()] == [1, 2]  # type: ignore[union-attr]


async def test_a_pane_is_asked_with_other_settings_in_a_pane_of_its_own() -> None:
    async with comparing("one", "two", size=(120, 30)) as it:
        added: list[str] = []

        def add(text: str) -> int:
            added.append(text)
            it.run.say(RUN, ev.Joined(2, {"name": "two", "label": "two seed=3"}))
            return 2

        it.screen._add_model = add
        await it.press("tab", "o")
        await it.until(lambda: it.screen._ask_line and it.screen._ask_line.display)
        await it.press(*"seed=3", "enter")
        await it.until(lambda: it.screen.grid and len(it.screen.grid.panes) == 3)
        await it.until(lambda: it.run.calls[-1][0] == "ask")
        assert added == ["two?seed=3"]
        assert it.run.calls[-1] == ("ask", it.screen.question, None, [2], False)


async def test_pasted_lines_stay_lines_whatever_ends_them() -> None:
    from textual import events

    async with comparing() as it:
        await it.press("i")
        it.screen.prompt.post_message(events.Paste("def f():\r    return 1\r\nf()\n"))
        await it.beat()
        assert it.screen.prompt.text == "def f():\n    return 1\nf()\n"


async def test_a_pane_shows_the_text_as_it_came_and_what_was_noted() -> None:
    async with comparing() as it:
        it.run.say(0, ev.Loaded(load_s=1.0, notes=["by the slow way"]))
        it.run.asked(0, 0, "logic", "甲乙丙三人中只有一人说真话，谁？")
        await it.beat()
        assert not any("slow way" in row for row in it.pane(0)), "not before the first token either"
        it.run.tokens(0, 0, ["**so**\n", "it is"])
        it.run.answered(0, 0)
        await it.until(lambda: it.pane(0)[1:3] == [" so", " it is"])
        assert not any("slow way" in row for row in it.pane(0))
        await it.press("w")
        assert it.pane(0)[1:3] == [" **so**", " it is"]
        assert any("· by the slow way" in row for row in it.pane(0))
        await it.press("w")
        assert it.pane(0)[1] == " so"


async def test_the_question_stands_once_and_whole_above_the_panes() -> None:
    long = "Which of these is right? " * 12
    async with comparing(size=(80, 24)) as it:
        it.run.say(0, ev.Asked(0, "free-1", long), ev.Started(0), ev.Delta(0, 1, "None."))
        await it.beat()
        await it.press("4")
        shown = " ".join(it.screen.question_bar.text.split())
        assert long.strip() in shown and it.pane(0)[1] == " None."
        longer = "And what of this? " * 300
        it.run.say(0, ev.Asked(1, "free-2", longer), ev.Started(1), ev.Delta(1, 1, "None."))
        await it.beat()
        await it.press("5", "g")
        assert "… Q: whole" in it.screen.question_bar.text
        assert it.pane(0)[1] == " None.", "and never in the panes"
        read: list[str] = []
        hints: list[str] = []
        while not hints or "whole" not in hints[-1]:
            await it.press("Q")
            *rows, last = it.screen.question_bar.text.strip().split("\n")[1:]
            assert it.screen.prompt.region.bottom <= 24 and len(it.pane(0)) > 2
            hints.append(last.strip())
            read += rows if "whole" not in last else []
        assert "".join("".join(read).split()) == "".join(longer.split())
        assert hints[:-1] == [*["Q: further"] * (len(hints) - 2), "Q: shorter"]
        await it.press("Q", "enter")
        await it.until(lambda: "Q: whole" in it.screen.question_bar.text)  # room for the answers
        await it.press("4", "Q")
        assert "whole question is shown" in it.notice_text()


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


async def test_zoom_shows_the_chosen_pane_alone() -> None:
    async with comparing() as it:
        assert it.screen.grid
        await it.press("tab", "z")
        assert [pane.display for pane in it.screen.grid.panes] == [False, True]
        assert it.screen.grid.panes[1].size.width == 120
        await it.press("z")
        assert [pane.display for pane in it.screen.grid.panes] == [True, True]


async def test_scrolling_keys_and_following_the_end() -> None:
    async with comparing() as it:
        assert it.screen.grid
        pane = it.screen.grid.panes[0]
        it.run.asked(0, 0, "logic")
        it.run.tokens(0, 0, [f"line {n}\n" for n in range(200)])
        await it.beat()
        assert pane.follow and any("line 199" in row for row in it.pane(0))
        await it.press("k")
        top = pane.top
        assert not pane.follow
        it.run.tokens(0, 0, [f"line {n}\n" for n in range(200, 300)])
        await it.beat()
        assert pane.top == top
        await it.press("g")
        assert pane.top == 0 and " line 0" in it.pane(0)
        await it.press("j", "down")
        assert pane.top == 2
        await it.press("up")
        assert pane.top == 1
        await it.press("pagedown")
        page = pane.top
        await it.press("ctrl+d")
        assert 1 < page < pane.top
        await it.press("ctrl+u", "pageup")
        assert pane.top == 1
        await it.press("G")
        assert pane.follow and any("line 299" in row for row in it.pane(0))
        it.run.tokens(0, 0, ["the very last"])
        await it.beat()
        assert any("the very last" in row for row in it.pane(0))


async def test_copy_goes_to_clipboard_and_file(tmp_path: Path) -> None:
    async with comparing() as it:
        await it.press("y")
        assert "no answer" in it.notices()[0]
        it.run.asked(0, 0, "logic")
        it.run.tokens(0, 0, ["乙", " tells the truth"])
        await it.beat()
        await it.press("y")
        assert it.app.clipboard == "乙 tells the truth"
        (file,) = (tmp_path / "duibi-sessions").glob("*.txt")
        assert file.read_text("utf-8") == "乙 tells the truth"
        assert str(file) in it.notices()[-1] and file.stat().st_mode & 0o777 == 0o600


async def test_screenshot_keeps_the_width_of_chinese_and_fetches_nothing(tmp_path: Path) -> None:
    async with comparing() as it:
        await it.press("S")
        (file,) = tmp_path.glob("*.svg")
        svg = file.read_text("utf-8")
        assert "逻辑推理" in svg and "font-face" not in svg
        cell = float(svg.split(">1/3<")[0].rsplit('textLength="', 1)[1].split('"')[0]) / 3
        places = svg.split(">逻辑推理<")[0].rsplit(' x="', 1)[1].split('"')[0].split()
        steps = [float(b) - float(a) for a, b in pairwise(places)]
        assert steps == pytest.approx([2 * cell] * 3), "each character in its own two cells"


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

        for name in ("answer.ask", "question.next", "pane.down", "app.quit", "screen.zoom"):
            assert name in text()
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


async def test_quitting_asks_once_while_answers_run() -> None:
    async with comparing() as it:
        it.run.asked(0, 0, "logic")
        await it.beat()
        await it.press("q")
        assert it.app.is_running and "still running" in it.notices()[0]
        await it.press("q")
        assert it.app.return_value == 0


async def test_ctrl_c_twice_in_mid_stream_says_that_it_was_interrupted() -> None:
    async with comparing() as it:
        it.run.asked(0, 0, "logic")
        await it.beat()
        await it.press("ctrl+c")
        assert it.app.is_running and "still running" in it.notices()[0]
        await it.press("ctrl+c")
        assert it.app.return_value == 130


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


@pytest.mark.parametrize(
    ("count", "size", "shown"),
    [
        (2, (120, 36), 2),
        (4, (120, 36), 4),
        (6, (160, 48), 6),
        (2, (80, 24), 2),
        (3, (100, 24), 3),
        (2, (60, 20), 1),
        (6, (120, 20), 1),
    ],
)
async def test_layouts(count: int, size: tuple[int, int], shown: int) -> None:
    async with comparing(*(f"model-{n}" for n in range(count)), size=size) as it:
        grid = it.screen.grid
        assert grid is not None
        panes = list(grid.visible_panes())
        assert len(panes) == shown
        assert all(pane.size.width >= 32 and pane.size.height >= 4 for pane in panes)
        if shown > 1 and size[0] <= 100:
            assert len({pane.region.y for pane in panes}) == 1, "side by side"
        assert grid.tabs.display == (shown == 1)
        if shown == 1:
            it.run.asked(1, 0, "logic")
            it.run.tokens(1, 0, ["a preview of it"])
            await it.beat()
            assert "a preview of it" in grid.tabs.text
            await it.press("tab")
            assert [pane.index for pane in grid.visible_panes()] == [1]
            assert " a preview of it" in it.pane(1)


async def test_resizing_keeps_the_text_and_says_when_it_is_too_small() -> None:
    async with comparing() as it:
        it.run.asked(0, 0, "logic")
        it.run.tokens(0, 0, ["some words that are wrapped "] * 20)
        await it.beat()
        await it.pilot.resize_terminal(39, 12)
        await it.beat()
        assert it.screen.has_class("-tiny") and "39x12" in it.screen.too_small.text
        for size in ((40, 12), (200, 50), (100, 24)):
            await it.pilot.resize_terminal(*size)
            await it.beat()
            assert not it.screen.has_class("-tiny")
            assert any("wrapped" in row for row in it.pane(0))


async def test_failures_notes_and_limits_are_said_in_words() -> None:
    async with comparing() as it:
        it.run.say(0, ev.Failed("out_of_memory", "needs 17 GB [/x]", "use @int4"))
        it.run.asked(1, 0, "logic")
        it.run.say(1, ev.Delta(0, 1, "I think", True), ev.Delta(0, 1, "So it is."))
        it.run.answered(1, 0, finish="length")
        it.run.say(RUN, ev.Note("a remark", 0, "person"))
        await it.beat()
        left, right = "\n".join(it.pane(0)), "\n".join(it.pane(1))
        assert "✗ needs 17 GB [/x]" in left and "→ use @int4" in left and "failed" in left
        assert "┊ I think" in right and "limit of new tokens" in right and "✎ a remark" in right


async def test_loading_is_shown_with_stage_and_percent() -> None:
    async with comparing() as it:
        it.run.say(0, ev.Load("reading weights", 43, 100))
        await it.beat()
        assert "Loading: reading weights 43 %" in it.pane(0)[0]
        assert it.pane(0)[1] == " Loading: reading weights"
        assert it.pane(0)[2] == f" {'━' * 17}{'─' * 23}  43 %"


async def test_status_bar_has_memory_speed_and_save_state() -> None:
    async with comparing(size=(160, 36)) as it:
        it.run.asked(0, 0, "logic")
        it.run.tokens(0, 0, ["a", "b", "c"])
        it.run.say(RUN, ev.Memory(used=3_000_000_000, limit=8_000_000_000), us=2_000_000)
        await it.beat()
        text = it.screen.status_bar.text
        assert "180 MB + 270 MB mapped" in text and "memory 3.0 GB of 8.0 GB" in text
        assert "decoding" in text and "tok/s" in text and text.rstrip().endswith("saved")
        it.run.save_state = SaveState(saved=False, error="the disk is full", pending=3)
        await it.beat()
        assert "NOT SAVED: the disk is full" in it.screen.status_bar.text


@pytest.mark.parametrize("size", [(120, 36), (80, 24), (40, 12)])
async def test_notices_cover_neither_status_nor_keys(size: tuple[int, int]) -> None:
    from textual.widgets._toast import Toast

    from tui.app.main import make_app
    from tui.options import ScreenOptions

    app = make_app(ScreenOptions(), lambda look: CompareScreen(look, ScriptedRun(), Path()))
    async with app.run_test(size=size, notifications=True) as pilot:
        await until_shown(pilot, lambda: isinstance(app.screen, CompareScreen))
        screen = app.screen
        assert isinstance(screen, CompareScreen)
        screen.show_notice("a few words")
        await until_shown(pilot, lambda: any(toast.region for toast in screen.query(Toast)))
        bottom = max(toast.region.bottom for toast in screen.query(Toast))
        assert bottom <= screen.status_bar.region.y


async def test_the_chosen_row_is_seen_without_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with comparing() as it:
        assert it.screen.grid is not None
        chosen, other = (pane.render_line(0) for pane in it.screen.grid.panes)
        assert all(s.style and s.style.reverse for s in chosen)
        assert not any(s.style and s.style.reverse for s in other)


async def test_a_first_screen_that_cannot_open_ends_in_one_line() -> None:
    from tui.app.main import make_app
    from tui.options import ScreenOptions

    def first(_: object) -> CompareScreen:
        raise UserError("no such session", "look for it")

    app = make_app(ScreenOptions(), first)
    await app.run_async(headless=True)
    assert app.user_error is not None and app.user_error.message == "no such session"
    assert app.return_code == 2 and not app._exit_renderables


async def test_chinese_is_complete_on_the_screen() -> None:
    async with comparing(lang="zh") as it:
        it.run.asked(0, 0, "logic")
        await it.beat()
        assert "预填充" in it.pane(0)[0] and "就绪" in it.pane(1)[0]
        assert "提问" in it.screen.keys_bar.text


async def test_nothing_is_repainted_when_nothing_happens() -> None:
    async with comparing() as it:
        it.run.asked(0, 0, "logic")
        it.run.tokens(0, 0, ["a", "b"])
        it.run.answered(0, 0)
        painted: list[object] = []
        display = it.app._display
        it.app._display = lambda *args: (painted.append(args), display(*args))[1]  # type: ignore[method-assign]
        # Once nothing was painted for a while, nothing is any more.
        while True:
            before = len(painted)
            await it.pilot.pause(0.5)
            if len(painted) == before:
                break
        await it.pilot.pause(0.8)
        assert len(painted) == before


@pytest.mark.parametrize(
    ("kernels", "note", "lang", "said"),
    [
        ("AVX2", "", "en", "· int8, own kernels, AVX2"),
        ("AVX2", "", "zh", "· int8，由 duibi 的 AVX2 计算内核计算"),
        ("torch", "no compiler", "en", "· int8, torch's kernels (no compiler)"),
        ("torch", "", "zh", "· int8，由 torch 的计算内核计算"),
    ],
)
async def test_whose_kernels_compute_is_said_with_the_raw_text_only(
    kernels: str, note: str, lang: str, said: str
) -> None:
    async with comparing(lang=lang) as it:
        loaded = ev.Loaded(1.0, dtype="int8", device="cpu", kernels=kernels, kernels_note=note)
        it.run.say(0, loaded)
        await it.beat()
        assert not any("·" in row for row in it.pane(0)), it.pane(0)
        it.run.asked(0, 0, "logic")
        it.run.tokens(0, 0, ["a"])
        it.run.answered(0, 0)
        await it.press("w")
        assert sum(said in row for row in it.pane(0)) == 1, it.pane(0)
        await it.press("w")
        assert not any("·" in row for row in it.pane(0)), it.pane(0)


async def test_what_broke_off_is_asked_again_when_all_is_done() -> None:
    async with comparing() as it:
        it.run.is_idle = False
        await it.until(lambda: not it.screen._was_idle)
        it.run.broken_off = [4, 5]
        it.run.is_idle = True
        await it.beat()
        await until_shown(it.pilot, lambda: any("broke off" in one for one in it.notices()))
        assert it.run.broken_off == []


async def test_an_earlier_answer_is_looked_at_and_counts_when_it_is_pinned() -> None:
    async with comparing() as it:
        for answer, text in enumerate(("乙说真话", "丙说真话", "乙说真话")):
            it.run.asked(0, answer, "logic", "谁说真话？")
            it.run.tokens(0, answer, [text])
            it.run.answered(0, answer)
        await it.beat()
        assert any("Answer 3 of 3" in row and "2 of 3 alike" in row for row in it.pane(0))
        await it.press("left_square_bracket")
        await it.beat()
        assert any("丙说真话" in row for row in it.pane(0))
        assert any("Answer 2 of 3; P makes it the one" in row for row in it.pane(0))
        assert not any(isinstance(event.body, ev.Chosen) for event in it.run.all)
        await it.press("P")
        await it.beat()
        assert any("Answer 2 of 3: the one that counts" in row for row in it.pane(0))
        assert it.run.all[-1].body == ev.Chosen(1)
        await it.press("right_square_bracket")
        await it.beat()
        assert any("Answer 3 of 3; P makes" in row for row in it.pane(0))
        assert it.run.all[-1].body == ev.Chosen(1)
        await it.press("u")
        await it.beat()
        assert any("Answer 3 of 3: the one that counts" in row for row in it.pane(0))
        await it.press("P")
        assert "is the one that counts" in it.notices()[-1]


async def test_one_answer_has_none_beside_it() -> None:
    async with comparing() as it:
        it.run.asked(0, 0, "logic", "谁说真话？")
        it.run.answered(0, 0)
        await it.beat()
        await it.press("left_square_bracket")
        await it.beat()
        assert "one answer here" in it.notices()[-1]
        assert not any(isinstance(event.body, ev.Chosen) for event in it.run.all)
