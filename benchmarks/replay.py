"""How far a replay at 1x is from the recorded times.

    python -m benchmarks.replay [--tokens 200] [--screen]

A session of one model with tokens at irregular times is recorded and played in a real
pseudo-terminal. A token's error is when its text arrived there, less when it was recorded,
both counted from the first token. On a pipe (``--plain``) text goes out when it is due; the
screen draws by interval, so there it is the interval that one sees.
"""

import argparse
import random
import tempfile
import time
from pathlib import Path

from benchmarks.figures import row, spread
from tests.support.terminal import DUIBI, Terminal
from tui import events as ev
from tui.sessions.journal import Journal


def session(folder: Path, tokens: int) -> tuple[Path, list[float]]:
    """A session, and the seconds at which its tokens were recorded."""
    questions = {"name": "one", "questions": [{"id": "q", "turns": ["?"]}]}
    header = ev.Session(1, "0", "2026-11-22T00:00:00Z", [{"name": "m"}], questions)
    journal = Journal.create(folder, header)
    journal.append(0, 0, ev.Loaded(1.0))
    journal.append(0, 0, ev.Asked(0, "q", "?"))
    journal.append(0, 0, ev.Started(0))
    chance, t_us, times = random.Random(7), 2_000_000, []
    for n in range(tokens):
        journal.append(t_us, 0, ev.Delta(0, text=f"T{n:04}\n"))
        times.append(t_us / 1e6)
        t_us += chance.choice((20_000, 37_000, 50_000, 110_000, 260_000))
    journal.append(t_us, 0, ev.Answered(0, "stop", output_tokens=tokens))
    journal.close("done")
    return journal.path, times


def errors(path: Path, times: list[float], plain: bool) -> list[float]:
    """Milliseconds by which each token came late (or early)."""
    arrived: list[float] = []
    command = [*DUIBI, "replay", str(path), *(["--plain"] if plain else [])]
    end = time.monotonic() + times[-1] + 10
    with Terminal(command) as terminal:
        while len(arrived) < len(times) and time.monotonic() < end:
            if not terminal.read(0.005):
                continue
            now = time.monotonic()
            seen = terminal.raw[-4096:].decode(errors="replace") if plain else terminal.text()
            while len(arrived) < len(times) and f"T{len(arrived):04}" in seen:
                arrived.append(now)
    return [
        (came - arrived[0] - (due - times[0])) * 1000
        for came, due in zip(arrived, times, strict=False)
    ][1:]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--screen", action="store_true", help="also in the screen")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path, times = session(Path(folder), given.tokens)
        for plain in (True, False) if given.screen else (True,):
            found = errors(path, times, plain)
            name = "plain" if plain else "screen"
            row(f"{name}: tokens seen", f"{len(found) + 1} of {len(times)}")
            row(f"{name}: error", spread(found, "ms", 1), "within 20 ms" if plain else "")
            row(f"{name}: within 20 ms", f"{sum(abs(e) <= 20 for e in found)} of {len(found)}")


if __name__ == "__main__":
    main()
