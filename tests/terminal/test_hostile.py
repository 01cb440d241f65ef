"""Texts that want to act, in every place that shows text: none reaches a terminal as it is."""

import base64
import operator
import os
import re
import subprocess
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest

from benchmarks.support import tiny
from benchmarks.support.terminal import DUIBI, Terminal
from tests.support import hostile
from tui.host import paths
from tui.text.sanitise import clean


def environment(tmp_path: Path) -> dict[str, str]:
    names = ("CACHE", "CONFIG", "SESSIONS")
    found = {f"DUIBI_{name}_DIR": str(tmp_path / name) for name in names}
    return found | {"DUIBI_LANG": "en", "HOME": str(tmp_path)}


def keys(it: Terminal, *steps: str) -> None:
    """Press keys, and read what they lead to until nothing more comes."""
    for key in steps:
        before = it.text()
        it.send(key)
        if key == "\x1b":  # with a key close behind it, it would be Alt with that key
            it.wait(partial(operator.ne, before))
            it.read(0.3)
        until_quiet(it)


def until_quiet(it: Terminal) -> None:
    for _ in range(100):
        if not it.read(0.1):
            return


def replayed(text: str, folders: Mapping[str, str]) -> bytes:
    """All that a replay writes when every key that shows something is pressed."""
    path = hostile.write_hostile_session(Path(folders["DUIBI_SESSIONS_DIR"]), text)
    command = [*DUIBI, "replay", str(path), "--speed", "max"]
    # A report goes into the current folder; what is written is looked at there.
    with Terminal(command, folders, 120, 40, cwd=path.parent) as it:
        it.wait("the end")
        keys(it, "1", "z", "z", "y", "S", "d", "\x1b", "s", "\x1b", "v", "\x1b", "?", "\x1b")
        keys(it, "c", "\x1b", "\x10", "\x1b", "/", "x\r", "n", "b", "b", "b", "2", "l", "\x1b")
        it.resize(80, 24)
        keys(it, "1", "\t", "e", "\r")
        it.wait("report", 60)
        until_quiet(it)
        keys(it, "q")
        if it.process.isalive():
            keys(it, "q")
        assert it.wait_exit() == 0 and it.is_restored()
    return bytes(it.raw)


def copies(raw: bytes) -> list[str]:
    found = re.findall(rb"\x1b\]52;c;([^\x07]*)\x07", raw)
    return [base64.b64decode(code).decode() for code in found]


@pytest.mark.parametrize(
    "number",
    [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, len(hostile.HOSTILE_TEXTS)))],
)
def test_a_replay_shows_them_and_does_nothing(number: int, tmp_path: Path) -> None:
    text, folders = hostile.HOSTILE_TEXTS[number], environment(tmp_path)
    raw = replayed(text, folders)
    assert hostile.active_sequences(raw) == []
    assert copies(raw) and all(clean(copied) == copied for copied in copies(raw))
    for made in Path(folders["DUIBI_SESSIONS_DIR"]).rglob("*.*"):
        if made.suffix in (".txt", ".md", ".svg", ".html"):
            assert not set(made.read_text("utf-8")) & set("\x1b\x07\x08\x9b\x9d\u202e"), made.name


@pytest.fixture
def crowded(tmp_path: Path) -> dict[str, str]:
    """Sessions, models, themes and question sets that are named so."""
    folders = environment(tmp_path)
    model = tiny.write_llama(tmp_path / "one", num_hidden_layers=1)
    themes = tmp_path / "CONFIG" / "themes"
    themes.mkdir(parents=True)
    good = (paths.bundled("themes") / "duibi-dark.toml").read_text("utf-8")
    for number, text in enumerate(hostile.HOSTILE_TEXTS):
        hostile.write_hostile_session(tmp_path / "SESSIONS", text)
        (tmp_path / hostile.file_name(text)).symlink_to(model)
        if number < 4:
            broken = good.replace("dark = true", "dark = 1")
            (themes / f"{hostile.file_name(text)}.toml").write_text(broken, "utf-8")
        (tmp_path / f"{hostile.file_name(text)}.toml").write_text(f"name = 'x\n{text}", "utf-8")
    return folders


@pytest.mark.slow
def test_lists_show_them_and_do_nothing(crowded: dict[str, str], tmp_path: Path) -> None:
    with Terminal(DUIBI, crowded, 120, 60, cwd=tmp_path) as it:
        it.wait("Recorded samples")
        until_quiet(it)
        keys(it, *"jjjjjjjjjjjjjjjjjjjjjjjj", "g", "l")
        it.wait("Sessions")
        keys(it, "/", "click", "\r", " ", "D", "u", "\x1b")
        keys(it, "q")
        assert it.wait_exit() == 0 and it.is_restored()
        said = it.raw.decode()
    assert hostile.active_sequences(bytes(it.raw)) == []
    assert "theme" in said and "`dark` is true or false" in said


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        ["sessions", "list"],
        ["sessions", "show", "last"],
        ["sessions", "verify", "last"],
        ["models", "list"],
        ["replay", "last", "--plain", "--speed", "max"],
        ["report", "last", "--format", "md"],
        ["rank", "last"],
        ["questions", "check", "SETS"],
        ["replay", "NAMES"],
        ["MODELS", "--questions", "smoke"],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_commands_say_them_and_do_nothing(
    command: list[str], crowded: dict[str, str], tmp_path: Path
) -> None:
    """On a pipe, as `less -R` or a log would show it."""
    names = [hostile.file_name(text) for text in hostile.HOSTILE_TEXTS]
    runs = [command]
    if "SETS" in command:
        runs = [[*command[:-1], *(f"./{name}.toml" for name in names)]]
    elif "NAMES" in command:
        runs = [["replay", f"nothing {name}"] for name in names[:3]]
    elif "MODELS" in command:
        runs = [["run", f"./no {name}", *command[1:]] for name in names[:3]]
    for arguments in runs:
        done = subprocess.run(
            [*DUIBI, *arguments], env=os.environ | crowded, cwd=tmp_path, capture_output=True
        )
        assert b"Traceback" not in done.stderr and done.stdout + done.stderr
        for said in (done.stdout, done.stderr):
            rest = said.replace(b"\t", b" ").replace(b"\n", b" ")
            assert hostile.active_sequences(rest) == []
