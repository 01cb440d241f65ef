"""Questions to two replicas of a model behind Ray Serve, of which one is killed in mid run.

    python -m tests.campaigns.ray_serve --ray PYTHON --gguf FILE [--questions 200]

PYTHON is an interpreter that has `ray[serve]`, aiohttp and xllamacpp (as in `tests/peers.txt`);
FILE a small chat model. `tests/support/ray_demo.py` serves it there. At four tenths of the answers
the process of one replica is killed with SIGKILL; Ray Serve starts another one. Printed: what was
asked, answered and lost.
"""

import argparse
import json
import os
import signal
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

import pytest

from benchmarks.figures import row
from tests.campaigns import promises
from tests.campaigns.cluster import WatchedRun, answered
from tests.campaigns.promises import expect
from tests.support.endpoints import clear_proxies, free_port
from tui.board import fold
from tui.events import Started
from tui.sessions import reader

TOKENS, CONCURRENCY, REPLICA_KILLED = 16, 4, 0.4
_SCRIPT = Path(__file__).parents[1] / "support" / "ray_demo.py"
_OFF = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ray", type=Path, required=True)
    parser.add_argument("--gguf", type=Path, required=True)
    parser.add_argument("--questions", type=int, default=200)
    given = parser.parse_args()
    clear_proxies(pytest.MonkeyPatch())
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="duibi-ray-") as name:
        folder = Path(name)
        with (folder / "ray.log").open("wb") as log:
            server = subprocess.Popen(
                [given.ray, _SCRIPT, given.gguf, str(port)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | _OFF,
            )
        try:
            _wait_until_it_serves(server, port)
            _campaign(port, folder, given.questions)
        finally:
            server.terminate()
            server.wait()
    promises.end()


def _replicas(port: int) -> set[int]:
    """The processes of the replicas: each says its own where it is asked for its models."""
    found = set()
    for _ in range(24):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=60) as answer:
            found.add(int(json.load(answer)["data"][0]["owned_by"]))
    return found


def _wait_until_it_serves(server: "subprocess.Popen[bytes]", port: int) -> None:
    until = time.monotonic() + 300
    while True:
        try:
            if len(_replicas(port)) > 1:
                return
        except OSError:
            if time.monotonic() > until or server.poll() is not None:
                raise
        time.sleep(0.5)


def _campaign(port: int, folder: Path, count: int) -> None:
    questions = folder / "many.txt"
    questions.write_text("".join(f"What is {n} + 1?\n" for n in range(count)))
    sessions = folder / "sessions"
    began = time.monotonic()
    run = WatchedRun(
        *(f"http://127.0.0.1:{port}/v1#demo", "--questions", str(questions)),
        *("--max-new-tokens", str(TOKENS), "--concurrency", str(CONCURRENCY)),
        *("--sessions", str(sessions)),
        home=folder,
    )
    run.wait_for(int(count * REPLICA_KILLED))
    before = _replicas(port)
    os.kill(min(before), signal.SIGKILL)
    row("a replica was killed after", f"{run.told} answers")
    code = run.end()
    took = time.monotonic() - began
    (path,) = sessions.glob("*.duibi")
    reading = reader.read(path)
    board = fold(reading.events)
    answers = answered(board)
    requests = sum(isinstance(event.body, Started) for event in reading.events)
    row("questions", str(count))
    row("answered", str(len(answers)), "all")
    row("lost", str(count - len(answers)), "0")
    row("answered twice", str(sum(n > 1 for n in answers.values())), "0")
    row("requests begun", str(requests))
    row("broke off, asked again", str(sum(a.failure is not None for a in board.answers.values())))
    row("seconds, answers a second", f"{took:.0f}, {len(answers) / took:.1f}")
    row("exit code", str(code), "0")
    row("replicas before, and at the end", f"{len(before)}, {len(_replicas(port))}")
    expect("answered", len(answers), count)
    expect("exit code", code, 0)
    expect("verdict", reading.verdict, "complete")


if __name__ == "__main__":
    main()
