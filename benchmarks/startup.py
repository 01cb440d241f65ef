"""How long a person waits for the first thing to see.

    python -m benchmarks.startup [--runs 7]

Commands are timed as whole processes; a screen by the first time its text stands in a
real pseudo-terminal, with the memory of the process at that moment.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import psutil

from benchmarks.figures import row, spread
from benchmarks.support.terminal import DUIBI, Terminal

SAMPLES = sorted((Path(__file__).parent.parent / "sessions").glob("*.duibi"))


def command_seconds(arguments: list[str]) -> float:
    """Wall seconds of one whole run of a command line."""
    begun = time.monotonic()
    subprocess.run([*DUIBI, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - begun


def paint(arguments: list[str], wanted: str) -> tuple[float, float]:
    """Seconds until ``wanted`` is on the screen, and the process's memory (MB) then."""
    with Terminal([*DUIBI, *arguments]) as terminal:
        seconds = terminal.wait(wanted)
        return seconds, psutil.Process(terminal.process.pid).memory_info().rss / 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    runs = range(parser.parse_args().runs)
    if not SAMPLES:
        sys.exit("no recorded session in sessions/")
    for flag in ("--version", "--help"):
        command_seconds([flag])
        times = [command_seconds([flag]) for _ in runs]
        row(f"duibi {flag}", spread(times, "s", 3), "< 0.25 s")
    for name, arguments, wanted in (
        ("start screen, first paint", [], SAMPLES[0].stem),
        ("replay, first paint", ["replay", str(SAMPLES[0])], "1/8"),
    ):
        paint(arguments, wanted)
        seen = [paint(arguments, wanted) for _ in runs]
        row(name, spread([s for s, _ in seen], "s"), "< 0.6 s")
        row(name.split(",")[0] + ", memory of the process", spread([m for _, m in seen], "MB", 0))


if __name__ == "__main__":
    main()
