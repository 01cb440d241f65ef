"""Panes that stream for an hour: does the screen grow, and does its loop fall behind?

    python -m benchmarks.soak [--minutes 60] [--rate 6] [--http 2] [--local 2]

Four panes of the real screen in a pseudo-terminal of 120x40 answer question after question
at a reading rate: two from a server process over HTTP, two from workers of a tiny random
checkpoint that rest between tokens (`benchmarks/support/paced`). Every minute the screen goes on to
the next question. Memory is the resident size of the screen process, held against what it was
once every pane had streamed for a while; the lag is that of a 50 ms timer in the screen's own
event loop. A line each ten minutes goes to stderr.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.figures import row, spread, tail
from benchmarks.lag import WITH_LAG, lags
from benchmarks.support import tiny
from benchmarks.support.fault_server import FaultServer, Received, Reply
from benchmarks.support.terminal import Terminal
from tui.board import fold
from tui.sessions import reader

PACED = Path(tiny.__file__).parent / "paced"
WARM_S = 180.0
SAMPLE_S = 5.0
STEP_S = 60.0
TOKENS = 320
WORDS = (
    "The ",
    "answer ",
    "is ",
    "in ",
    "the ",
    "rain",
    ", ",
    "逻辑",
    "推理",
    "。",
    "and ",
    "so\n",
)


def serve(rate: float) -> None:
    """An OpenAI-compatible server that says so many tokens a second; its address goes to
    stdout, and it ends with its stdin."""

    def behave(reply: Reply, received: Received) -> None:
        reply.head()
        for n in range(TOKENS):
            time.sleep(1 / rate)
            reply.token(WORDS[(n * 7 + received.number) % len(WORDS)])
        reply.finish("length")
        reply.usage(20, TOKENS)
        reply.done()

    with FaultServer(behave) as server:
        print(server.url, flush=True)
        sys.stdin.read()


@contextmanager
def server(rate: float) -> Iterator[str]:
    """The same in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.soak", "--serve", str(rate)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout and process.stdin
        yield process.stdout.readline().strip()
        process.stdin.close()


def questions(folder: Path, count: int) -> Path:
    """A question set of so many questions."""
    path = folder / "soak.txt"
    path.write_text("".join(f"Tell me of the sea, part {n}.\n" for n in range(count)))
    return path


def watch(terminal: Terminal, seconds: float) -> list[tuple[float, int, int]]:
    """Read the terminal; (seconds, resident bytes, private bytes) of the screen now and then."""
    process, begun, seen = psutil.Process(terminal.process.pid), time.monotonic(), []
    stepped, told = begun, begun
    while (now := time.monotonic()) - begun < seconds:
        terminal.read(SAMPLE_S)
        # All that was read is not needed: an hour of it would slow this process down.
        terminal.raw.clear()
        if not terminal.process.isalive():
            raise SystemExit(f"the screen ended after {now - begun:.0f} s\n{terminal.text()}")
        seen.append((now - begun, process.memory_info().rss, private(process.pid)))
        if now - stepped >= STEP_S:
            stepped = now
            terminal.send("n")
        if now - told >= 600:
            told = now
            print(f"{now - begun:5.0f} s  {seen[-1][1] / 1e6:.1f} MB", file=sys.stderr, flush=True)
            print(terminal.text(), file=sys.stderr, flush=True)
    return seen


def private(pid: int) -> int:
    """Anonymous bytes of a process (RssAnon of proc(5))."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


def report(seen: list[tuple[float, int, int]], lag: Path, session: Path, seconds: float) -> None:
    """Print what was measured."""
    warm = [one for one in seen if one[0] >= min(WARM_S, seconds / 4)]
    tenth = max(1, len(warm) // 20)
    for name, index in (("resident memory", 1), ("private memory", 2)):
        first = sum(one[index] for one in warm[:tenth]) / tenth
        last = sum(one[index] for one in warm[-tenth:]) / tenth
        said = f"{first / 1e6:.1f} -> {last / 1e6:.1f} MB: {last / first - 1:+.1%}"
        row(f"{name} of the screen", said, "< +5 %")
    ordered = lags(lag)
    p99, share = tail(ordered, 0.99), sum(one > 100 for one in ordered)
    row("lag of the loop, p50", f"{ordered[len(ordered) // 2]:.1f} ms")
    row("p99", f"{p99:.1f} ms", "< 100 ms")
    row("longest; above 100 ms", f"{ordered[-1]:.0f} ms; {share} of {len(ordered)}")
    reading = reader.read(session)
    board = fold(reading.events)
    for model in board.models:
        mine = [a for a in board.answers.values() if a.model == model.index]
        done = [a.figures.decode_tok_s for a in mine if a.figures and a.figures.decode_tok_s]
        failed = sum(a.state == "failed" for a in mine)
        row(
            f"{model.label}: answers, failed, tok/s",
            f"{len(done)}, {failed}, {spread(done, '', 1) if done else 'none'}",
        )
    row("tokens; session", f"{sum(a.tokens for a in board.answers.values())}; {reading.verdict}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, default=6, help="tokens a second of the server")
    parser.add_argument("--http", type=int, default=2)
    parser.add_argument("--local", type=int, default=2)
    parser.add_argument("--serve", type=float, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(given.serve)
        return
    seconds = given.minutes * 60
    os.environ |= {"PYTHONPATH": os.pathsep.join([str(PACED), os.environ.get("PYTHONPATH", "")])}
    os.environ |= {"DUIBI_LANG": "en", "DUIBI_TEST_REST_S": str(1 / given.rate)}
    loads: list[float] = []
    done = threading.Event()

    def note_load() -> None:
        while not done.wait(30):
            loads.append(os.getloadavg()[0])

    threading.Thread(target=note_load, daemon=True).start()
    with tempfile.TemporaryDirectory() as name, server(given.rate) as url:
        folder = Path(name)
        for place in ("CACHE", "CONFIG", "SESSIONS"):
            os.environ[f"DUIBI_{place}_DIR"] = f"{folder}/{place.lower()}"
        checkpoint = tiny.write_llama(folder / "tiny", stop=319, num_hidden_layers=12)
        models = [f"{url}#m"] * given.http + [str(checkpoint)] * given.local
        count = int(seconds * given.rate / TOKENS) + 20
        lag = folder / "lag"
        command = [sys.executable, "-c", WITH_LAG, str(lag), *models]
        flags = ["--questions", str(questions(folder, count)), "--max-new-tokens", str(TOKENS)]
        with Terminal([*command, *flags, "--greedy"], {}, 120, 40) as terminal:
            terminal.wait("decoding", 120)
            terminal.send("a")
            seen = watch(terminal, seconds)
            terminal.send("q")
            terminal.read(0.5)
            if terminal.process.isalive():
                terminal.send("q")
            terminal.wait_exit(20)
        (session,) = Path(os.environ["DUIBI_SESSIONS_DIR"]).glob("*.duibi")
        row("machine's load while it ran", spread(loads or [os.getloadavg()[0]], "", 1))
        report(seen, lag, session, seconds)
    done.set()


if __name__ == "__main__":
    main()
