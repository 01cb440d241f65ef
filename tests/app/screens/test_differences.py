"""The view of differences, and the report and pictures that a key writes."""

import math
import re
from pathlib import Path

from benchmarks.support.sessions import HEADER, write_session
from tests.support.judging_stage import judging
from tui import events as ev
from tui.app.screens.differences import DifferencesScreen
from tui.sessions.journal import Journal
from tui.sessions.reader import read


async def test_differences_are_marked_and_both_columns_scroll(tmp_path: Path) -> None:
    path = write_session(tmp_path, models=3, tokens=120)
    async with judging(path) as it:
        await it.press("tab", "d")
        view = it.app.screen
        assert isinstance(view, DifferencesScreen)
        assert "demo@bf16" in it.text() and "demo@fp32" in it.text() and "in common" in it.text()
        top = it.text()
        await it.press("pagedown", "j")
        assert view.diff.top > 2 and it.text() != top
        await it.press("G")
        assert "word0.119" in it.text() and "word1.119" in it.text()
        await it.press("tab")
        assert "demo@int8" in it.text()
        await it.press("n")
        assert "2/2" in it.text() and "答" in it.text() and view.diff.top == 0
        await it.press("d")
        assert it.app.screen is it.screen and it.screen.question == "q2"


async def test_e_writes_the_report_next_to_the_session(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    path = write_session(folder)
    async with judging(path, size=(120, 30), lang="zh") as it:
        await it.press("s", "5", "escape", "e")
        await it.until(lambda: "完整报告，可直接上交" in it.text())
        await it.press("enter")
        await it.until(lambda: "报告已保存在" in it.notice_text())
        assert str(tmp_path) in it.notice_text() and it.screen.question == "q1"
    (markdown,), (html,) = tmp_path.glob("*-report.md"), tmp_path.glob("*-report.html")
    assert "同济大学在哪里" in markdown.read_text() and "<svg" in html.read_text()
    assert "word1" in html.read_text() and html.stat().st_mode & 0o077 == 0


async def test_pictures_are_png_where_the_settings_say_so(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    path = write_session(folder)
    async with judging(path, sessions_dir=folder, pictures="png") as it:
        await it.press("S")
        await it.until(lambda: "A picture of the screen is in" in it.notice_text())
        (picture,) = tmp_path.glob("*.png")  # where reports go, too
        assert picture.read_bytes().startswith(b"\x89PNG") and not list(tmp_path.rglob("*.svg"))
        await it.press("e")
        await it.until(lambda: "The whole, to hand in" in it.text())
        await it.press("1")
        await it.until(lambda: "-report.html" in it.notice_text())
    (markdown,), (html,) = tmp_path.glob("*-report.md"), tmp_path.glob("*-report.html")
    for name in re.findall(r"!\[[^]]*\]\(([^)]+)\)", markdown.read_text()):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert html.read_text().count("data:image/png;base64,") == 2


async def test_where_two_formats_part_both_choices_are_shown(tmp_path: Path) -> None:
    path = write_session(tmp_path)
    events = read(path).events
    path.unlink()
    journal = Journal.create(tmp_path, HEADER)
    for event in events[1:]:
        body = event.body
        if isinstance(body, ev.Answered) and body.answer in (0, 1):
            for token in ("same", ("猫", "\x1b[2J")[body.answer]):
                top: list[object] = [["牛", math.log(0.3)], ["猫", math.log(0.6)], ["x", "y"]]
                said = ev.Logprobs(body.answer, token, None, top)
                journal.append(event.t_us, event.model, said)
        if not isinstance(body, ev.End):
            journal.append(event.t_us, event.model, body)
    journal.close("done")
    async with judging(journal.path, size=(118, 30)) as it:
        await it.press("d")
        assert "They part at token 2" in it.text()
        assert "“猫” 60.0%, “牛” 30.0%  " in it.text()
        assert "│ chosen: “␛[2J”; “猫” 60.0%, “牛” 30.0%" in it.text()
        await it.press("n")
        assert "part at token" not in it.text()


async def test_questions_that_differ_are_stepped_through(tmp_path: Path) -> None:
    """`f` chooses which questions, `o` puts the most different ones first."""
    path = write_session(tmp_path)
    journal = Journal.reopen(path)
    for answer, stars in enumerate((4, 4, 5, 1)):
        journal.append(journal.last_us, ev.RUN, ev.Rated(answer, "语言理解", stars))
    journal.close()
    async with judging(path, size=(118, 30)) as it:
        await it.press("d")
        assert "1/2" in it.text() and "which questions" in it.text()
        await it.press("o")
        assert "question 2: most different first 1/2" in it.text() and "答0" in it.text()
        await it.press("n")
        assert "most different first 2/2" in it.text() and "word0" in it.text()
        await it.press("o", "f", "f")
        assert "unrated –/0" in it.text()
        await it.press("n", "f")
        assert "failed –/0" in it.text() and "word0" in it.text()
        await it.press("f")
        assert "1/2" in it.text() and "failed" not in it.text()


async def test_names_stay_whole_where_a_filter_takes_their_row(tmp_path: Path) -> None:
    async with judging(write_session(tmp_path), size=(80, 24)) as it:
        await it.press("d", "f", "o")
        assert re.search(r"demo@bf16 +│ demo@fp32", it.text())
        assert "question 1: differing most different first 1/2" in it.text()
        await it.press("f", "f", "f", "o")
        assert re.search(r"demo@fp32 +38 % in common  1/2", it.text()), "one row is enough"
