"""How far a replay at 1x is from the recorded times, and how soon it stands.

    python -m benchmarks.replay [--tokens 200] [--models 4]

Sessions with tokens at irregular times are recorded and played in a real pseudo-terminal: as
text (``--plain``), in the screen with one model, and with several side by side. A token's
error is when its text stands on the emulated terminal, less when it was recorded, both counted
from the median token: where the replay's clock began cannot be seen from outside. Last, the
time from the command to the first picture of 4 models x 8 questions x 500 tokens.
"""

import argparse
import random
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.figures import row, spread
from benchmarks.listing import session as long_session
from benchmarks.support.terminal import DUIBI, Terminal
from tui import events as ev
from tui.sessions.journal import Journal
from tui.sessions.lines import SUFFIX

GAPS_US = (20_000, 37_000, 50_000, 110_000, 260_000)
"""Between the tokens of one model; several models are that much slower, as on a CPU."""
LIMIT_MS = 20
START_S = 0.6


def session(folder: Path, tokens: int, models: int) -> tuple[Path, dict[str, float]]:
    """A session, and the seconds at which each of its tokens was recorded."""
    questions = {"name": "one", "questions": [{"id": "q", "turns": ["?"]}]}
    names = [{"name": f"m{i}"} for i in range(models)]
    journal = Journal.create(folder, ev.Session(1, "0", "2026-11-22T00:00:00Z", names, questions))
    rows: list[tuple[int, int, ev.Body]] = []
    times: dict[str, float] = {}
    for model in range(models):
        journal.append(0, model, ev.Loaded(1.0))
        journal.append(0, model, ev.Asked(model, "q", "?"))
        journal.append(0, model, ev.Started(model))
        chance, t_us = random.Random(7 + model), 2_000_000 + 13_000 * model
        for n in range(tokens):
            text = f"{chr(65 + model)}{n:04}"
            rows.append((t_us, model, ev.Delta(model, text=f"{text}\n")))
            times[text] = t_us / 1e6
            t_us += chance.choice(GAPS_US) * (1 + models) // 2
        rows.append((t_us, model, ev.Answered(model, "stop", output_tokens=tokens)))
    for t_us, model, body in sorted(rows, key=lambda each: each[0]):
        journal.append(t_us, model, body)
    journal.close("done")
    return journal.path, times


def errors(path: Path, times: dict[str, float], plain: bool) -> list[float]:
    """Milliseconds by which each token that was seen came late (or early)."""
    late: list[float] = []
    waiting = dict(times)
    command = [*DUIBI, "replay", str(path), *(["--plain"] if plain else [])]
    end = time.monotonic() + max(times.values()) + 10
    with Terminal(command) as terminal:
        while waiting and time.monotonic() < end:
            if not terminal.read(0.004):
                continue
            now = time.monotonic()
            seen = terminal.raw[-4096:].decode(errors="replace") if plain else terminal.text()
            for text in [text for text in waiting if text in seen]:
                late.append((now - waiting.pop(text)) * 1000)
    middle = statistics.median(late)
    return [each - middle for each in late]


def started(path: Path) -> float:
    """Seconds from the command to the session's first picture."""
    with Terminal([*DUIBI, "replay", str(path)]) as terminal:
        return terminal.wait("1/8")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--models", type=int, default=4)
    parser.add_argument("--runs", type=int, default=9, help="starts")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for title, models, plain in (
            ("plain", 1, True),
            ("screen, 1 model", 1, False),
            (f"screen, {given.models} models", given.models, False),
        ):
            path, times = session(folder, given.tokens, models)
            found = errors(path, times, plain)
            close = sum(abs(e) <= LIMIT_MS for e in found)
            row(f"{title}: tokens seen", f"{len(found)} of {len(times)}")
            row(f"{title}: error", spread(found, "ms", 1), f"within {LIMIT_MS} ms")
            row(f"{title}: within {LIMIT_MS} ms", f"{close} of {len(found)}")
        big = folder / f"big{SUFFIX}"
        long_session(big, 4 * 8 * 500, random.Random(1))
        started(big)
        seen = [started(big) for _ in range(given.runs)]
        row("start, 4 x 8 x 500 tokens", spread(seen, "s", 3), f"< {START_S} s")


if __name__ == "__main__":
    main()
