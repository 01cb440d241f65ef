"""Stars, votes, notes, hidden names, differences and the report, all by keys at 80x24."""

import math
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from benchmarks.support.scripted_run import ScriptedRun
from benchmarks.support.sessions import HEADER, write_session
from tests.support.stage import BEAT, Stage
from tui import events as ev
from tui.app.app import DuibiApp
from tui.app.main import make_app
from tui.app.screens.compare import CompareScreen
from tui.app.screens.differences import DifferencesScreen
from tui.app.screens.judging import JudgingScreen
from tui.app.screens.replay import ReplayScreen
from tui.app.widgets.stars_bar import StarsBar
from tui.app.widgets.votes_bar import VotesBar
from tui.board import fold
from tui.host import paths
from tui.options import ScreenOptions
from tui.scoring import blind
from tui.sessions.journal import Journal, SaveState
from tui.sessions.player import Player
from tui.sessions.reader import read


class JudgingStage(Stage):
    def __init__(self, app: DuibiApp, screen: JudgingScreen, pilot: Pilot[Any]) -> None:
        super().__init__(app, pilot)
        self.screen = screen

    @property
    def stars(self) -> StarsBar:
        assert self.screen.stars is not None
        return self.screen.stars

    @property
    def votes(self) -> VotesBar:
        assert self.screen.votes is not None
        return self.screen.votes


@asynccontextmanager
async def judging(
    path: Path,
    size: tuple[int, int] = (80, 24),
    beside: tuple[Path, ...] = (),
    sessions_dir: Path | None = None,
    **options: Any,
) -> AsyncIterator[JudgingStage]:
    player = Player(read(path).events, speed=math.inf)
    folder = sessions_dir or paths.sessions_dir()
    app = make_app(
        ScreenOptions(**options),
        lambda look: ReplayScreen(look, player, path, folder, beside),
    )
    async with app.run_test(size=size) as pilot:
        await pilot.pause(BEAT)
        screen = app.screen
        assert isinstance(screen, ReplayScreen)
        it = JudgingStage(app, screen, pilot)
        await it.press("1")
        yield it


def said(path: Path, kind: type) -> list[Any]:
    return [event.body for event in read(path).events if isinstance(event.body, kind)]


async def test_stars_one_key_each_go_through_dimensions_and_panes(tmp_path: Path) -> None:
    path = write_session(tmp_path)
    async with judging(path) as it:
        await it.press("s")
        assert "5★" not in it.text() and "1-5 stars" in it.text()
        assert "question 1: 1 of 2" in it.stars.text and "demo@bf16" in it.stars.text
        await it.press("5", "4", "3", "2")
        assert "question 1: 2 of 2" in it.stars.text and "demo@fp32" in it.stars.text
        await it.press("1", "1", "1", "1")
        assert it.screen.question == "q2" and "question 2: 1 of 2" in it.stars.text
        assert "1★" in it.screen.question_bar.text and "2☆" in it.screen.question_bar.text
        await it.press("escape", "p")
        assert not it.stars.display and "★★★★★" in it.text()
    stars = [(r.answer, r.stars) for r in said(path, ev.Rated)]
    assert stars == [(0, 5), (0, 4), (0, 3), (0, 2), (1, 1), (1, 1), (1, 1), (1, 1)]
    assert read(path).verdict == "complete"


async def test_stars_are_changed_and_taken_back_and_nothing_is_overwritten(tmp_path: Path) -> None:
    path = write_session(tmp_path)
    async with judging(path) as it:
        await it.press("s", "5", "left", "2", "left", "0", "escape")
        assert it.screen.board.answers[0].stars == {}
        await it.press("s", "right", "3")
        assert it.screen.board.answers[0].stars == {"回答逻辑": 3}
    assert [r.stars for r in said(path, ev.Rated)] == [5, 2, 0, 3]
    assert fold(read(path).events).answers[0].stars == {"回答逻辑": 3}


async def test_after_the_last_star_and_the_last_vote_nothing_closes_and_no_key_does_more(
    tmp_path: Path,
) -> None:
    path = write_session(tmp_path)
    async with judging(path) as it:
        theme = it.app.appearance.theme.name
        await it.press("s", *["3"] * 16)
        assert "All is judged" in it.stars.text and it.screen.question == "q2"
        await it.press("5", "1", "t", "e", "a", "b", "q", "m", "0", "x", "v", "s")
        assert it.stars.display and it.screen.question == "q2" and not it.screen.is_blind
        assert it.app.appearance.theme.name == theme and it.app.is_running
        await it.press("escape", "v", "l", "r")
        assert "All is judged" in it.votes.text
        await it.press("l", "r", "t", "b", "1", "3")
        assert it.votes.display and it.app.appearance.theme.name == theme
        await it.press("escape")
        assert not it.votes.display
    assert [v.choice for v in said(path, ev.Voted)] == ["left", "right"]


