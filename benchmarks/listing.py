"""How long a library of many sessions takes to list, open, search and replay.

    python -m benchmarks.listing [--sessions 1000] [--tokens 10000] [--folder DIR]

The sessions are written by the real journal with words of a fixed vocabulary. "Cold" means
after the kernel was asked to drop its page cache, which needs root; without it, left out.
"""

import argparse
import dataclasses
import os
import random
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.figures import row
from benchmarks.support.sessions import HEADER
from benchmarks.support.terminal import DUIBI, Terminal
from tui import events as ev
from tui.board import fold
from tui.host import paths
from tui.sessions import library, lines, reader
from tui.sessions.player import Player
from tui.sessions.search import SearchIndex

WORDS = [f"{head}{tail} " for head in ("lor", "ip", "dol", "am") for tail in ("em", "sum", "or")]
WORDS += ["同济", "大学", "回答", "问题", "模型", "语言", "。", "，"]
DROP = Path("/proc/sys/vm/drop_caches")


def session(path: Path, tokens: int, chance: random.Random, models: int = 4) -> None:
    """One closed session, written in one go (the journal's fsyncs are not what is measured)."""
    share = tokens // models // 8
    header = dataclasses.replace(
        HEADER,
        models=HEADER.models[:models],
        started=f"2026-11-22T{chance.randrange(24):02}:{chance.randrange(60):02}:00Z",
        questions={
            "title": "eight",
            "questions": [{"id": f"q{i}", "turns": [f"question {i}?"]} for i in range(8)],
        },
    )
    rows: list[tuple[int, int, ev.Body]] = [(0, -1, header)]
    for question in range(8):
        for model in range(models):
            id_ = question * models + model
            rows.append((question * 1_000_000, model, ev.Asked(id_, f"q{question}", "?")))
            rows.append((question * 1_000_000, model, ev.Started(id_, 10)))
        for i in range(share):
            for model in range(models):
                body: ev.Body = ev.Delta(question * models + model, text=chance.choice(WORDS))
                rows.append((question * 1_000_000 + i * 900, model, body))
        for model in range(models):
            body = ev.Answered(question * models + model, "stop", output_tokens=share)
            rows.append((question * 1_000_000 + 900_000, model, body))
    rows.append((9_000_000, -1, ev.End("done", len(rows), 8 * models)))
    path.write_bytes(
        b"".join(lines.encode_line(ev.Event(i, *parts))[1] for i, parts in enumerate(rows))
    )


def seconds(action: Callable[[], object]) -> float:
    """Wall seconds of one call."""
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def cold() -> bool:
    """Empty the page cache, if allowed."""
    os.sync()
    try:
        DROP.write_text("3\n")
    except OSError:
        return False
    return True


def on_the_screen(folder: Path, count: int) -> None:
    """The library in a real pseudo-terminal: from the key to what it shows."""
    sample = str(min(paths.bundled("sessions").glob(f"*{lines.SUFFIX}")))
    command = [*DUIBI, "replay", sample, "--speed", "max", "--sessions", str(folder)]
    with Terminal(command, env={"DUIBI_LANG": "en"}) as terminal:
        terminal.wait("the end")
        terminal.read(1.0)
        is_cold = cold()
        begun = terminal.started + terminal.wait("the end")
        terminal.send("l")
        took = terminal.started + terminal.wait(f"{count} sessions") - begun
        row(f"library on the screen, {'cold' if is_cold else 'warm'}", f"{took:.3f} s", "< 0.5 s")
        begun = terminal.started + terminal.wait(f"{count} sessions")
        terminal.send("/lorem ips")
        took = terminal.started + terminal.wait("Found in") - begun
        row("search typed on the screen", f"{took:.3f} s", "< 2 s")


def main() -> None:
    """Write, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=1000)
    parser.add_argument("--distinct", type=int, default=20, help="different bodies among them")
    parser.add_argument("--tokens", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, help="a folder on the disk to measure")
    given = parser.parse_args()
    chance = random.Random(1)
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name) / "sessions"
        folder.mkdir()
        os.environ["DUIBI_CACHE_DIR"] = str(Path(name) / "cache")
        for i in range(given.distinct):
            session(folder / f"base-{i:04}{lines.SUFFIX}", given.tokens, chance)
        made = sorted(folder.iterdir())
        for i in range(given.distinct, given.sessions):
            copy = folder / f"copy-{i:04}{lines.SUFFIX}"
            copy.write_bytes(made[i % given.distinct].read_bytes())
        if cold():
            row(
                f"list {given.sessions}, cold",
                f"{seconds(lambda: library.entries(folder)):.3f} s",
                "< 0.5 s",
            )
        else:
            row("list, cold", "left out: not allowed to drop caches")
        row(f"list {given.sessions}, warm", f"{seconds(lambda: library.entries(folder)):.3f} s")
        index = SearchIndex(folder)
        row("index built anew", f"{seconds(index.update):.1f} s")
        row("index checked", f"{seconds(index.update):.3f} s")
        for text in ("lorem ips", "同济大学", "模型", "q", "nowhere"):
            took = seconds(partial(index.search, text))
            row(f"search {text!r}, {len(index.search(text))} places", f"{took:.3f} s", "< 2 s")
        index.close()
        on_the_screen(folder, given.sessions)
        big = folder / f"big{lines.SUFFIX}"
        session(big, 4 * 8 * 500, chance)
        reading = reader.read(big)
        row(
            "open 4 models x 8 questions x 500 tokens",
            f"{seconds(lambda: reader.read(big)):.3f} s",
            "< 0.2 s",
        )
        row("make it playable", f"{seconds(lambda: Player(reading.events)):.3f} s")
        row("fold it into a board", f"{seconds(lambda: fold(reading.events)):.3f} s")


if __name__ == "__main__":
    main()
