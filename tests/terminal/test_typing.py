"""What is typed and pasted, as it arrives over a slow line: many keys in one read."""

import json
import random
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from benchmarks.support.terminal import Terminal
from tests.support.waiting import until

ROOT = Path(__file__).parent.parent.parent
SCREEN = (sys.executable, "-m", "tests.support.scripted_screen")


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Terminal]:
    names = ("CACHE", "CONFIG", "SESSIONS")
    env: Mapping[str, str] = {f"DUIBI_{name}_DIR": str(tmp_path / name) for name in names}
    with Terminal(SCREEN, {**env, "DUIBI_LANG": "en"}, cwd=ROOT) as terminal:
        terminal.wait("1/3")
        terminal.wait("ready")
        yield terminal


def asked(terminal: Terminal) -> list[str]:
    """The texts that were asked, after leaving."""
    terminal.send("\x03")
    terminal.read(0.5)
    terminal.send("\x03")
    assert terminal.wait_exit() == 0 and terminal.is_restored()
    said = terminal.raw[terminal.raw.rindex(b"\x1b[?1004l") :].decode()
    lines = said.removeprefix("\x1b[?1004l").splitlines()
    calls = [json.loads(line) for line in lines if line.startswith("[")]
    return [call[2] for call in calls if call[0] == "ask"]


def test_a_question_typed_in_one_burst_is_asked_whole(live: Terminal) -> None:
    live.send("iWhy is rain wet?\r")
    live.wait(lambda text: "free question" in text and "Why is rain wet?" in text)
    assert asked(live) == ["Why is rain wet?"]


def test_letters_of_a_question_are_no_commands(live: Terminal) -> None:
    live.send("fif n or p then i")
    live.wait("if n or p then i")
    assert "1/3" in live.text()
    live.send("\x1b")
    live.read(0.3)
    live.send("n")
    live.wait("2/3")
    assert asked(live) == []


def test_an_unmarked_paste_is_text_to_its_last_line(live: Terminal) -> None:
    live.send("i")
    live.wait("Enter send")
    lines = [f"line {n} of what was pasted without brackets" for n in range(200)]
    text = "\r".join(lines) + "\r"
    for at in range(0, len(text), 1000):  # as much as a terminal takes at once
        live.send(text[at : at + 1000])
        live.read(0.01)
    live.wait("line 199")
    assert asked(live) == []


def test_a_short_unmarked_paste_keeps_its_lines(live: Terminal) -> None:
    live.send("i")
    live.wait("Enter send")
    live.send("first\r  second()\r\rthird\r")
    live.wait("third")
    assert "second()" in live.text() and "free question" not in live.text()

    def is_sent() -> bool:
        live.send("\r")  # behind a paste it is a part of it, for a moment
        live.read(0.5)
        return "free question" in live.text()

    until(is_sent)
    assert [text for text in asked(live) if text] == ["first\n  second()\n\nthird"]


def test_twenty_thousand_unmarked_characters_do_not_stall_the_screen(live: Terminal) -> None:
    live.send("i")
    live.wait("Enter send")
    for _ in range(20):
        live.send("x" * 1000)
        live.read(0.01)
    live.send(" and its end")
    live.wait("its end")
    assert asked(live) == []


def test_an_unmarked_paste_into_a_pane_does_nothing(live: Terminal) -> None:
    live.send("narratives\rquite\r" * 20)
    live.read(1)
    assert live.process.isalive() and "1/3" in live.text()
    assert asked(live) == []


def test_a_marked_paste_of_a_hundred_kilobytes_is_taken_at_once(live: Terminal) -> None:
    live.send("i")
    live.wait("Enter send")
    lines = "\n".join(f"line {n} of a document 文档第 {n} 行" for n in range(2400))[:99_000]
    text = f"\x1b[200~{lines}\x1b[201~"
    for at in range(0, len(text), 1000):
        live.send(text[at : at + 1000])
        live.read(0.002)
    live.send(" and its end")
    live.wait("its end")
    live.send("\r")
    live.wait("free question")
    assert [len(one) for one in asked(live)] == [len(lines + " and its end")]


def test_the_cursor_stands_where_an_input_method_shows_its_words(live: Terminal) -> None:
    live.send("i")
    live.wait("Enter send")
    for typed, column in (("ab", 3), ("你好", 7), ("\x1b[D", 5)):
        live.send(typed)
        live.wait(lambda _, x=column: live.screen.cursor.x == x)  # type: ignore[misc]
        row = live.screen.display[live.screen.cursor.y]
        assert row.startswith(" ab"), "in the line that is typed"
    assert asked(live) == []


def test_a_storm_of_resizes_ends_in_the_same_screen(live: Terminal) -> None:
    until(lambda: not live.read(0.5))
    before = live.text()
    dice = random.Random(3)
    for _ in range(80):
        live.resize(dice.randrange(1, 200), dice.randrange(1, 60))
        live.read(0.01)
    live.resize(120, 36)
    live.wait(lambda text: text == before)
    assert asked(live) == []