async def test_u_takes_back_and_goes_there(tmp_path: Path) -> None:
    path = write_session(tmp_path)
    async with judging(path) as it:
        await it.press("u")
        assert "Nothing was judged" in it.notice_text()
        await it.press("s", *["4"] * 9)
        assert it.screen.question == "q2"
        await it.press("u", "u")
        assert it.screen.question == "q1" and "question 1: 2 of 2" in it.stars.text
        assert len(it.screen.board.answers[1].stars) == 3
        await it.press("1")
        assert sorted(it.screen.board.answers[1].stars.values()) == [1, 4, 4, 4]
        await it.press("escape", "v", "r", "u")
        assert it.votes.display and "no vote yet" in it.votes.text
        await it.press("escape", "1", "c")
        await it.until(lambda: "A note on" in it.text())
        await it.press("g", "o", "enter")
        await it.until(lambda: "✎ go" in it.text())
        await it.press("u")
        await it.until(lambda: "✎" not in it.text())


async def test_a_note_while_judging_leads_back_to_it(tmp_path: Path) -> None:
    async with judging(write_session(tmp_path)) as it:
        await it.press("s", "5", "c")
        await it.until(lambda: "A note on" in it.text())
        await it.press("x", "enter")
        await it.until(lambda: it.stars.display and it.stars.has_focus)
        await it.press("4")
        assert list(it.screen.board.answers[0].stars.values()) == [5, 4]


async def test_judging_starts_where_nothing_was_judged(tmp_path: Path) -> None:
    async with judging(write_session(tmp_path)) as it:
        await it.press("s", *["4"] * 4, "escape", "1", "s")
        assert "question 1: 2 of 2" in it.stars.text


async def test_votes_stand_in_the_panes(tmp_path: Path) -> None:
    async with judging(write_session(tmp_path), size=(120, 30)) as it:
        await it.press("v", "l", "escape", "1")
        assert "▲ better than demo@fp32" in it.text() and "▼ worse than demo@bf16" in it.text()


async def test_while_stars_are_given_panes_scroll_and_questions_turn(tmp_path: Path) -> None:
    path = write_session(tmp_path, tokens=400)
    async with judging(path) as it:
        assert it.screen.grid is not None
        await it.press("g", "s")
        await it.press("pagedown", "j", "down")
        assert it.screen.grid.pane.top > 2
        await it.press("tab")
        assert "demo@fp32" in it.stars.text and it.screen.grid.chosen == 1
        await it.press("n")
        assert it.screen.question == "q2" and it.stars.display
        await it.press("4")
    assert [(r.answer, r.stars) for r in said(path, ev.Rated)] == [(2, 4)]


async def test_votes_on_every_pair(tmp_path: Path) -> None:
    path = write_session(tmp_path, models=3)
    async with judging(path) as it:
        await it.press("v")
        assert "question 1: 1 of 3" in it.votes.text and "no vote yet" in it.votes.text
        await it.press("l", "t", "b")
        assert it.screen.question == "q2" and "question 2: 1 of 3" in it.votes.text
        await it.press("p")
        assert "left is better" in it.votes.text
        await it.press("r")
        assert it.screen.question == "q2"
        await it.press("p", "enter", "enter", "0")
    votes = [(v.left, v.right, v.choice) for v in said(path, ev.Voted)]
    assert votes == [(0, 1, "left"), (0, 2, "tie"), (1, 2, "bad"), (0, 1, "right"), (1, 2, "none")]


async def test_a_note_is_kept_changed_and_taken_back(tmp_path: Path) -> None:
    path = write_session(tmp_path)
    async with judging(path, size=(120, 30)) as it:
        await it.press("c")
        await it.press("g", "o", "o", "d", "enter")
        await it.until(lambda: "✎ good" in it.text())
        await it.press("c")
        await it.press("!", "enter")
        await it.until(lambda: "✎ good!" in it.text())
        await it.press("c")
        await it.press(*["backspace"] * 5, "enter")
        await it.until(lambda: "✎" not in it.text())
        await it.press("c")
        await it.press("x", "escape")
    assert [(n.answer, n.text) for n in said(path, ev.Note)] == [(0, "good"), (0, "good!"), (0, "")]


