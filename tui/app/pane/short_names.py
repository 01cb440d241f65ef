"""Names of models in few cells: shortened so that they stay as different as they are."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import takewhile

from rich.cells import cell_len

from tui.app.pane.wrapping import clip, clip_middle
from tui.board import Board
from tui.text.sanitise import one_line

_PARTS = "-_/ .:@"
"""What parts a name: a piece of it is shown from the beginning of such a part."""


def short_label(board: Board, model: int, cells: int) -> str:
    """The label of a model in at most so many cells, not to be taken for another one's."""
    return short_names(tuple(one_line(one.label) for one in board.models), cells)[model]


@lru_cache(256)
def short_names(names: tuple[str, ...], cells: int) -> tuple[str, ...]:
    """Each name in at most so many cells. Usually its middle is left out; of names that would
    then read the same, what stands before the place where they part is."""
    clipped = {name: clip_middle(name, cells) for name in names}
    short = []
    for name in names:
        alike = [other for other, cut in clipped.items() if cut == clipped[name]]
        is_plain = len(alike) == 1
        short.append(clipped[name] if is_plain else _from_where_they_part(name, alike, cells))
    return tuple(short)


def _from_where_they_part(name: str, alike: Sequence[str], cells: int) -> str:
    """The beginning of a name, and it from where names that begin alike part."""
    columns = zip(*alike, strict=False)
    at = sum(1 for _ in takewhile(lambda letters: len(set(letters)) == 1, columns))
    while at > 0 and name[at - 1] not in _PARTS:
        at -= 1
    rest = clip(name[at:], max(cells * 2 // 3, cells - cell_len(name[:at])))
    room = cells - cell_len(rest)
    return clip(name[:at], room) + rest if room > 1 else clip(name[at:], cells)
