"""Bars of block characters."""

from collections.abc import Sequence


def sparkline(values: Sequence[float]) -> str:
    """Shares of a whole (0 to 1) as a row of bars, eight heights each."""
    return "".join("▁▂▃▄▅▆▇█"[max(0, min(7, int(value * 8)))] for value in values)


def progress_bar(done: float, width: int) -> tuple[str, str]:
    """The filled and the empty part of a bar of ``width`` cells; ``done`` is 0 to 1."""
    filled = round(min(1.0, max(0.0, done)) * width)
    return "━" * filled, "─" * (width - filled)
