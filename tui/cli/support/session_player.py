"""The player of a session file, with a word where not all of the file could be read."""

import math
from pathlib import Path

from tui.cli.support.printing import tell
from tui.host import splash
from tui.sessions import reader
from tui.sessions.player import SHORT_WAIT_S, Player
from tui.sessions.select import select_question
from tui.text.sanitise import clean


def make_player(
    path: Path,
    speed: float = 1.0,
    question: str | None = None,
    max_gap: float | None = None,
    loop: bool = False,
) -> Player:
    """A player of all events of ``path``, or of those of one question.

    Raises:
        UserError: the file is no session, or has no such question.
    """
    reading = reader.read(path)
    if reading.verdict in ("torn", "damaged"):
        splash.wipe()
        tell(
            f"duibi: {clean(path.name)} is {reading.verdict}: {reading.bytes_dropped} bytes "
            f"after event {len(reading.events) - 1} are left out"
        )
    events = reading.events
    if question is not None:
        events = select_question(events, question)
    return Player(events, speed=speed, max_gap=max_gap, loop=loop)


def make_watched_player(
    path: Path,
    speed: float = 1.0,
    question: str | None = None,
    max_gap: float | None = None,
    loop: bool = False,
) -> Player:
    """As `make_player`, for a person who watches: from the first token, waits shortened.

    Raises:
        UserError: as `make_player`.
    """
    wait = SHORT_WAIT_S if max_gap is None else max_gap
    player = make_player(path, speed, question, wait, loop)
    if not math.isinf(speed):
        player.go_to_first_token()
    return player
