"""Exported casts in asciinema's own player (npm: asciinema-player), without a browser.

    python -m tests.campaigns.cast_player [--speed 20] [SESSION...]

Needs node and npm; by default the bundled recordings. The player's own reader must find every
token of the session at the microsecond it was recorded, with its text and nothing else; its
playback must give out all of it in order, stop at each question, and last as long.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.figures import row, spread
from tests.campaigns import promises
from tests.campaigns.promises import expect
from tui.events import Asked, Delta, Started
from tui.reports.asciicast import asciicast_lines
from tui.sessions import reader
from tui.text.sanitise import clean

PLAYER = "asciinema-player@3.18.0"
SCRIPT = Path(__file__).with_name("asciinema.mjs")
SAMPLES = sorted((Path(__file__).parent.parent.parent / "sessions").glob("*.duibi"))
_MOVE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def bare(text: str) -> str:
    """Without moves and blanks: what is written, wherever it is wrapped."""
    return "".join(_MOVE.sub("", text).split())


def play(modules: Path, path: Path, speed: float) -> None:
    """One session through the player, compared with its events."""
    events = reader.read(path).events
    text = "".join(f"{line}\n" for line in asciicast_lines(events))
    with tempfile.NamedTemporaryFile("w", suffix=".cast", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        command = ["node", "--max-old-space-size=1000", str(SCRIPT), str(modules), file.name]
        done = subprocess.run([*command, str(speed)], capture_output=True, text=True, check=True)
    made: dict[str, Any] = json.loads(done.stdout)
    written = [(ms, bare(data)) for ms, code, data in made["events"] if code == "o"]
    said_by = ((e.t_us, bare(clean(e.body.text))) for e in events if isinstance(e.body, Delta))
    tokens = [(t_us, text) for t_us, text in said_by if text]
    found = 0
    for t_us, wanted in tokens:
        found += wanted in [text for ms, text in written if abs(ms * 1000 - t_us) < 0.5]
    row(f"{path.stem}: tokens with text, at their time", f"{found} of {len(tokens)}")
    expect(f"{path.stem}, tokens at their time", found, len(tokens))
    said = "".join(data for _, code, data in made["events"] if code == "o")
    given = "".join(data for _, pieces in made["played"] for data in pieces)
    row(f"{path.stem}: played whole and in order", str(given == said), "True")
    expect(f"{path.stem}, played whole and in order", given == said, True)
    asked = {e.body.answer: e.body.question for e in events if isinstance(e.body, Asked)}
    begun = [asked[e.body.answer] for e in events if isinstance(e.body, Started)]
    marked = made["markers"] == list(dict.fromkeys(begun))
    row(f"{path.stem}: questions", str(marked), "True")
    expect(f"{path.stem}, questions", marked, True)
    last = max(event.t_us for event in events) / 1e6
    row(f"{path.stem}: lasts", f"{made['duration']:.6f} s of {last:.6f} s")
    expect(f"{path.stem}, lasts", f"{made['duration']:.3f}", f"{last:.3f}")
    due = iter([ms for ms, code, _ in made["events"] if code == "o"])
    late = []
    for wall, pieces in made["played"]:
        times = [next(due) for _ in pieces]
        late.append(wall - times[0] / speed)
    row(f"{path.stem}: given out late, at {speed:g}x", spread(late, "ms", 1))


def main() -> None:
    """Fetch the player, play, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sessions", nargs="*", type=Path)
    parser.add_argument("--speed", type=float, default=20)
    given = parser.parse_args()
    if not all(map(shutil.which, ("node", "npm"))):
        sys.exit("node and npm are needed")
    with tempfile.TemporaryDirectory() as name:
        fetch = ["npm", "install", "--silent", "--no-audit", "--no-fund", PLAYER]
        subprocess.run(fetch, cwd=name, check=True)
        for path in given.sessions or SAMPLES:
            play(Path(name), path, given.speed)
    promises.end()


if __name__ == "__main__":
    main()
