"""What the screen costs a terminal, near and far, while answers stream into its panes.

    python -m benchmarks.terminal [--parts start,stream,lag,idle,long,keys] [--panes 4]
                                  [--tokens 1500] [--rate 60] [--output cells|stock]

A recorded session of tokens at a steady rate in every pane is replayed in a real
pseudo-terminal of 120x40. Bytes are held against the UTF-8 text of the answers. Keys are
timed from the press to the emulated terminal showing what they do (the focus moves to the
next pane), through lines of given speed and round trip. What the screen takes from a model
that computes beside it is measured by `benchmarks.pane_rate`.
"""

import argparse
import math
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from benchmarks.figures import row, spread, tail
from benchmarks.lag import WITH_LAG, lags
from benchmarks.line import Line
from benchmarks.startup import SAMPLES
from benchmarks.support.demo import link_demo
from benchmarks.support.terminal import DUIBI, Terminal
from tui import events as ev
from tui.sessions.journal import Journal

WORDS = (
    *("The ", "answer ", "is ", "in ", "the ", "rain", ", "),
    *("逻辑", "推理", "。", "and ", "so\n"),
)
LINES = (
    ("local", math.inf, 0.0, "p95 <= 15 ms"),
    ("256 kbit/s, 100 ms", 256e3, 0.1, "p95 < 120 ms"),
    ("64 kbit/s, 300 ms", 64e3, 0.3, "p95 < 750 ms"),
)
"""Name, bits per second, round trip in seconds, what it is held against."""
PARTS = ("start", "stream", "lag", "idle", "long", "keys")
LONG = 20_000
"""Tokens a pane, of the longest answers."""
QUIET_S = 10

TICKING = """
import time
from benchmarks.support.scripted_run import ScriptedRun
from tui import events as ev, settings
from tui.app.main import show_run
class Ticking(ScriptedRun):
    second = 0
    def drain(self):
        if (now := int(time.monotonic())) != self.second:
            self.second = now
            used = (3 << 30) + now * 7919 % 10 * (107 << 20)
            self.say(ev.RUN, ev.Memory(used=used, limit=32 << 30), us=1_000_000)
        return super().drain()
run = Ticking()
run.ready(0)
run.ready(1)
chosen = settings.load()
show_run(chosen.screen, run, chosen.sessions_dir)
"""


