"""Shapes that files of others tell of."""

from typing import Any

_MAX_DIMENSIONS = 16


def checked_shape(
    told: Any, kind: type[list[Any]] | type[tuple[Any, ...]] = list
) -> tuple[int, ...]:
    """A shape, or another few numbers that are not negative, out of a file, whose reader makes a
    ``kind`` of them.

    Raises:
        ValueError: it is none. One of a million numbers would be multiplied for minutes.
    """
    if not isinstance(told, kind) or len(told) > _MAX_DIMENSIONS:
        raise ValueError("no shape")
    if not all(type(n) is int and 0 <= n < 1 << 48 for n in told):
        raise ValueError("no size")
    return tuple(told)
