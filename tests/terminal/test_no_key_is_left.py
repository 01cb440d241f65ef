"""Keys of services in the environment appear nowhere that the program writes or shows, and in
nothing that it starts: in the real screen, in its crash, and in what is made of the session."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import psutil

import tui
from benchmarks.support import tiny
from benchmarks.support.fault_server import FaultServer, Received, Reply, error_status, good_answer
from benchmarks.support.terminal import Terminal
from tests.support.commands import in_one_process, outputs
from tests.support.streamed import streamed
from tui.board import fold
from tui.sessions.reader import read

CANARY = "sk-canary-c0ffee-5d41402abc4b2a76"
KEYS = ("DUIBI_API_KEY", "OPENAI_API_KEY", "DEEPSEEK_API_KEY", "DASHSCOPE_API_KEY", "BOX_TOKEN")
SPIES = Path(__file__).parents[1] / "support" / "spies"
HOME = Path(tui.__file__).parents[1]

# The program itself, but for one key that breaks it with the key within reach.
CRASHING = """
import os, sys
from tui.app.screens.compare import CompareScreen
from tui.cli import main

def broken(self):
    key, engines = os.environ["DUIBI_API_KEY"], [lane.engine for lane in self.run._lanes]
    held = [engine.__dict__ for engine in engines]
    raise RuntimeError("nobody thought of " + key)

CompareScreen.action_elsewhere = broken
main(sys.argv[1:])
"""


def gossip(reply: Reply, received: Received) -> None:
    """Answers the first question; gives the key back with the second."""
    if received.number:
        return error_status(400, f"what is {received.headers['authorization']}?")(reply, received)
    return good_answer("Paris", ".")(reply, received)


def environment(tmp_path: Path) -> dict[str, str]:
    folders = {
        f"DUIBI_{name.upper()}_DIR": str(tmp_path / name)
        for name in ("cache", "config", "sessions")
    }
    return {
        **dict.fromkeys(KEYS, CANARY),
        **folders,
        "DUIBI_LANG": "en",
        "DUIBI_TEST_CHILDREN": str(tmp_path / "children.jsonl"),
        "PYTHONPATH": os.pathsep.join((str(SPIES), str(HOME))),
        "PYTHONFAULTHANDLER": "1",
        "no_proxy": "*",
        "OMP_NUM_THREADS": "1",
    }


def commands(env: Mapping[str, str], *lines: tuple[str, ...]) -> str:
    """All that some commands print."""
    done = subprocess.run(
        in_one_process(*lines),
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=180,
    )
    assert done.returncode == 0 and b"Traceback" not in done.stderr, done.stderr
    for line, (status, printed) in zip(lines, outputs(done.stdout), strict=True):
        assert status in (0, 2), (line, printed, done.stderr)
    return (done.stdout + done.stderr).decode()


def test_keys_are_left_nowhere_and_a_crash_ends_the_run_whole(tmp_path: Path) -> None:
    env = environment(tmp_path)
    checkpoint = tiny.write_llama(
        tmp_path / "tiny", stop=319, num_hidden_layers=30, hidden_size=128
    )
    arguments: list[str] = []
    with FaultServer(gossip) as server:
        # A service of one's own, and one that wants the key of another variable.
        (tmp_path / "config").mkdir(mode=0o700)
        (tmp_path / "config" / "duibi.toml").write_text(
            f'[services.box]\nbase_url = "{server.url}"\nkey_variable = "BOX_TOKEN"\n'
        )
        models = [f"{checkpoint}@fp32", f"{server.url}#m", "box:m"]
        flags = ["--questions", "smoke", "--max-new-tokens", "3000"]
        command = [sys.executable, "-c", CRASHING, *models, *flags]
        with Terminal(command, env, cwd=tmp_path) as terminal:
            terminal.wait("1/3", 60)
            terminal.send("\r")
            terminal.wait(lambda text: "Paris" in text and "what is Bearer ***?" in text, 120)
            terminal.wait(lambda _: streamed(tmp_path / "sessions", model=0) > 20, 120)
            program = psutil.Process(terminal.process.pid)
            workers = program.children(recursive=True)
            for process in (program, *workers):
                arguments += process.cmdline()
            terminal.send("S")
            terminal.wait("picture")
            terminal.send("W")
            assert terminal.wait_exit() == 1 and terminal.is_restored()
            shown = bytes(terminal.raw)
            assert workers and psutil.wait_procs(workers, timeout=60)[1] == []
        asked = [r.headers["authorization"] for r in server.requests]
        (session,) = (tmp_path / "sessions").glob("*.duibi")
        reports = [
            ("report", str(session), "--out", str(tmp_path / f"report.{kind}"))
            for kind in ("md", "html", "csv", "jsonl", "cast")
        ]
        said = commands(
            env,
            *reports,
            ("sessions", "show", str(session)),
            ("score", str(session), "--checks"),
            ("replay", str(session), "--plain", "--speed", "max"),
            ("models", "inspect", str(checkpoint)),
            ("models", "list", "--services"),
            ("doctor",),
        )
    # It was there to be found: it reached the servers, and the program said that it is set.
    assert set(asked) == {f"Bearer {CANARY}"}
    assert "BOX_TOKEN is set" in said
    # An error of the screen ends the run whole.
    reading = read(session)
    board = fold(reading.events)
    assert reading.verdict == "complete" and board.end and board.end.status == "crashed"
    assert {a.state for a in board.answers.values()} == {"cancelled", "answered", "failed"}
    (local,) = board.conversation(0, "capital")
    assert local.state == "cancelled" and local.text
    assert b"internal error" in shown and b"Traceback" not in shown
    log = (tmp_path / "cache" / "logs" / "duibi.log").read_text()
    assert "nobody thought of ***" in log

    assert CANARY.encode() not in shown and CANARY not in said and CANARY not in str(arguments)
    lines = Path(env["DUIBI_TEST_CHILDREN"]).read_text().splitlines()
    children = [json.loads(line) for line in lines]
    started = {part for child in children for part in child["command"]}
    assert {"tui.worker.fork_server", "tui.worker.check"} <= started, started
    assert not [child["command"] for child in children if CANARY in str(child)]
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert session in written and len(written) > 10
    assert not [path for path in written if CANARY.encode() in path.read_bytes()]
