"""Judging with hidden names."""

from pathlib import Path

import pytest

from benchmarks.support.scripted_run import ScriptedRun
from benchmarks.support.sessions import HEADER, write_session
from tests.support.judging_stage import judging, judging_run
from tests.support.stage import BEAT
from tui import events as ev
from tui.app.screens.differences import DifferencesScreen
from tui.host import paths
from tui.scoring import blind
from tui.sessions.journal import Journal


def leaks(text: str) -> list[str]:
    return [word for word in ("demo", "bf16", "fp32", "Qwen", "tok/s", "TTFT") if word in text]


def tell_tale(folder: Path) -> Path:
    """A session in which a model says its name in two tokens."""
    from dataclasses import replace

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
    async with judging_run(run, tmp_path) as it:
        for model in (0, 1):
            run.ready(model)
            run.asked(model, model, "logic")
        for piece in ("I am Qw", "en-7", "B, and I go on ", "talking"):
            run.tokens(1, 1, [piece])
            await it.pilot.pause(BEAT)
            assert not leaks(it.text())
        assert "go on talking" in it.text() and blind.REDACTED in it.text()
        place = blind.shuffled_order(2, "logic", header.started).index(1)
        assert it.screen.grid is not None
        it.screen.grid.choose(place)
        await it.press("escape", "escape")
        assert run.calls == [("cancel", 1, [1])]