async def test_there_must_be_something_to_judge(tmp_path: Path) -> None:
    header = ev.Session(1, "0", "2026-11-22T08:30:00Z", [{"name": "one"}], HEADER.questions)
    path = write_session(tmp_path, models=1, header=header)
    async with judging(path) as it:
        await it.press("v")
        assert "two finished answers" in it.notice_text()
        await it.press("d")
        assert "Two answers" in it.notice_text()
    assert said(path, ev.Rated) == []


async def test_a_session_that_came_with_the_program_is_copied_before_it_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = paths.bundled
    monkeypatch.setattr(paths, "bundled", lambda n: tmp_path if n == "sessions" else real(n))
    path = write_session(tmp_path)
    before = path.read_bytes()
    async with judging(path) as it:
        await it.press("s", "4", "escape")
        assert it.screen.board.answers[0].stars == {"语言理解": 4}
    assert path.read_bytes() == before
    assert len(said(paths.sessions_dir() / path.name, ev.Rated)) == 1


async def test_judging_a_session_that_is_being_written_is_refused(tmp_path: Path) -> None:
    from tui.sessions.journal import Journal

    path = write_session(tmp_path, status="")
    journal = Journal.reopen(path)
    try:
        async with judging(path) as it:
            await it.press("s", "4")
            assert "being written" in it.notice_text() and it.stars.display
    finally:
        journal.close()


# Names hidden.


def leaks(text: str) -> list[str]:
    return [word for word in ("demo", "bf16", "fp32", "Qwen", "tok/s", "TTFT") if word in text]


def tell_tale(folder: Path) -> Path:
    """A session in which a model says its name in two tokens."""
    from dataclasses import replace

    from tui.sessions.journal import Journal

    models = [{"name": "ms:Qwen/Qwen-7B-Chat", "label": "Qwen-7B-Chat"}, *HEADER.models[:1]]
    journal = Journal.create(folder, replace(HEADER, models=models))
    for question, base in (("q1", 0), ("q2", 2)):
        for model in (0, 1):
            journal.append(10_000, model, ev.Loaded(1.0))
            journal.append(20_000, model, ev.Asked(base + model, question, "Who are you?"))
            journal.append(20_000, model, ev.Started(base + model))
            for piece in ("I am Qw", "en", ", and ", "you are de", "mo", "."):
                journal.append(30_000, model, ev.Delta(base + model, 1, piece))
            body = ev.Answered(base + model, "stop", 3, 6, ttft_ms=10.0, decode_tok_s=2.0)
            journal.append(40_000, model, body)
    journal.close("done")
    return journal.path


