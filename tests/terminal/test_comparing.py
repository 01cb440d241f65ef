"""A comparison in a real terminal: ask, cycle, type, leave; the session is whole."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from benchmarks.support.terminal import DUIBI, Terminal
from tui.board import fold
from tui.sessions.reader import read

COMPARE = (*DUIBI, "demo@bf16", "demo@fp32", "--questions", "smoke", "--max-new-tokens", "16")


def session_of(folders: Mapping[str, str]) -> Path:
    (path,) = Path(folders["DUIBI_SESSIONS_DIR"]).glob("*.duibi")
    return path


def typed_is_answered(folders: Mapping[str, str]) -> bool:
    """Whether every model has answered the second turn that was asked of it."""
    board = fold(read(session_of(folders)).events)
    typed = [answer for answer in board.answers.values() if answer.turn]
    return bool(typed) and all(answer.state == "answered" for answer in typed)


def test_two_models_are_asked_also_a_typed_question_and_the_terminal_is_as_before(
    folders: Mapping[str, str],
) -> None:
    with Terminal(COMPARE, folders) as terminal:
        terminal.wait(lambda text: "1/3" in text and text.count("Enter asks this") == 2, 60)
        assert not fold(read(session_of(folders)).events).answers, "nobody asked yet"
        terminal.send("\r")
        terminal.wait(lambda text: text.count("Paris") >= 2, 60)
        terminal.send("n")
        terminal.wait("2/3")
        terminal.send("\r")
        terminal.wait(lambda text: text.count("tok/s") >= 2 and "17 + 25" in text, 60)
        terminal.send("3")
        terminal.wait("3/3")
        terminal.send("1")
        terminal.wait("1/3")
        terminal.wait(lambda text: text.count("Paris") >= 2)
        terminal.send("i")
        terminal.wait("Enter send")
        terminal.send("And of Italy?\r")
        terminal.wait("And of Italy?")
        terminal.wait(lambda _: typed_is_answered(folders), 60)
        terminal.send("\x1b")
        terminal.read(0.3)
        terminal.send("q")
        terminal.read(0.5)
        if terminal.process.isalive():
            terminal.send("q")
        assert terminal.wait_exit() == 0
        assert terminal.is_restored()
        assert b"Traceback" not in terminal.raw
        said = f"saved {session_of(folders).name} · 6 answers · duibi replay last"
        assert said.replace(" ", "") in "".join(terminal.text().split())

    reading = read(session_of(folders))
    assert reading.verdict == "complete"
    board = fold(reading.events)
    first = [board.conversation(model, "capital")[0] for model in (0, 1)]
    assert [a.state for a in first] == ["answered", "answered"]
    assert all("Paris" in a.text for a in first)
    assert all(a.figures and a.figures.ttft_ms and a.figures.peak_private for a in first)
    assert all(m.loaded and m.loaded.family for m in board.models)

    # A typed question goes on in the conversation.
    before, typed = board.conversation(0, "capital")
    assert (before.turn, typed.turn, typed.prompt) == (0, 1, "And of Italy?")
    assert typed.started and before.started
    assert typed.started.prompt_tokens > before.started.prompt_tokens + before.tokens

    verified = subprocess.run(
        [*DUIBI, "sessions", "verify", str(reading.path), "--json"],
        capture_output=True,
        check=True,
        env={**os.environ, **folders},
    )
    said = json.loads(verified.stdout)
    said = said[0] if isinstance(said, list) else said
    assert (said["verdict"], said["bytes_dropped"]) == ("complete", 0)


def test_a_terminal_too_small_is_told_so_and_comes_back(folders: Mapping[str, str]) -> None:
    with Terminal((*DUIBI, "demo", "--questions", "smoke"), folders, 80, 24) as terminal:
        terminal.wait("1/3")
        terminal.resize(30, 6)
        terminal.wait("40")
        terminal.resize(80, 24)
        terminal.wait("1/3")
        terminal.send("q")
        terminal.read(0.3)
        if terminal.process.isalive():
            terminal.send("q")
        assert terminal.wait_exit() == 0
