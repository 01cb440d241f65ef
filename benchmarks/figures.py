"""Medians and spreads, in one form for every benchmark."""

import statistics
from collections.abc import Sequence


def spread(values: Sequence[float], unit: str, digits: int = 2) -> str:
    """``median unit (min to max, n)`` of at least one value."""
    low, high = min(values), max(values)
    middle = statistics.median(values)
    return f"{middle:.{digits}f} {unit} ({low:.{digits}f} to {high:.{digits}f}, n={len(values)})"


def row(name: str, value: str, limit: str = "") -> None:
    """Print one figure on a line, with what it is held against."""
    print(f"{name:<44} {value:<42} {limit}".rstrip(), flush=True)


def tail(ordered: Sequence[float], share: float) -> float:
    """The value that ``share`` of the values, in order of size, do not exceed."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
