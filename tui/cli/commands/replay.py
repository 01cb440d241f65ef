"""``duibi replay``: a recorded session in its original timing, on the screen or a pipe."""

import math
import os
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from tui.cli.support import settings_in_force
from tui.cli.support.open_screens import open_replay
from tui.cli.support.session_player import make_player
from tui.host.errors import UserError
from tui.host.terminal import discard_output, is_dumb
from tui.reports.transcript import Transcript
from tui.sessions import library
from tui.sessions.follow import Follower
from tui.sessions.player import Player

app = typer.Typer(add_completion=False)


@app.command(
    help="Play a recorded session in the same panes, with its original timing, from its first "
    "token; longer waits are shortened."
)
def replay(
    session: Annotated[
        str | None,
        typer.Argument(
            metavar="SESSION",
            help="A file, a name, the beginning of one, a sample, or `last`; with --follow by "
            "default what is being recorded now.",
        ),
    ] = None,
    speed: Annotated[str, typer.Option(metavar="1|2|4|8|max", help="max: all at once.")] = "1",
    question: Annotated[str | None, typer.Option(metavar="ID", help="Only this question.")] = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="Text on stdout; so also where it is no terminal.")
    ] = False,
    follow: Annotated[
        bool, typer.Option("--follow", help="Watch a run that another process records.")
    ] = False,
    max_gap: Annotated[
        float | None,
        typer.Option(
            metavar="S",
            min=0,
            help="Shorten waits to S seconds (by default 1 on the screen, 60 on a pipe; inf: as "
            "they were).",
        ),
    ] = None,
    loop: Annotated[bool, typer.Option("--loop", help="Begin again at the end.")] = False,
    sessions: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where sessions are looked for.")
    ] = None,
) -> int:
    chosen = settings_in_force.load({"sessions": sessions, "plain": plain or None})
    path = _session(session, follow, chosen.sessions_dir)
    on_pipe = chosen.plain or not sys.stdout.isatty() or is_dumb(os.environ)
    if follow:
        player: Player = _follower(path, speed, question, max_gap, loop)
    else:
        is_watched = not on_pipe
        loops = loop and is_watched
        player = make_player(path, _speed(speed), question, max_gap, loops, is_watched)
    return print_replay(player) if on_pipe else open_replay(player, path, chosen)


def _session(name: str | None, follow: bool, folder: Path) -> Path:
    if name is not None:
        return library.find(name, folder, running=follow)
    if not follow:
        raise UserError("which session?", "e.g. `duibi replay last`; see `duibi sessions list`")
    for entry in library.entries(folder):
        if entry.verdict == "running":
            return entry.path
    raise UserError(f"nothing is being recorded in {folder}", "name a session, e.g. `last`")


def _follower(
    path: Path, speed: str, question: str | None, max_gap: float | None, loop: bool
) -> Follower:
    if question is not None or max_gap is not None or loop or speed not in ("1", "max"):
        raise UserError(
            "--follow shows all that comes, as it comes",
            "leave --speed, --question, --max-gap and --loop out",
        )
    return Follower(path)


def _speed(text: str) -> float:
    speeds = {"1": 1.0, "2": 2.0, "4": 4.0, "8": 8.0, "max": math.inf}
    known = speeds.get(text)
    if known is None:
        raise UserError(f"no speed {text!r}", f"give one of {', '.join(speeds)}")
    return known


def print_replay(player: Player) -> int:
    """Write a replay to stdout as text, until its end; the exit code."""
    transcript = Transcript()
    try:
        while True:
            _, events = player.drain()
            _write("".join(map(transcript.feed, events)))
            wait = player.next_due_s
            if wait is None:
                break
            time.sleep(wait)
        _write(transcript.finish())
    except BrokenPipeError:
        discard_output(sys.stdout.fileno())  # the reader has gone, as `| head` does
    return 0


def _write(text: str) -> None:
    if text:
        sys.stdout.write(text)
        sys.stdout.flush()


command = typer.main.get_command(app)
