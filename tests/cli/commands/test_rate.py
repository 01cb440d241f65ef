"""Judging by hand in a real terminal of 80x24, keys only."""

import re
import subprocess
from pathlib import Path

import pytest

from benchmarks.support.recorded_sessions import record_session, recorded_header
from benchmarks.support.terminal import DUIBI, Terminal
from tui import cli
from tui.app.bindings import holders
from tui.app.keymap import default_keys
from tui.board import fold
from tui.cli.support.rating_steps import KEYS, KeyTable
from tui.sessions import reader

LABELS = ["Qwen-7B-Chat@int4", "demo@bf16"]
QUESTIONS = [{"id": f"q{i}", "category": "逻辑", "turns": [f"第 {i} 题"]} for i in range(2)]


def text(model: int, question: int) -> str:
    return f"我是 {LABELS[model]}。\x1b[2J" + "很长的回答，" * 4 + ("行\n" * 40 if question else "")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return record_session(tmp_path / "s", recorded_header(LABELS, QUESTIONS), text)


def press(terminal: Terminal, keys: str, wanted: str) -> None:
    terminal.send(keys)
    terminal.wait(wanted)
    # What is typed right behind an arrow's escape sequence would pass for its rest.
    terminal.read(0.3)


def test_stars_notes_votes_with_keys_only(path: Path) -> None:
    with Terminal([*DUIBI, "rate", str(path), "--lang", "zh"], columns=80, rows=24) as terminal:
        terminal.wait("语言理解 ☆☆☆☆☆ ?")
        assert "1/2 逻辑" in terminal.text()
        row = next(row for row in terminal.text().splitlines() if row.startswith(LABELS[0]))
        assert row.endswith(f"│ {LABELS[1]}"), "side by side"
        press(terminal, "5", "回答逻辑 ☆☆☆☆☆ ?")
        press(terminal, "x", "1-5 打分，0 不打分，→ 保持，← 返回，u 撤销，c 备注")
        press(terminal, "4", "幽默感 ☆☆☆☆☆ ?")
        press(terminal, "\x1b[D", "回答逻辑 ★★★★☆ ?")
        press(terminal, "2", "幽默感 ☆☆☆☆☆ ?")
        press(terminal, "3", "输出流畅性 ☆☆☆☆☆ ?")
        press(terminal, "u", "幽默感 ☆☆☆☆☆ ?")
        press(terminal, "c", "备注：")
        press(terminal, "好笑\n", "幽默感 ☆☆☆☆☆ ?")
        press(terminal, "\x1b[A", "1-5 打分")
        press(terminal, "\r", "输出流畅性 ☆☆☆☆☆ ?")
        press(terminal, "3", f"-- {LABELS[1]}")
        for key, wanted in (("1", "回答逻辑"), ("1", "幽默感"), ("1", "输出流畅性")):
            press(terminal, key, f"{wanted} ☆☆☆☆☆ ?")
        press(terminal, "1", f"{LABELS[0]} | {LABELS[1]} ?")
        press(terminal, "l", "-- 任意键：继续，q：暂停 --")
        terminal.send("q")
        assert terminal.wait_exit() == 0
        said = "".join(terminal.text().split())
        assert f"已评8/18，均已保存；`duibirate{path}`接着评" in said
        assert b"\x1b[2J" not in terminal.raw
    reading = reader.read(path)
    board = fold(reading.events)
    assert reading.verdict == "complete"
    assert board.answers[0].stars == {"语言理解": 5, "回答逻辑": 2, "输出流畅性": 3}
    assert [n.text for n in board.answers[0].notes] == ["好笑"]
    assert set(board.answers[2].stars.values()) == {1}
    assert board.votes == {("q0", 0, 2): "left"}


def test_a_sitting_begins_at_what_is_not_judged_and_undoes_only_its_own(path: Path) -> None:
    for key, first in (("5", "Understanding ☆☆☆☆☆ ?"), ("4", "Logic ☆☆☆☆☆ ?")):
        with Terminal([*DUIBI, "rate", str(path)], columns=80, rows=24) as terminal:
            terminal.wait(first)
            press(terminal, "u", "nothing was judged in this sitting yet")
            press(terminal, key, "☆☆☆☆☆ ?")
            press(terminal, "n", "2/2 逻辑")
            terminal.send("\x1b")  # as on the screen; q says the same
            assert terminal.wait_exit() == 0
    answer = fold(reader.read(path).events).answers[0]
    assert answer.stars == {"语言理解": 5, "回答逻辑": 4}


