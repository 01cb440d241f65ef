"""The screens on a real pseudo-terminal: what Pilot never sees, the bytes."""

import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import tui
from tests.support.sessions import HEADER, write_session
from tests.support.terminal import DUIBI, Terminal
from tui import events as ev
from tui.sessions.journal import Journal

HOSTILE = [
    "\x1b[2J\x1b[999;1H\x1b]52;c;aGFja2Vk\x07",
    "\x9b31m\x9d0;title\x9c\x90q#0\x9c",
    "\x1bP+q544e\x1b\\ \x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\",
    "\r overwritten \x08\x08 \x0e\x0f \x7f \x05",
    "\u202egnp.exe\u202c \u2066x\u2069 \u200b\ufeff\ud800",
    "[/foo] [@click=app.quit]q[/] [bold]b[/bold]",
]


@pytest.fixture
def session(tmp_path: Path) -> Path:
    return write_session(tmp_path / "s", tokens=20)


def replaying(path: Path, *flags: str, **env: str) -> Terminal:
    return Terminal([*DUIBI, "replay", str(path), *flags], env={"DUIBI_LANG": "en", **env})


def visible(raw: bytes) -> set[bytes]:
    """The control sequences and characters a terminal would act on, apart from ours."""
    return {bytes([byte]) for byte in raw if byte < 0x20 and byte not in b"\x1b\x07\r\n\t"}


def test_it_plays_quits_and_leaves_the_terminal_as_it_was(session: Path) -> None:
    with replaying(session, "--speed", "max") as it:
        it.wait("the end")
        assert b"\x1b[>" not in it.raw, "kitty's keys take the input method away"
        assert "答0.19" in it.text() or "0.19" in it.text()
        it.send("q")
        assert it.wait_exit() == 0 and it.is_restored()


def test_watching_needs_no_model_library(session: Path, tmp_path: Path) -> None:
    """Replay, library and search where importing one of them ends the program."""
    for name in ("torch", "transformers", "tokenizers", "safetensors", "modelscope", "numpy"):
        (tmp_path / "absent" / name).mkdir(parents=True)
        (tmp_path / "absent" / name / "__init__.py").write_text("import os; os._exit(42)")
    absent = {"PYTHONPATH": str(tmp_path / "absent")}
    flags = ("--sessions", str(session.parent), "--speed", "8")
    with replaying(session, *flags, **absent) as it:
        it.wait("the end")
        it.send("l")
        it.wait("1 sessions")
        it.send("/word1")
        it.wait("Found in 1 sessions")
        it.send("\r")
        it.wait("Enter open")
        it.send("\r")
        it.wait("the end")
        it.send("q")
        assert it.wait_exit() == 0


def test_a_replay_that_loops_begins_again(session: Path) -> None:
    with replaying(session, "--loop", "--speed", "2") as it:
        it.wait("0:01 / 0:02")
        it.wait("0:00 / 0:02")
        assert "the end" not in it.text()
        it.send("q")
        assert it.wait_exit() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_in_a_second_and_restores_the_terminal(
    session: Path, number: signal.Signals
) -> None:
    with replaying(session) as it:
        it.wait("demo@bf16")
        began = time.monotonic()
        it.process.kill(number)
        assert it.wait_exit() == 130
        assert time.monotonic() - began < 1 and it.is_restored()


def test_nothing_is_written_when_nothing_happens(session: Path) -> None:
    with replaying(session, "--speed", "max") as it:
        it.wait("the end")
        it.read(1.0)
        silence = b""
        until = time.monotonic() + 2
        while time.monotonic() < until:
            silence += it.read(0.5)
        assert silence == b""


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "screen"}, {"TERM": "linux"}])
def test_plain_terminals(session: Path, env: dict[str, str]) -> None:
    with replaying(session, "--speed", "max", **env) as it:
        it.wait("the end")
        it.send("t")
        it.wait("Theme:")
        it.send("?")
        it.wait("answer.copy")
        it.send("\x1b")
        it.wait(lambda text: "answer.copy" not in text and "the end" in text)
        if "NO_COLOR" in env:
            assert b"\x1b[38;" not in it.raw and b";38;" not in it.raw
        it.send("q")
        assert it.wait_exit() == 0


