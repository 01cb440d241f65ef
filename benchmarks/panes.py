"""What the answer panes cost: CPU per token of the screen, and whether it grows with length.

    python -m benchmarks.panes [--panes 4] [--tokens 2000] [--rate 60]

A recorded session is made of tokens at a steady rate in every pane and replayed in a real
pseudo-terminal of 120x40. Bytes are compared with the UTF-8 text of the answers.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.figures import row
from tests.support.terminal import DUIBI, Terminal
from tui import events as ev
from tui.sessions.journal import Journal

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


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--panes", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=1200)
    parser.add_argument("--rate", type=int, default=60)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name in ("CACHE", "CONFIG", "SESSIONS"):
            os.environ[f"DUIBI_{name}_DIR"] = f"{folder}/{name}"
        path, size = session(Path(folder), given.panes, given.tokens, given.rate)
        with Terminal([*DUIBI, "replay", str(path)], columns=120, rows=40) as terminal:
            terminal.wait("decoding")
            process = psutil.Process(terminal.process.pid)
            terminal.read(0.5)
            written, used = len(terminal.raw), sum(process.cpu_times()[:2])
            begun, seconds = time.monotonic(), given.tokens / given.rate
            halves = []
            for half in (1, 2):
                until = begun + seconds * half / 2 - 1
                while time.monotonic() < until:
                    terminal.read(0.1)
                halves.append(sum(process.cpu_times()[:2]) - used - sum(halves))
            written = len(terminal.raw) - written
            memory = process.memory_info().rss / 1e6
    share = (seconds - 1) / seconds
    tokens = given.panes * given.tokens * share
    row("CPU per token", f"{sum(halves) / tokens * 1000:.3f} ms")
    row(
        "second half over first half",
        f"{halves[1] / halves[0] * (seconds / 2 - 1) / (seconds / 2):.2f}",
    )
    row("bytes written, times the text", f"{written / (size * share):.1f}")
    row("memory of the process", f"{memory:.0f} MB", "< 120 MB")


if __name__ == "__main__":
    main()
