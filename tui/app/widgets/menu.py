"""A list in sections to choose from, drawn line by line."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip

from tui.app.pane.wrapping import clip
from tui.app.style.appearance import Look, Piece
from tui.app.widgets.drawn import Drawn


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: a title, words at the right, and what it stands for."""

    title: str
    detail: str
    value: object
    marked: bool = False


@dataclass(frozen=True, slots=True)
class Heading:
    """A line above entries."""

    title: str


class Menu(Drawn, can_focus=True):
    """Arrows move, Enter or a digit chooses. The first nine entries are numbered."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "key.choose_up", show=False, id="menu.up"),
        Binding("down,j", "move(1)", "key.choose_down", show=False, id="menu.down"),
        Binding("home,g", "move(-1000)", "key.top", show=False, id="menu.top"),
        Binding("end,G", "move(1000)", "key.end", show=False, id="menu.end"),
        Binding("enter", "choose", "key.open", id="menu.open"),
        Binding("space", "mark", "key.mark", id="menu.mark"),
        *(
            Binding(str(n), f"number({n})", "key.number", show=False, id=f"menu.{n}")
            for n in range(1, 10)
        ),
    ]

    class Chosen(Message):
        """A person chose an entry."""

        def __init__(self, value: object) -> None:
            super().__init__()
            self.value = value

    class Moved(Message):
        """The cursor is on another entry."""

    class Marked(Message):
        """A person marked an entry, to choose several."""

        def __init__(self, value: object) -> None:
            super().__init__()
            self.value = value

    def __init__(self, look: Look) -> None:
        super().__init__(id="menu")
        self.look = look
        self.rows: list[Entry | Heading | None] = []
        self.at = 0
        self.top = 0

    @property
    def entries(self) -> list[Entry]:
        """What can be chosen."""
        return [row for row in self.rows if isinstance(row, Entry)]

    def show(self, rows: Sequence[Entry | Heading | None]) -> None:
        """Show these lines (None: an empty one); the cursor stays where it was."""
        self.rows = list(rows)
        self.at = min(self.at, max(0, len(self.entries) - 1))
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """One line of the list."""
        width, index = self.size.width, self.top + y
        row = self.rows[index] if index < len(self.rows) else None
        if row is None:
            return self.look.strip([], width)
        if isinstance(row, Heading):
            return self.look.strip([(" " + clip(row.title, width - 2), "accent bold")], width)
        number = sum(isinstance(r, Entry) for r in self.rows[:index])
        chosen = number == self.at
        digit = str(number + 1) if number < 9 else " "
        mark = "✓" if row.marked else " "
        detail = clip(row.detail, width * 3 // 5)
        title = clip(row.title, width - cell_len(detail) - 9)
        gap = " " * max(1, width - cell_len(detail) - cell_len(title) - 8)
        muted = "" if chosen else "muted"
        pieces: list[Piece] = [
            (f"  {digit} ", muted),
            (f"{mark} ", "" if chosen else "good"),
            (title, "bold" if chosen else ""),
            (gap, ""),
            (detail, muted),
        ]
        return self.look.strip(pieces, width, "cursor" if chosen else "text")

    def action_move(self, step: int) -> None:
        """Move the cursor."""
        self.at = max(0, min(len(self.entries) - 1, self.at + step))
        row = [i for i, r in enumerate(self.rows) if isinstance(r, Entry)][self.at : self.at + 1]
        if row:
            first = 0 if self.at == 0 else row[0]
            self.top = min(first, max(self.top, row[0] - self.size.height + 1))
            self.post_message(self.Moved())
        self.refresh()

    def action_choose(self) -> None:
        """Choose what the cursor is on."""
        if self.entries:
            self.post_message(self.Chosen(self.entries[self.at].value))

    def action_mark(self) -> None:
        """Mark what the cursor is on."""
        if self.entries:
            self.post_message(self.Marked(self.entries[self.at].value))

    def action_number(self, number: int) -> None:
        """Choose by number."""
        if number <= len(self.entries):
            self.at = number - 1
            self.refresh()
            self.action_choose()
