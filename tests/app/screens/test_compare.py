"""Asking, stopping and what comes back: keys of the live screen over a scripted run."""

from dataclasses import replace

import pytest

from tests.support.stage import comparing, until_shown
from tui import events as ev
from tui.events import RUN
from tui.host.errors import UserError


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


async def test_a_stage_of_loading_without_a_figure_is_told_at_once() -> None:
    async with comparing() as it:
        for stage, told in (
            ("import", "starting the libraries"),
            ("kernels", "compiling the kernels, once"),
        ):
            it.run.say(0, ev.Load(stage, 0, 0))
            await it.beat()
            header, *rows = it.pane(0)
            assert f"Loading: {told}" in header and any(told in row for row in rows)


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
