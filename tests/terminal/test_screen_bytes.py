"""The screens on a real pseudo-terminal: what Pilot never sees, the bytes."""

import signal
import sys
from pathlib import Path

import pytest

import tui
from benchmarks.support.sessions import write_session
from benchmarks.support.terminal import DUIBI, Terminal
from tests.support.waiting import until


@pytest.fixture
def session(tmp_path: Path) -> Path:
    return write_session(tmp_path / "s", tokens=20)


def replaying(path: Path, *flags: str, **env: str) -> Terminal:
    return Terminal([*DUIBI, "replay", str(path), *flags], env={"DUIBI_LANG": "en", **env})


def test_it_plays_writes_nothing_more_quits_and_leaves_the_terminal_as_it_was(
    session: Path,
) -> None:
    with replaying(session, "--speed", "max") as it:
        it.wait("the end")
        assert b"\x1b[>" not in it.raw, "kitty's keys take the input method away"
        assert "答0.19" in it.text() or "0.19" in it.text()
        until(lambda: not it.read(1.0))
        assert it.read(2.0) == b"", "nothing happens"
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
        it.wait("1 session")
        it.send("/word1")
        it.wait("Found in 1 session")
        it.send("\r")
        it.wait("Enter open")
        it.send("\r")
        it.wait("the end")
        it.send("q")
        assert it.wait_exit() == 0


def test_a_replay_that_loops_begins_again_until_sighup_ends_it(session: Path) -> None:
    with replaying(session, "--loop", "--speed", "2") as it:
        it.wait("0:01 / 0:02")
        it.wait("0:00 / 0:02")
        assert "the end" not in it.text()
        it.process.kill(signal.SIGHUP)
        assert it.wait_exit() == 130
        assert it.is_restored()


def test_sigterm_ends_it_and_restores_the_terminal(session: Path) -> None:
    with replaying(session) as it:
        it.wait("demo@bf16")
        it.process.kill(signal.SIGTERM)
        assert it.wait_exit() == 130
        assert it.is_restored()


@pytest.mark.parametrize(
    ("env", "said", "told"),
    [
        ({"NO_COLOR": "1"}, "", "no colours: NO_COLOR is set"),
        ({"COLORTERM": ""}, "", "Terminal xterm-256color, 256 colours"),
        ({"TERM": "screen", "COLORTERM": ""}, "", "Terminal screen, 16 colours"),
        ({"TERM": "linux", "COLORTERM": ""}, "no Chinese", "Terminal linux, 16 colours"),
        ({"TERM": "unknown"}, "TERM=unknown says", ""),
        ({"LC_ALL": "zh_CN.GBK"}, "zh_CN.GBK is not UTF-8", "truecolor"),
    ],
)
def test_what_a_terminal_cannot_do_is_said_in_words(
    session: Path, env: dict[str, str], said: str, told: str
) -> None:
    with replaying(session, "--speed", "max", **env) as it:
        it.wait(lambda text: "the end" in text and said in text)
        it.send("t")
        it.wait("Theme:")
        it.send("?")
        it.wait(lambda text: "answer.copy" in text and told in text)
        it.send("\x1b")
        it.wait(lambda text: "answer.copy" not in text and "the end" in text)
        if "NO_COLOR" in env:
            assert b"\x1b[38;" not in it.raw and b";38;" not in it.raw
        it.send("q")
        assert it.wait_exit() == 0


def test_a_dumb_terminal_gets_text(session: Path) -> None:
    with replaying(session, "--speed", "max", TERM="dumb") as it:
        assert it.wait_exit() == 0
        assert b"\x1b" not in it.raw and b"Is water wet?" in it.raw


def test_a_replay_begins_at_the_first_token_and_says_what_it_cuts(session: Path) -> None:
    with replaying(session) as it:
        it.wait(lambda text: "waits cut to 1 s" in text and "0.1" in text)


def test_a_copy_reaches_the_terminal_around_tmux(session: Path, tmp_path: Path) -> None:
    with replaying(session, "--speed", "max", TMUX="/nowhere,1,0") as it:
        it.wait("the end")
        it.send("y")
        it.wait("Copied")
        begin = it.raw.index(b"\x1b]52;c;")
        plain = it.raw[begin : it.raw.index(b"\x07", begin)]
        assert b"\x1bPtmux;\x1b" + plain + b"\x07\x1b\\" in it.raw


CRASH = """
import os, sys
from tui.app.main import make_app
from tui.app.screens.base import BaseScreen
from tui.options import ScreenOptions

class Broken(BaseScreen):
    def parts(self):
        return ()
    def on_mount(self):
        key = "sk-" + "secret"
        raise RuntimeError("something nobody thought of: " + os.environ["SOME_API_KEY"])

app = make_app(ScreenOptions(), Broken)
app.run(mouse=False)
sys.exit(app.return_code)
"""


def test_a_crash_shows_no_variables_and_says_where_the_details_are(tmp_path: Path) -> None:
    home, key = Path(tui.__file__).parent.parent, {"SOME_API_KEY": "canary-of-a-key"}
    with Terminal([sys.executable, "-c", CRASH], key, cwd=home) as it:
        assert it.wait_exit() == 1 and it.is_restored()
        said = it.raw.decode()
    log = (tmp_path / "duibi-cache" / "logs" / "duibi.log").read_text()
    assert "internal error" in said and "duibi.log" in said and "Traceback" not in said
    assert "something nobody thought of" in log and "Traceback" in log
    assert "sk-secret" not in said + log and "canary" not in said + log