def test_a_copy_reaches_the_terminal_around_tmux(session: Path, tmp_path: Path) -> None:
    with replaying(session, "--speed", "max", TMUX="/nowhere,1,0") as it:
        it.wait("the end")
        it.send("y")
        it.wait("Copied")
        begin = it.raw.index(b"\x1b]52;c;")
        plain = it.raw[begin : it.raw.index(b"\x07", begin)]
        assert b"\x1bPtmux;\x1b" + plain + b"\x07\x1b\\" in it.raw


def hostile_session(folder: Path, text: str) -> Path:
    """A session in which every text a person or a model can give is ``text``."""
    questions = {
        "name": text,
        "title": text,
        "questions": [{"id": text, "category": text, "turns": [text]}],
    }
    models = [{"name": text, "label": text} for _ in range(2)]
    journal = Journal.create(folder, replace(HEADER, models=models, questions=questions))
    journal.append(0, 0, ev.Loaded(1.0))
    journal.append(0, 1, ev.Load(text, 1, 2))
    journal.append(0, 0, ev.Asked(0, text, text))
    journal.append(0, 0, ev.Started(0))
    journal.append(0, 0, ev.Delta(0, text=text, reasoning=True))
    journal.append(0, 0, ev.Delta(0, text=text))
    journal.append(0, ev.RUN, ev.Note(text, 0, "person"))
    journal.append(0, 0, ev.Failed("crashed", text, text, 0))
    journal.append(0, 1, ev.Failed("crashed", text, text))
    journal.close("done")
    return journal.path


@pytest.fixture(params=range(len(HOSTILE)))
def hostile(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    yield hostile_session(tmp_path / "s", HOSTILE[request.param].replace("\ud800", ""))


def test_hostile_text_never_acts(hostile: Path, tmp_path: Path) -> None:
    with Terminal(
        [*DUIBI, "replay", str(hostile), "--speed", "max"],
        env={"DUIBI_LANG": "en"},
        columns=100,
        rows=40,
    ) as it:
        it.wait("the end")
        it.send("z")
        it.wait("the end")
        it.resize(80, 24)
        it.read(0.5)
        before_copy = bytes(it.raw)
        it.send("q")
        assert it.wait_exit() == 0 and it.is_restored()
    assert b"\x1b]52" not in before_copy and b"\x1b]0" not in before_copy
    assert b"\x1b]8" not in before_copy and b"\x1bP" not in before_copy
    assert b"\x1b[999" not in before_copy and not visible(before_copy)
    text = before_copy.decode("utf-8")
    assert not set(text) & set("\x9b\x9c\x9d\x90\u202e\u2066\u2069\u200b\ufeff")


CRASH = """
import sys
from tui.app.main import make_app
from tui.app.screens.base import BaseScreen
from tui.settings import Settings

class Broken(BaseScreen):
    def parts(self):
        return ()
    def on_mount(self):
        key = "sk-" + "secret"
        raise RuntimeError("something nobody thought of")

app = make_app(Settings(), Broken)
app.run(mouse=False)
sys.exit(app.return_code)
"""


def test_a_crash_shows_no_variables_and_says_where_the_details_are(tmp_path: Path) -> None:
    with Terminal([sys.executable, "-c", CRASH], cwd=Path(tui.__file__).parent.parent) as it:
        assert it.wait_exit() == 1 and it.is_restored()
        said = it.raw.decode()
    log = (tmp_path / "duibi-cache" / "logs" / "duibi.log").read_text()
    assert "internal error" in said and "duibi.log" in said and "Traceback" not in said
    assert "something nobody thought of" in log and "Traceback" in log
    assert "sk-secret" not in said + log
