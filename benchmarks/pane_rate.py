"""What the screen takes from a model that computes beside it: tokens per second, with and
without the screen.

    python -m benchmarks.pane_rate [--model demo@bf16] [--rounds 3] [--new 128]

The smoke questions are asked by `duibi run` and by the screen in a real pseudo-terminal, in
turns, with the same settings and the same threads; figures are the worker's own, read from
the recorded sessions.
"""

import argparse
import os
import statistics
import subprocess
import tempfile
from pathlib import Path

from benchmarks.figures import row, spread
from benchmarks.support.terminal import DUIBI, Terminal
from tui.board import fold
from tui.sessions.reader import read


def speed(folder: Path) -> float:
    """Tokens per second of decoding over all answers of the one session in a folder."""
    (path,) = folder.glob("*.duibi")
    figures = [a.figures for a in fold(read(path).events).answers.values() if a.figures]
    tokens = sum(f.output_tokens - 1 for f in figures)
    return tokens * 1000 / sum((f.tpot_ms or 0) * (f.output_tokens - 1) for f in figures)


def headless(command: list[str], environ: dict[str, str]) -> None:
    """Ask everything without a screen."""
    subprocess.run(
        [*DUIBI, "run", *command, "--json"],
        env={**os.environ, **environ},
        check=True,
        capture_output=True,
    )


def screen(command: list[str], environ: dict[str, str]) -> None:
    """Ask everything on the screen."""
    with Terminal([*DUIBI, *command], environ) as it:
        it.wait("1/3")
        it.send("a")
        it.wait(lambda text: all(f"{n}✓" in text for n in (1, 2, 3)), 300)
        it.send("q")
        it.wait_exit()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="demo@bf16")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--new", type=int, default=128)
    given = parser.parse_args()
    asked = ["--questions", "smoke", "--max-new-tokens", str(given.new), "--greedy"]
    command = [given.model, *asked]
    ways = {"without a screen": headless, "on the screen": screen}
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(given.rounds):
        for name, way in ways.items():
            with tempfile.TemporaryDirectory() as folder:
                way(command, {"DUIBI_SESSIONS_DIR": folder, "DUIBI_LANG": "en"})
                speeds[name].append(speed(Path(folder)))
    row("load of the machine, 1 min", f"{os.getloadavg()[0]:.1f}")
    for name, values in speeds.items():
        row(f"{given.model} {name}", spread(values, "tok/s", 1))
    pairs = zip(speeds["on the screen"], speeds["without a screen"], strict=True)
    row("ratio, median of pairs", f"{statistics.median(a / b for a, b in pairs):.3f}", ">= 0.97")


if __name__ == "__main__":
    main()
