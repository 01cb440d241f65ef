"""State of a run, folded from its events.

The screen, the plain progress and the exports read a :class:`Board`. A live run, a replay and
a recovered session differ only in where the events come from.
"""

from tui.board.folding import MEMORY_SAMPLES, fold
from tui.board.state import (
    Answer,
    Board,
    BoardQuestion,
    Model,
    last_characters,
)

__all__ = [
    "MEMORY_SAMPLES",
    "Answer",
    "Board",
    "BoardQuestion",
    "Model",
    "fold",
    "last_characters",
]
