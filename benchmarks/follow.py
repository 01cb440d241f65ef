"""How long a viewer in another terminal is behind a session that is being written.

    python -m benchmarks.follow [--tokens 150] [--viewers 3]

A process writes tokens of four models through the real journal and notes when each was
acknowledged; ``duibi replay --follow`` shows them in a real pseudo-terminal. A delay is from the
acknowledgement to the text on the emulated terminal. Then the writer's own pace, alone and with
viewers that are opened and killed all the time.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.figures import row, spread
from benchmarks.support.terminal import DUIBI, Terminal
from tui.sessions import reader

WRITER = """
import json, sys, time
from pathlib import Path
from benchmarks.support.sessions import HEADER
from tui import events as ev
from tui.sessions.journal import Journal
folder, count, pause = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
journal = Journal.create(folder, HEADER)
print(journal.path, flush=True)
for model in range(4):
    journal.append(0, model, ev.Loaded(1.0))
    journal.append(0, model, ev.Asked(model, "q1", "?"))
    journal.append(0, model, ev.Started(model))
time.sleep(pause)
begun, told, took = time.monotonic(), {}, []
for i in range(count * 4):
    due = begun + i * 0.025
    time.sleep(max(0, due - time.monotonic()))
    model, text = i % 4, f"{chr(65 + i % 4)}{i // 4:04}"
    now = time.monotonic()
    journal.append(int((now - begun) * 1e6), model, ev.Delta(model, text=text + "\\n"))
    told[text] = time.monotonic()
    took.append(told[text] - now)
for model in range(4):
    journal.append(int((now - begun) * 1e6), model, ev.Answered(model, "stop"))
journal.close("done")
print(json.dumps([told, took]))
"""


def writing(folder: str, tokens: int, pause: float) -> tuple[subprocess.Popen[str], Path]:
    """The writer, and its session."""
    command = [sys.executable, "-c", WRITER, folder, str(tokens), str(pause)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def ended(process: "subprocess.Popen[str]") -> tuple[dict[str, float], list[float]]:
    """When each token was acknowledged, and how long each append took, in seconds."""
    assert process.stdout is not None
    told, took = json.loads(process.stdout.read())
    process.wait()
    return told, took


def delays(folder: str, tokens: int) -> tuple[list[float], int]:
    """Milliseconds from acknowledged to seen, and how many tokens there were."""
    process, path = writing(folder, tokens, 3.0)
    seen: dict[str, float] = {}
    wanted = [f"{chr(65 + m)}{i:04}" for i in range(tokens) for m in range(4)]
    until = time.monotonic() + tokens * 0.1 + 15
    with Terminal([*DUIBI, "replay", str(path), "--follow"]) as terminal:
        while len(seen) < len(wanted) and time.monotonic() < until:
            if terminal.read(0.004):
                now = time.monotonic()
                shown = terminal.text()
                seen.update({t: now for t in wanted if t not in seen and t in shown})
    told, _ = ended(process)
    return [(now - told[text]) * 1000 for text, now in seen.items()], len(wanted)


def pace(folder: str, tokens: int, viewers: int) -> list[float]:
    """Microseconds that each append took, while ``viewers`` come and are killed."""
    process, path = writing(folder, tokens, 0.0)
    dropped = 0
    while process.poll() is None and viewers:
        command = [*DUIBI, "replay", str(path), "--follow"]
        open_ = [Terminal(command) for _ in range(viewers)]
        for terminal in open_:
            terminal.read(0.6)
        for terminal in open_:
            with terminal:
                dropped += 1  # killed on the way out
    _, took = ended(process)
    assert reader.read(path).verdict == "complete"
    if viewers:
        row("viewers dropped meanwhile", str(dropped))
    return [each * 1e6 for each in took]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=150)
    parser.add_argument("--viewers", type=int, default=2)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found, count = delays(folder, given.tokens)
        row("tokens seen", f"{len(found)} of {count}")
        row("behind the run", spread(found, "ms", 0), "< 500 ms")
        alone = pace(folder, given.tokens, 0)
        row("append, nobody watches", spread(alone, "us", 0))
        row(
            "append, viewers come and go",
            spread(pace(folder, given.tokens, given.viewers), "us", 0),
        )


if __name__ == "__main__":
    main()
