"""A list in sections to choose from, drawn line by line."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip

from tui.app.pane.wrapping import clip
from tui.app.style.appearance import Appearance, StyledText
from tui.app.widgets.line_widget import LineWidget, MainPart


@dataclass(frozen=True, slots=True)
class MenuItem:
    """One line: a title, words at the right, and what it stands for."""

    title: str
    detail: str
    value: object
    marked: bool = False
    key: str = ""
    """A key of the screen that does the same, shown in the place of a number."""


@dataclass(frozen=True, slots=True)
class MenuHeading:
    """A line above entries."""

    title: str


MenuRows = list[MenuItem | MenuHeading | None]
"""The lines of a menu; None is an empty one."""


class Menu(LineWidget, MainPart, can_focus=True):
    """Arrows move, Enter or a digit chooses. The first nine entries without a key of their own
    are numbered."""

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

    def __init__(self, appearance: Appearance) -> None:
        super().__init__(id="menu")
        self.appearance = appearance
        self.rows: MenuRows = []
        self.cursor = 0
        self.top = 0

    @property
    def items(self) -> list[MenuItem]:
        """What can be chosen."""
        return [row for row in self.rows if isinstance(row, MenuItem)]

    def show(self, rows: Sequence[MenuItem | MenuHeading | None]) -> None:
        """Show these lines (None: an empty one); the cursor stays on what it was on."""
        before = self.items
        value = before[self.cursor].value if self.cursor < len(before) else None
        self.rows = list(rows)
        values = [item.value for item in self.items]
        if self.cursor and value in values:
            self.cursor = values.index(value)
        self.cursor = min(self.cursor, max(0, len(values) - 1))
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """One line of the list."""
        width, index = self.size.width, self.top + y
        row = self.rows[index] if index < len(self.rows) else None
        if row is None:
            return self.appearance.strip([], width)
        if isinstance(row, MenuHeading):
            return self.appearance.strip([(" " + clip(row.title, width - 2), "accent bold")], width)
        above = [r for r in self.rows[:index] if isinstance(r, MenuItem)]
        chosen = len(above) == self.cursor
        number = sum(not r.key for r in above)
        digit = row.key or (str(number + 1) if number < 9 else " ")
        mark = "✓" if row.marked else " "
        detail = clip(row.detail, width * 3 // 5)
        title = clip(row.title, width - cell_len(detail) - 9)
        gap = " " * max(1, width - cell_len(detail) - cell_len(title) - 8)
        muted = "" if chosen else "muted"
        pieces: list[StyledText] = [
            (f"  {digit} ", muted),
            (f"{mark} ", "" if chosen else "good"),
            (title, "bold" if chosen else ""),
            (gap, ""),
            (detail, muted),
        ]
        return self.appearance.strip(pieces, width, "cursor" if chosen else "text")

    def action_move(self, step: int) -> None:
        """Move the cursor."""
        self.cursor = max(0, min(len(self.items) - 1, self.cursor + step))
        row = [i for i, r in enumerate(self.rows) if isinstance(r, MenuItem)][
            self.cursor : self.cursor + 1
        ]
        if row:
            first = 0 if self.cursor == 0 else row[0]
            self.top = min(first, max(self.top, row[0] - self.size.height + 1))
            self.post_message(self.Moved())
        self.refresh()

    def action_choose(self) -> None:
        """Choose what the cursor is on."""
        if self.items:
            self.post_message(self.Chosen(self.items[self.cursor].value))

    def action_mark(self) -> None:
        """Mark what the cursor is on."""
        if self.items:
            self.post_message(self.Marked(self.items[self.cursor].value))

    def action_number(self, number: int) -> None:
        """Choose by number."""
        numbered = [index for index, item in enumerate(self.items) if not item.key]
        if number <= len(numbered):
            self.cursor = numbered[number - 1]
            self.refresh()
            self.action_choose()
