"""Judging with keys alone in a real terminal of 80x24, with and without names."""

from pathlib import Path

from benchmarks.support.sessions import HEADER, write_session
from benchmarks.support.terminal import DUIBI, Terminal
from tui import events as ev
from tui.sessions.reader import read


def session(folder: Path) -> Path:
    header = ev.Session(1, "0", HEADER.started, HEADER.models[:2], HEADER.questions)
    return write_session(folder, header=header)


def test_stars_and_votes_end_in_the_file(tmp_path: Path) -> None:
    path = session(tmp_path)
    with Terminal([*DUIBI, "replay", str(path), "--speed", "max"], columns=80, rows=24) as it:
        it.wait("the end")
        it.send("1s")
        it.wait("question 1: 1 of 2")
        it.send("54321543")
        it.wait("question 2: 1 of 2")
        it.send("\x1b")
        it.wait(lambda text: "1-5 stars" not in text)
        it.send("1v")
        it.wait("no vote yet")
        it.send("l")
        it.wait("question 2: 1 of 1")
        it.send("\x1b")
        it.wait(lambda text: "question 2" not in text)
        it.send("q")
        assert it.wait_exit() == 0
    reading = read(path)
    stars = [e.body.stars for e in reading.events if isinstance(e.body, ev.Rated)]
    votes = [e.body.choice for e in reading.events if isinstance(e.body, ev.Voted)]
    assert stars == [5, 4, 3, 2, 1, 5, 4, 3] and votes == ["left"]
    assert reading.verdict == "complete"


def test_with_names_hidden_none_reaches_the_terminal(tmp_path: Path) -> None:
    path = session(tmp_path)
    with Terminal([*DUIBI, "replay", str(path), "--speed", "max"], columns=80, rows=24) as it:
        it.wait("the end")
        it.send("b")
        it.wait(lambda text: "demo" not in text and " A " in text)
        before = len(it.raw)
        for keys in ("1", "\t", "n", "s", "5", "\x1b", "v", "\x1b", "d", "\x1b", "z", "z"):
            it.send(keys)
            it.read(0.3)
        assert b"demo@" not in it.raw[before:] and "demo@" not in it.text()
        it.send("q")
        assert it.wait_exit() == 0
