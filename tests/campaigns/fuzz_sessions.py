"""Feed the reader what no writer would write, and show what it accepts.

    python -m tests.campaigns.fuzz_sessions [--runs 200000] [--seed 1]

Half of the files are real ones with bytes changed; in the other half the JSON of lines is
changed and sealed again, so that it gets past the checksum to whatever shows it. Each run
may give values or a `UserError`; anything else, or a control character in the text for a
terminal, stops the run with the file that did it.
"""

import argparse
import json
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.figures import row
from benchmarks.support.sessions import write_session
from tui.board import fold
from tui.events import Event
from tui.host.errors import UserError
from tui.reports.asciicast import asciicast_lines
from tui.reports.transcript import render_transcript
from tui.sessions import library, lines, reader
from tui.sessions.player import Player

MEMORY = 2 << 30
GOLDEN = Path(__file__).parent.parent / "data" / "sessions" / "v1.duibi"
ODD: list[Any] = [
    *(None, True, False, 0, 1, -1, 63, 64, 2**53, 2**63, -(2**63), 10**400, 0.5, -0.0, 1e308),
    *("", "x", "\x1b]52;c;aGk=\x07", "\x9b2J", "\u202e", "\ud800", "[/a]", "../../etc/passwd"),
    *("A" * 5000, [], {}, [[]], [{}], {"": None}, ["a"], {"id": 1, "turns": ["x"]}, float("inf")),
]


def changed_bytes(data: bytes, chance: random.Random) -> bytes:
    """Some bytes replaced, taken out, doubled or put in."""
    made = bytearray(data)
    for _ in range(chance.randrange(1, 6)):
        at, size = chance.randrange(len(made) + 1), chance.randrange(40)
        match chance.randrange(4):
            case 0:
                made[at : at + size] = chance.randbytes(size)
            case 1:
                del made[at : at + size]
            case 2:
                made[at:at] = made[at : at + size]
            case _:
                made[at:at] = chance.choice((b"\n", b"\t", b"\xff", b"\0", b"\xe2\x80\xa8"))
    return bytes(made)


def changed_value(value: Any, chance: random.Random) -> Any:
    """The same shape with one thing in it exchanged."""
    if isinstance(value, dict) and value and chance.random() < 0.8:
        key = chance.choice(list(value))
        if chance.random() < 0.15:
            return {k: v for k, v in value.items() if k != key}
        return value | {key: changed_value(value[key], chance)}
    if isinstance(value, list) and value and chance.random() < 0.8:
        at = chance.randrange(len(value))
        return [*value[:at], changed_value(value[at], chance), *value[at + 1 :]]
    return chance.choice(ODD)


def changed_rows(rows: list[Any], chance: random.Random) -> bytes:
    """Lines with other content whose checksums hold."""
    rows = list(rows)
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(rows))
        seq, t_us, model, kind, payload = rows[at]
        match chance.randrange(6):
            case 0:
                t_us = chance.choice(ODD)
            case 1:
                model = chance.choice((-1, 0, 1, 2, 99, *ODD))
            case 2:
                kind = chance.choice([r[3] for r in rows if isinstance(r[3], str)] or [""])
            case _:
                payload = changed_value(payload, chance)
        rows[at] = [seq, t_us, model, kind, payload]
    return b"".join(lines.add_crc(json.dumps(each).encode()) for each in rows)


def show(path: Path) -> list[Event]:
    """Everything that this program does with a session's content without a screen."""
    library.entry_of(path)
    reading = reader.read(path)
    board = fold(reading.events)
    player = Player(reading.events, lambda: 0.0, max_gap=1)
    player.step_question(1)
    player.seek(player.duration_us // 2)
    player.drain()
    for answer in board.answers.values():
        assert isinstance(answer.text, str)
    text = render_transcript(reading.events)
    for line in asciicast_lines(reading.events, cols=40, rows=10):
        text += json.loads(line)[2].replace("\x1b[", "") if line.startswith("[") else ""
    if bad := {c for c in text if ord(c) < 32 and c not in "\n\t"}:
        raise AssertionError(f"would reach the terminal: {bad}")
    return reading.events


def main() -> None:
    """Run and count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    # What a file can make this program allocate is a finding too, not the machine's end.
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    chance = random.Random(given.seed)
    seen: Counter[str] = Counter()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        real = write_session(Path(name) / "real", tokens=1)
        sources = [real.read_bytes(), GOLDEN.read_bytes()]
        parsed = [
            [lines.decode_line(line + b"\n") for line in s.split(b"\n")[:-1]] for s in sources
        ]
        path = Path(name) / f"case{lines.SUFFIX}"
        for run in range(given.runs):
            which = run % 2
            if chance.random() < 0.5:
                path.write_bytes(changed_bytes(sources[which], chance))
            else:
                path.write_bytes(changed_rows(parsed[which], chance))
            try:
                show(path)
                seen["read"] += 1
            except UserError:
                seen["refused"] += 1
            except Exception:
                kept = Path.cwd() / f"crash-{run}{lines.SUFFIX}"
                kept.write_bytes(path.read_bytes())
                print(f"run {run}, seed {given.seed}: kept as {kept.name}", file=sys.stderr)
                raise
    row(f"{given.runs} files", f"{dict(seen)}, 0 crashes in {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