def test_the_keys_are_those_of_the_screen() -> None:
    there = {id_: keys for kind in holders() for id_, keys in default_keys(kind).items()}
    assert {id_: there[id_] for id_ in KEYS} == KEYS
    table = KeyTable({"votes.left": "a", "judge.undo": "ctrl+u,z"})
    assert [table.action(key, "votes") for key in "alz0"] == [
        *("votes.left", "", "judge.undo", "votes.none")
    ]
    assert [table.action(key, "stars") for key in ("3", "right", "left", "l")] == [
        *("stars.3", "stars.next", "stars.previous", "")
    ]


def test_each_rater_sees_the_own_stars_only(path: Path) -> None:
    """Two people, one after the other; none is swayed by the other."""
    for rater, key in (("李", "5"), ("wang", "2")):
        command = [*DUIBI, "rate", str(path), "--lang", "zh", "--rater", rater]
        with Terminal(command, columns=80, rows=24) as terminal:
            terminal.wait("语言理解 ☆☆☆☆☆ ?")
            press(terminal, key, "回答逻辑 ☆☆☆☆☆ ?")
            terminal.send("q")
            assert terminal.wait_exit() == 0
    answer = fold(reader.read(path).events).answers[0]
    assert answer.ratings == {("李", "语言理解"): 5, ("wang", "语言理解"): 2}
    assert answer.stars == {"语言理解": 2} and answer.stars_of("李") == {"语言理解": 5}


def test_blind_shows_no_name_before_the_end_and_then_all(path: Path) -> None:
    size = path.stat().st_size
    with Terminal([*DUIBI, "rate", str(path), "--blind"], columns=80, rows=24) as terminal:
        terminal.wait("Understanding ☆☆☆☆☆ ?")
        while "1. A " not in terminal.text():
            at_end = "A | B" in terminal.text().strip().rsplit("\n", 1)[-1]
            shown = terminal.raw.decode("utf-8", "replace").lower()
            assert not re.search("qwen|demo@|llama", shown)
            assert not re.search(b"(?i)qwen|demo@|llama", path.read_bytes()[size:])
            terminal.send("l" if at_end else "3" if "?" in terminal.text()[-40:] else "\r")
            terminal.read(0.08)
        assert terminal.wait_exit() == 0
    ending = terminal.raw.decode("utf-8", "replace").rsplit("1. A ", 1)[1]
    assert all(label in ending for label in LABELS)
    board = fold(reader.read(path).events)
    assert len(board.votes) == 2 and all(len(a.stars) == 4 for a in board.answers.values())


def test_blind_broken_off_tells_nothing(path: Path) -> None:
    with Terminal([*DUIBI, "rate", str(path), "--blind"], columns=80, rows=24) as terminal:
        terminal.wait("Understanding ☆☆☆☆☆ ?")
        terminal.send("4q")
        assert terminal.wait_exit() == 0
        assert not re.search("qwen|demo@", terminal.raw.decode("utf-8", "replace").lower())
    assert sum(len(a.stars) for a in fold(reader.read(path).events).answers.values()) == 1


def test_no_answers_and_no_session(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = record_session(tmp_path / "s", recorded_header(LABELS, []), text)
    assert cli.run_command_line(["rate", str(empty)]) == 0
    assert "no complete answers" in capsys.readouterr().err
    assert cli.run_command_line(["rate", "nothing"]) == 2


def test_the_names_that_a_blind_rating_reveals_do_nothing_to_a_terminal(tmp_path: Path) -> None:
    labels = ["\x1b]52;c;UFdO\x07\x1b[7;7HPWN", "demo@bf16"]
    sent = record_session(tmp_path / "s", recorded_header(labels, QUESTIONS), text)
    command = [*DUIBI, "rate", str(sent), "--blind"]
    done = subprocess.run(command, input=b"\n" * 400, capture_output=True)
    assert done.returncode == 0 and b"PWN" in done.stdout
    assert b"\x1b" not in done.stdout and b"\x07" not in done.stdout