def session(folder: Path, panes: int, tokens: int, rate: int) -> tuple[Path, int]:
    """A session of ``tokens`` a pane at ``rate`` tokens per second, and its bytes of text."""
    models = [{"name": f"model-{n}", "label": f"model-{n}"} for n in range(panes)]
    questions = {"name": "one", "questions": [{"id": "q", "turns": ["?"]}]}
    journal = Journal.create(folder, ev.Session(1, "0", "2026-11-22T00:00:00Z", models, questions))
    for model in range(panes):
        journal.append(0, model, ev.Loaded(1.0))
        journal.append(0, model, ev.Asked(model, "q", "?"))
        journal.append(0, model, ev.Started(model))
    size = 0
    for n in range(tokens):
        text = WORDS[n * 7 % len(WORDS)]
        for model in range(panes):
            journal.append(n * 1_000_000 // rate + model, model, ev.Delta(model, text=text))
            size += len(text.encode())
    journal.close("done")
    return journal.path, size


def start(runs: int) -> None:
    """Seconds until the terminal shows anything, and until the screen stands there."""
    for name, arguments, mark in (
        ("start screen", [], SAMPLES[0].stem),
        ("replay", ["replay", str(SAMPLES[0])], "1/8"),
    ):
        first, painted = [], []
        for run in range(runs + 1):
            with Terminal([*DUIBI, *arguments]) as it:
                something = _shown(it, lambda text: bool(text.strip()))
                seconds = _shown(it, lambda text, mark=mark: mark in text)  # type: ignore[misc]
            if run:  # the first one fills the caches
                first.append(1000 * something)
                painted.append(seconds)
        row(f"{name}, something on the screen", spread(first, "ms", 0), "<= 50 ms")
        row(f"{name}, first paint", spread(painted, "s"), "<= 0.35 s")


def _shown(it: Terminal, seen: Callable[[str], bool]) -> float:
    """Seconds from the start of the process until the terminal shows something."""
    while not seen(it.text()):
        if not it.process.isalive():
            raise RuntimeError(it.text())
        it.read(0.002)
    return time.monotonic() - it.started


def streaming(path: Path, size: int, tokens: int, seconds: float, panes: int) -> None:
    """Bytes, CPU and memory over one replay; then silence at its end."""
    with Line([*DUIBI, "replay", str(path)], {}) as it:
        it.wait("decoding")
        process = psutil.Process(it.process.pid)
        it.read(0.5)
        halves: list[float] = []
        begun = time.monotonic()
        written, used = len(it.raw), sum(process.cpu_times()[:2])
        for half in (1, 2):
            it.read(begun + (seconds - 1) * half / 2 - time.monotonic())
            halves.append(sum(process.cpu_times()[:2]) - used - sum(halves))
        written = len(it.raw) - written
        share = (time.monotonic() - begun) / seconds
        memory = process.memory_info().rss / 1e6
        it.wait("the end")
        it.read(2)
        silent = _bytes_in(it, QUIET_S)
    row("bytes written, times the text", f"{written / (size * share):.2f}", "<= 2.0")
    cpu = sum(halves) / (panes * tokens * share) * 1000
    row("CPU per token", f"{cpu:.3f} ms", "<= 0.09 ms")
    row("CPU, second half over first", f"{halves[1] / halves[0]:.2f}")
    row("memory of the process", f"{memory:.0f} MB")
    row(f"bytes in {QUIET_S} s at the end of a replay", str(silent), "0")


def _bytes_in(it: Terminal, seconds: float) -> int:
    """Bytes that a program writes in a time of which nothing else is known."""
    before, until = len(it.raw), time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        it.read(left)
    return len(it.raw) - before


def lag(path: Path, seconds: float) -> None:
    """How late the event loop comes to what is due while text streams."""
    said = path.with_suffix(".lag")
    with Line([sys.executable, "-c", WITH_LAG, str(said), "replay", str(path)], {}) as it:
        it.wait("decoding")
        it.read(seconds)
        it.send("q")
        it.wait_exit()
    late = lags(said)
    p99 = tail(late, 0.99)
    row("lag of the loop, p99 and longest", f"{p99:.1f} ms, {late[-1]:.1f} ms", "p99 < 50 ms")


def idle(folder: Path) -> None:
    """Bytes of a live screen whose models are loaded and have answered, and of one in which
    the machine's memory changes once a second."""
    asked = ["demo@bf16", "demo@fp32", "--questions", "smoke", "--max-new-tokens", "8"]
    link_demo(folder / "CACHE")
    with Line([*DUIBI, *asked], {}) as it:
        it.wait("1/3", 60)
        it.send("a")
        it.wait(lambda text: all(f"{n}✓" in text for n in (1, 2, 3)), 120)
        it.read(5)
        silent = _bytes_in(it, QUIET_S)
        it.send("q")
        it.wait_exit()
    row(f"bytes in {QUIET_S} s with loaded models", str(silent), "0")
    with Line([sys.executable, "-c", TICKING], {}) as it:
        it.wait("memory")
        it.read(3)
        written = _bytes_in(it, QUIET_S)
    row("bytes a second while the status line changes", f"{written / QUIET_S:.0f}", "<= 24")


def longest(folder: Path, panes: int) -> None:
    """Memory of a screen whose panes hold very long answers."""
    path, _ = session(folder / "long", panes, LONG, 60)
    with Line([*DUIBI, "replay", str(path), "--speed", "max"], {}) as it:
        it.wait("the end", 60)
        it.read(2)
        memory = psutil.Process(it.process.pid).memory_info().rss / 1e6
    row(f"memory with {panes} x {LONG:,} tokens", f"{memory:.0f} MB", "< 120 MB")


def keys(path: Path, bits: float, round_trip: float, presses: int) -> list[float]:
    """Seconds from pressing Tab to the focus standing in the next pane, while text streams."""
    with Line([*DUIBI, "replay", str(path)], {}, bits, round_trip) as it:
        it.wait("decoding")
        it.read(2)
        heads = [
            (y, x)
            for y, line in enumerate(it.screen.display)
            for x in range(len(line))
            if line.startswith(" model-", x)
        ]

        def colours() -> list[str]:
            return [it.screen.buffer[y][x].bg for y, x in heads]

        taken, dice = [], random.Random(1)
        for _ in range(presses):
            it.read(0.3 + dice.random() * 0.3)
            before = colours()
            it.press("\t")
            taken.append(it.until(lambda before=before: colours() != before))  # type: ignore[misc]
    return taken


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--panes", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=1500)
    parser.add_argument("--rate", type=int, default=60)
    parser.add_argument("--presses", type=int, default=25)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--output", choices=("cells", "stock"), default="cells")
    given = parser.parse_args()
    parts = given.parts.split(",")
    os.environ["DUIBI_OUTPUT"] = given.output
    os.environ["DUIBI_LANG"] = "en"
    row("load of the machine, 1 min", f"{os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind in ("CACHE", "CONFIG", "SESSIONS"):
            os.environ[f"DUIBI_{kind}_DIR"] = str(folder / kind)
        path, size = session(folder, given.panes, given.tokens, given.rate)
        if "start" in parts:
            start(given.runs)
        if "stream" in parts:
            streaming(path, size, given.tokens, given.tokens / given.rate, given.panes)
        if "lag" in parts:
            lag(path, min(20, given.tokens / given.rate - 2))
        if "idle" in parts:
            idle(folder)
        if "long" in parts:
            longest(folder, given.panes)
        for name, bits, round_trip, limit in LINES if "keys" in parts else ():
            taken = sorted(1000 * s for s in keys(path, bits, round_trip, given.presses))
            p95 = tail(taken, 0.95)
            said = f"p50 {statistics.median(taken):.0f} ms, p95 {p95:.0f} ms (n={len(taken)})"
            row(f"key to paint, {name}", said, limit)


if __name__ == "__main__":
    main()
