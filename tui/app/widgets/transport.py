"""Where a replay is: playing or paused, speed, position and duration as a bar."""

import math

from rich.cells import cell_len

from tui.app.style.bars import progress_bar
from tui.app.widgets.lines import Lines
from tui.text.units import format_clock

_WIDE = 72
"""Columns from which on it is said that waits are shortened."""


class TransportBar(Lines):
    """One line; changes at most once a second of the session's time, or when steered."""

    def show_position(
        self,
        position_us: int,
        duration_us: int,
        speed: float,
        playing: bool,
        ended: bool,
        longest_wait_s: float = math.inf,
        is_live: bool = False,
    ) -> None:
        """Show where the player is; ``is_live``: it shows a run as it is recorded."""
        say = self.appearance.say
        if is_live:
            state, style = say("transport.live"), "good"
        elif ended:
            state, style = say("transport.ended"), "good"
        elif playing:
            state, style = say("transport.playing"), "accent"
        else:
            state, style = say("transport.paused"), "warn"
        pace = say("transport.max") if math.isinf(speed) else say("transport.speed", n=f"{speed:g}")
        if is_live:
            pace = ""
        elif math.isfinite(longest_wait_s) and not math.isinf(speed) and self.size.width >= _WIDE:
            pace += "  " + say("transport.shortened", seconds=f"{longest_wait_s:g}")
        times = f"{format_clock(min(position_us, duration_us))} / {format_clock(duration_us)}"
        room = self.size.width - cell_len(state) - cell_len(pace) - len(times) - 8
        second = position_us - position_us % 1_000_000 if playing and not ended else position_us
        done = second / duration_us if duration_us else 1.0
        filled, empty = progress_bar(done, max(4, room))
        self.show(
            [
                [
                    (" ", ""),
                    (state, f"bold {style}"),
                    ("  ", ""),
                    (pace, "muted"),
                    ("  ", ""),
                    (filled, "accent"),
                    (empty, "muted"),
                    ("  ", ""),
                    (times, "muted"),
                ]
            ]
        )
