"""Names that differ from each other."""

from collections.abc import Collection


def unused_name(wanted: str, taken: Collection[str], numbered: str = "{} #{}") -> str:
    """``wanted``, or with a number that makes it a name not ``taken``: the first one from 2 on
    where those that are taken have no gap. Few are looked for, however many are taken."""
    if wanted not in taken:
        return wanted
    below, free = 1, 2
    while numbered.format(wanted, free) in taken:
        below, free = free, 2 * free
    while free - below > 1:
        middle = (below + free) // 2
        if numbered.format(wanted, middle) in taken:
            below = middle
        else:
            free = middle
    return numbered.format(wanted, free)
