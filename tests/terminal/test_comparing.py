"""A comparison in a real terminal: ask, cycle, type, stop, leave; the session is whole."""

import json
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import psutil

from benchmarks.support.terminal import DUIBI, Terminal
from tui import events as ev
from tui.board import fold
from tui.sessions.reader import read

COMPARE = (*DUIBI, "demo@bf16", "demo@fp32", "--questions", "smoke", "--max-new-tokens", "16")


def session_of(folders: Mapping[str, str]) -> Path:
    (path,) = Path(folders["DUIBI_SESSIONS_DIR"]).glob("*.duibi")
    return path


def test_two_models_are_asked_and_the_terminal_is_as_before(folders: Mapping[str, str]) -> None:
    with Terminal(COMPARE, folders) as terminal:
        terminal.wait("1/3")
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
        terminal.send("q")
        terminal.read(0.5)
        if terminal.process.isalive():
            terminal.send("q")
        assert terminal.wait_exit() == 0
        assert terminal.is_restored()
        assert b"Traceback" not in terminal.raw

    reading = read(session_of(folders))
    assert reading.verdict == "complete"
    board = fold(reading.events)
    first = [board.conversation(model, "capital")[0] for model in (0, 1)]
    assert [a.state for a in first] == ["answered", "answered"]
    assert all("Paris" in a.text for a in first)
    assert all(a.figures and a.figures.ttft_ms and a.figures.peak_private for a in first)
    assert all(m.loaded and m.loaded.family for m in board.models)

    verified = subprocess.run(
        [*DUIBI, "sessions", "verify", str(reading.path), "--json"],
        capture_output=True,
        check=True,
        env={**os.environ, **folders},
    )
    said = json.loads(verified.stdout)
    said = said[0] if isinstance(said, list) else said
    assert (said["verdict"], said["bytes_dropped"]) == ("complete", 0)


def test_a_typed_question_goes_on_in_the_conversation(folders: Mapping[str, str]) -> None:
    command = (*DUIBI, "demo", "--questions", "smoke", "--max-new-tokens", "12")
    with Terminal(command, folders) as terminal:
        terminal.wait("1/3")
        terminal.send("\r")
        terminal.wait("Paris", 60)
        terminal.wait("done")
        terminal.send("i")
        terminal.wait("Enter send")
        terminal.send("And of Italy?\r")
        terminal.wait("And of Italy?")
        terminal.wait(
            lambda _: len(_answered(folders)) == 2,
            60,
        )
        terminal.send("\x1b")
        terminal.read(0.3)
        terminal.send("q")
        assert terminal.wait_exit() == 0
    first, second = fold(read(session_of(folders)).events).conversation(0, "capital")
    assert (first.turn, second.turn, second.prompt) == (0, 1, "And of Italy?")
    assert second.started and first.started
    assert second.started.prompt_tokens > first.started.prompt_tokens + first.tokens


def _answered(folders: Mapping[str, str]) -> list[ev.Answered]:
    events = read(session_of(folders)).events
    return [e.body for e in events if isinstance(e.body, ev.Answered)]


def test_escape_stops_a_pane_and_keeps_what_it_said(folders: Mapping[str, str]) -> None:
    command = (*DUIBI, "demo", "--questions", "english", "--max-new-tokens", "400")
    with Terminal(command, folders) as terminal:
        terminal.wait("1/8")
        terminal.send("\r")
        terminal.wait("decoding", 60)
        terminal.read(1)
        terminal.send("\x1b")
        terminal.wait(lambda text: "decoding" not in text)
        terminal.send("q")
        assert terminal.wait_exit() == 0
    board = fold(read(session_of(folders)).events)
    (answer,) = board.answers.values()
    assert answer.state == "cancelled" and answer.text


def test_the_end_of_the_line_ends_the_program_and_its_workers(folders: Mapping[str, str]) -> None:
    for number in (signal.SIGHUP, signal.SIGTERM):
        with Terminal((*DUIBI, "demo", "--questions", "english"), folders) as terminal:
            terminal.wait("decoding", 60)
            children = psutil.Process(terminal.process.pid).children(recursive=True)
            assert children
            os.kill(terminal.process.pid, number)
            terminal.wait_exit()
            assert terminal.is_restored()
            _, alive = psutil.wait_procs(children, timeout=60)
            assert alive == []
    for path in Path(folders["DUIBI_SESSIONS_DIR"]).glob("*.duibi"):
        assert read(path).verdict == "complete"


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
