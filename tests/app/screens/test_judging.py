"""Stars, votes and notes, all by keys at 80x24."""

from pathlib import Path

import pytest

from benchmarks.support.scripted_run import ScriptedRun
from benchmarks.support.sessions import HEADER, write_session
from tests.support.judging_stage import judging, judging_run, said
from tests.support.stage import BEAT
from tui import events as ev
from tui.board import fold
from tui.host import paths
from tui.sessions.journal import Journal, SaveState
from tui.sessions.reader import read


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

    path = write_session(tmp_path, status="")
    journal = Journal.reopen(path)
    try:
        async with judging(path) as it:
            await it.press("s", "4")
            assert "being written" in it.notice_text() and it.stars.display
    finally:
        journal.close()


async def test_judging_a_live_run_goes_through_the_run(tmp_path: Path) -> None:
    run = ScriptedRun()
    async with judging_run(run, tmp_path, size=(80, 24)) as it:
        for model in (0, 1):
            run.ready(model)
            run.asked(model, model, "logic")
            run.tokens(model, model, ["so ", "it is"])
        await it.pilot.pause(BEAT)
        await it.press("v", "enter", "l")  # too early: l is a vote here, not the list of sessions
        assert "two finished answers" in it.votes.text and it.app.screen is it.screen
        await it.press("escape", "s", "2")
        assert "no finished answer" in it.stars.text
        for model in (0, 1):
            run.answered(model, model)
        await it.until(lambda: "question 1: 1 of 2" in it.stars.text)
        await it.press("4", "escape", "v", "t")
        assert it.screen.board.answers[0].stars == {"语言理解": 4}
        assert it.screen.board.votes == {("logic", 0, 1): "tie"}


async def test_saving_elsewhere_when_the_disk_is_full(tmp_path: Path) -> None:
    run = ScriptedRun()
    async with judging_run(run, tmp_path) as it:
        run.save_state = SaveState(False, "no space left on the disk", 7)
        await it.pilot.pause(BEAT)
        assert "NOT SAVED: no space left on the disk (W: elsewhere)" in it.text()
        await it.press("W")
        await it.until(lambda: "another folder" in it.text())
        await it.press(*"/other", "enter")
        await it.until(lambda: "/other/" in it.notice_text())
        assert ("save_to", Path("/other")) in run.calls