@pytest.mark.parametrize("size", [(80, 24), (120, 30)])
async def test_blind_mode_shows_no_name_anywhere_until_it_is_revealed(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    path = tell_tale(tmp_path)
    async with judging(path, size=size) as it:
        assert leaks(it.text())
        await it.press("b")
        await it.until(lambda: "Names are hidden" in it.notice_text())
        it.app.clear_notifications()
        for keys in (["1"], ["n"], ["tab"], ["z"], ["z"], ["s"], ["escape"], ["v"], ["escape"]):
            await it.press(*keys)
            await it.pilot.pause(BEAT)
            picture = it.app.export_screenshot()
            assert not leaks(it.text()) and not leaks(picture), keys
        assert blind.REDACTED in it.text()
        await it.press("c")
        await it.until(lambda: "A note on" in it.text())
        assert not leaks(it.text())
        await it.press("escape", "d")
        assert isinstance(it.app.screen, DifferencesScreen) and not leaks(it.text())
        await it.press("escape", "y", "S", "e")
        assert "reveal them first" in it.notice_text() and not leaks(it.notice_text())
        kept = [*paths.sessions_dir().iterdir(), *tmp_path.glob("*.svg")]
        assert len(kept) == 2
        for file in kept:
            assert not leaks(file.name) and not leaks(file.read_text())


async def test_blind_votes_go_to_the_answers_meant(tmp_path: Path) -> None:
    path = write_session(tmp_path)
    async with judging(path, size=(120, 30)) as it:
        await it.press("b")
        for question in ("q1", "q2"):
            number = question[1]
            await it.press(number, "v", "l", "escape", number, "s", "5", "escape")
            left = next(m for m in blind.shuffled_order(4, question, HEADER.started) if m < 2)
            answer = left + (2 if question == "q2" else 0)
            assert it.screen.board.answers[answer].stars == {"语言理解": 5}
            pair = (question, min(answer, answer ^ 1), max(answer, answer ^ 1))
            assert it.screen.board.votes[pair] == ("left" if left == 0 else "right")
        await it.press("b")
        assert "Here it was: A = demo@" in it.notice_text()
        assert "demo@bf16" in it.text() and not it.screen.is_blind


async def test_revealing_early_asks_once(tmp_path: Path) -> None:
    async with judging(write_session(tmp_path)) as it:
        await it.press("b", "b")
        assert it.screen.is_blind and "2 questions are not judged" in it.notice_text()
        await it.press("b")
        assert not it.screen.is_blind


async def test_a_session_begun_blind_opens_blind_and_streams_blind(tmp_path: Path) -> None:
    run = ScriptedRun("demo@bf16", "Qwen-7B@int4")
    header = run.all[0].body
    assert isinstance(header, ev.Session)
    header.settings["blind"] = True
    app = make_app(ScreenOptions(), lambda look: CompareScreen(look, run, tmp_path))
    async with app.run_test(size=(120, 30)) as pilot:
        screen = app.screen
        assert isinstance(screen, CompareScreen)
        it = JudgingStage(app, screen, pilot)
        for model in (0, 1):
            run.ready(model)
            run.asked(model, model, "logic")
        for piece in ("I am Qw", "en-7", "B, and I go on ", "talking"):
            run.tokens(1, 1, [piece])
            await pilot.pause(BEAT)
            assert not leaks(it.text())
        assert "go on talking" in it.text() and blind.REDACTED in it.text()
        place = blind.shuffled_order(2, "logic", header.started).index(1)
        assert screen.grid is not None
        screen.grid.choose(place)
        await it.press("escape", "escape")
        assert run.calls == [("cancel", 1, [1])]


# Live.


async def test_judging_a_live_run_goes_through_the_run(tmp_path: Path) -> None:
    run = ScriptedRun()
    app = make_app(ScreenOptions(), lambda look: CompareScreen(look, run, tmp_path))
    async with app.run_test(size=(80, 24)) as pilot:
        screen = app.screen
        assert isinstance(screen, CompareScreen)
        it = JudgingStage(app, screen, pilot)
        for model in (0, 1):
            run.ready(model)
            run.asked(model, model, "logic")
            run.tokens(model, model, ["so ", "it is"])
        await pilot.pause(BEAT)
        await it.press("v", "enter", "l")  # too early: l is a vote here, not the list of sessions
        assert "two finished answers" in it.votes.text and app.screen is screen
        await it.press("escape", "s", "2")
        assert "no finished answer" in it.stars.text
        for model in (0, 1):
            run.answered(model, model)
        await it.until(lambda: "question 1: 1 of 2" in it.stars.text)
        await it.press("4", "escape", "v", "t")
        assert screen.board.answers[0].stars == {"语言理解": 4}
        assert screen.board.votes == {("logic", 0, 1): "tie"}


async def test_saving_elsewhere_when_the_disk_is_full(tmp_path: Path) -> None:
    run = ScriptedRun()
    app = make_app(ScreenOptions(), lambda look: CompareScreen(look, run, tmp_path))
    async with app.run_test(size=(120, 30)) as pilot:
        screen = app.screen
        assert isinstance(screen, CompareScreen)
        it = JudgingStage(app, screen, pilot)
        run.save_state = SaveState(False, "no space left on the disk", 7)
        await pilot.pause(BEAT)
        assert "NOT SAVED: no space left on the disk (W: elsewhere)" in it.text()
        await it.press("W")
        await it.until(lambda: "another folder" in it.text())
        await it.press(*"/other", "enter")
        await it.until(lambda: "/other/" in it.notice_text())
        assert ("save_to", Path("/other")) in run.calls


# Differences and the report.


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
            for token in ("same", ("cat", "dog")[body.answer]):
                top: list[object] = [[token, math.log(0.6)], ["cow", math.log(0.3)]]
                said = ev.Logprobs(body.answer, token, math.log(0.6), top)
                journal.append(event.t_us, event.model, said)
        if not isinstance(body, ev.End):
            journal.append(event.t_us, event.model, body)
    journal.close("done")
    async with judging(journal.path, size=(118, 30)) as it:
        await it.press("d")
        assert "They part at token 2" in it.text()
        assert "“cat” 60.0%, “cow” 30.0%" in it.text() and "“dog” 60.0%" in it.text()
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
        assert "most different first 1/2" in it.text() and "答0" in it.text()
        await it.press("n")
        assert "most different first 2/2" in it.text() and "word0" in it.text()
        await it.press("o", "f", "f")
        assert "unrated –/0" in it.text()
        await it.press("n", "f")
        assert "failed –/0" in it.text() and "word0" in it.text()
        await it.press("f")
        assert "1/2" in it.text() and "failed" not in it.text()
