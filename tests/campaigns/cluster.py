"""Many questions to one model behind three servers of llama.cpp, of which one is killed.

    python -m tests.campaigns.cluster [--questions 10000] [--gguf FILE]

Real servers (xllamacpp, as in `tests/peers.txt`) with a tiny random model, or with FILE, and a real
`duibi run`. At three tenths of the answers one server is killed with SIGKILL, at six tenths the run
itself; then the server is started again, and the run gone on with. Printed: what was asked and
answered, what was lost or answered twice, and the memory of the asking process.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from pathlib import Path

import psutil

from benchmarks.figures import row
from tests.campaigns import promises
from tests.campaigns.promises import expect
from tests.support.small_gguf import write_gguf
from tui.board import Board, fold
from tui.events import Started
from tui.sessions import reader

SERVERS, TOKENS, CONTEXT = 3, 4, 256
KEY = "sk-of-the-campaign"
SERVER_LOST, RUN_KILLED = 0.3, 0.6
"""Shares of the answers at which that happens."""
_PEERS = Path(os.environ.get("DUIBI_PEERS") or Path(sys.prefix) / "peers")
_SCRIPT = Path(__file__).parents[1] / "support" / "llama_server.py"


class LlamaServer:
    """A server of llama.cpp in a process of its own, always at the same port."""

    def __init__(self, gguf: Path, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = int(probe.getsockname()[1])
        self._command = [sys.executable, str(_SCRIPT), str(gguf), str(self.port), KEY, str(CONTEXT)]
        self._log = folder / f"{self.port}.log"
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        environment = os.environ | {"PYTHONPATH": str(_PEERS), "OMP_NUM_THREADS": "1"}
        with self._log.open("ab") as out:
            self.process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment
            )
        health = f"http://127.0.0.1:{self.port}/health"
        until = time.monotonic() + 120
        while True:
            try:
                with urllib.request.urlopen(health, timeout=5) as answer:
                    if answer.status == 200:
                        return
            except OSError:
                if time.monotonic() > until or self.process.poll() is not None:
                    raise
            time.sleep(0.1)

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()


class WatchedRun:
    """A `duibi run`, how many answers it told of, and its memory at each."""

    def __init__(self, *arguments: str, home: Path) -> None:
        environment = os.environ | {"DUIBI_API_KEY": KEY, "HOME": str(home), "LANG": "C.UTF-8"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tui", "run", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.told = 0
        self.memory: list[tuple[int, int]] = []
        self.last_line = ""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        seen = psutil.Process(self.process.pid)
        for line in self.process.stderr:
            self.last_line = line.rstrip()
            count = line.partition("/")[0]
            if count.isdigit():
                self.told = max(self.told, int(count))
                if not self.told % 50:
                    try:
                        self.memory.append((self.told, seen.memory_info().rss))
                    except psutil.Error:
                        return

    def wait_for(self, count: int) -> None:
        """Until so many answers were told of, or it ended."""
        while self.told < count and self.process.poll() is None:
            time.sleep(0.05)

    def end(self) -> int:
        """Wait for its end; the exit code."""
        code = self.process.wait()
        self._thread.join(10)
        return code


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=10_000)
    parser.add_argument("--gguf", type=Path)
    parser.add_argument("--concurrency", type=int, default=8)
    given = parser.parse_args()
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
        os.environ.pop(name, None)
    with tempfile.TemporaryDirectory(prefix="duibi-cluster-") as name:
        folder = Path(name)
        gguf = given.gguf or write_gguf(folder / "tiny.gguf")
        questions = folder / "many.txt"
        questions.write_text("".join(f"What is {n} + 1?\n" for n in range(given.questions)))
        servers = [LlamaServer(gguf, folder) for _ in range(SERVERS)]
        try:
            _campaign(servers, questions, folder, given.questions, given.concurrency)
        finally:
            for server in servers:
                server.kill()
    promises.end()


def _campaign(
    servers: list[LlamaServer], questions: Path, folder: Path, count: int, concurrency: int
) -> None:
    addresses = ",".join(f"http://127.0.0.1:{server.port}/v1" for server in servers)
    began = time.monotonic()
    sessions = folder / "sessions"
    flags = ["--sessions", str(sessions), "--concurrency", str(concurrency)]
    asked = ["--questions", str(questions), "--max-new-tokens", str(TOKENS)]
    first = WatchedRun(f"{addresses}#demo", *asked, *flags, home=folder)
    first.wait_for(int(count * SERVER_LOST))
    servers[1].kill()
    row("a server was killed after", f"{first.told} answers")
    first.wait_for(int(count * RUN_KILLED))
    first.process.send_signal(signal.SIGKILL)
    first.end()
    row("the run was killed after", f"{first.told} answers")
    (path,) = sessions.glob("*.duibi")
    before = answered(fold(reader.read(path).events))
    servers[1].start()
    second = WatchedRun("--resume", str(path), *flags, home=folder)
    code = second.end()
    took = time.monotonic() - began

    reading = reader.read(path)
    board = fold(reading.events)
    answers = answered(board)
    requests = sum(isinstance(event.body, Started) for event in reading.events)
    moved = sum("asking another address" in n.text for a in board.answers.values() for n in a.notes)
    broken = sum(a.failure is not None for a in board.answers.values())
    row("questions", str(count))
    row("answered before the run was killed", str(len(before)))
    row("answered", str(len(answers)), "all")
    row("lost", str(count - len(answers)), "0")
    row("answered twice", str(sum(n > 1 for n in answers.values())), "0")
    row("requests begun", str(requests))
    row("went on to another address", str(moved))
    row("broke off, asked again", str(broken))
    for run, which in ((first, "first"), (second, "second")):
        early, late = run.memory[len(run.memory) // 10][1], run.memory[-1][1]
        grown = (late - early) / max(1, run.memory[-1][0] - run.memory[len(run.memory) // 10][0])
        row(
            f"memory of the {which} run: early, end",
            f"{early / 2**20:.0f} MiB, {late / 2**20:.0f} MiB",
            f"{grown / 1024:.1f} KiB an answer",
        )
    row("seconds, answers a second", f"{took:.0f}, {len(answers) / took:.1f}")
    row("exit code", str(code), "0")
    expect("answered", len(answers), count)
    expect("answered twice", sum(n > 1 for n in answers.values()), 0)
    expect("exit code", code, 0)
    expect("verdict", reading.verdict, "complete")


def answered(board: Board) -> Counter[str]:
    """Complete answers by question."""
    return Counter(a.question for a in board.answers.values() if a.state == "answered")


if __name__ == "__main__":
    main()
