"""What stands where on the live screen, at each size and in each state."""

from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks.support.scripted_run import ScriptedRun
from tests.support.stage import comparing, until_shown
from tui import events as ev
from tui.app.screens.compare import CompareScreen
from tui.events import RUN
from tui.sessions.journal import SaveState


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
