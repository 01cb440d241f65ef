"""The player of a session file, with a word where not all of the file could be read."""

import math
from pathlib import Path

from tui.cli.support.printing import tell
from tui.events.waits import LONGEST_WAIT_S
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
    is_watched: bool = False,
) -> Player:
    """A player of all events of ``path``, or of those of one question. Where a person watches
    (``is_watched``) it begins with the first token. ``max_gap``: the longest wait in seconds.

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
    if max_gap is None:
        max_gap = SHORT_WAIT_S if is_watched else LONGEST_WAIT_S
    player = Player(events, speed=speed, max_gap=max_gap, loop=loop)
    if is_watched and not math.isinf(speed):
        player.go_to_first_token()
    return player
