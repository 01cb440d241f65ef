"""Figures in words: short, with their unit, of steady width where they change."""

import re
from collections.abc import Sequence

GIB = 1 << 30
MIB = 1 << 20
_TIME = re.compile(r"([0-9]{1,4}:){0,2}[0-9]{1,6}(\.[0-9]{1,6})?")


def memory(size: int) -> str:
    """Bytes as ``412 MB`` or ``13.4 GB`` (binary: 1 GB = 2**30 bytes)."""
    if size >= 10 * GIB:
        return f"{size / GIB:.0f} GB"
    if size >= GIB:
        return f"{size / GIB:.1f} GB"
    return f"{size / MIB:.0f} MB"


def milliseconds(value: float) -> str:
    """Milliseconds as ``412 ms``, ``3.2 s`` or ``2:05``."""
    if value < 1000:
        return f"{value:.0f} ms"
    if value < 100_000:
        return f"{value / 1000:.1f} s"
    return clock(int(value * 1000))


def clock(us: int) -> str:
    """Microseconds as ``m:ss`` or ``h:mm:ss``."""
    minutes, seconds = divmod(us // 1_000_000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def time_of(text: str) -> int | None:
    """The microseconds of what `clock` writes, or of seconds (``83``, ``83.5``); None: of no
    time."""
    if not _TIME.fullmatch(text.strip()):
        return None
    total = 0.0
    for part in text.strip().split(":"):
        total = total * 60 + float(part)
    return round(total * 1e6)


def rate(per_second: float) -> str:
    """Tokens per second as a figure without unit: ``27.1`` or ``130``."""
    return f"{per_second:.1f}" if per_second < 100 else f"{per_second:.0f}"


def heights(values: Sequence[float]) -> str:
    """Shares of a whole (0 to 1) as a row of bars, eight heights each."""
    return "".join("▁▂▃▄▅▆▇█"[max(0, min(7, int(value * 8)))] for value in values)


def bar(done: float, width: int) -> tuple[str, str]:
    """The filled and the empty part of a bar of ``width`` cells; ``done`` is 0 to 1."""
    filled = round(min(1.0, max(0.0, done)) * width)
    return "━" * filled, "─" * (width - filled)
