"""Names that differ from each other."""

from collections.abc import Collection


def unused_name(wanted: str, taken: Collection[str], numbered: str = "{} #{}") -> str:
    """``wanted``, or with the first number from 2 on that makes it a name not ``taken``."""
    name, number = wanted, 1
    while name in taken:
        number += 1
        name = numbered.format(wanted, number)
    return name
