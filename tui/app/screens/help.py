"""The keys that act on the screen below, in groups, with the name each has in ``duibi.toml``."""

import os
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.strip import Strip

from tui.app.pane.wrapping import wrap_line
from tui.app.style.appearance import Appearance, StyledText
from tui.app.terminal import capabilities
from tui.app.terminal.notice_compositor import NoticeCompositor
from tui.app.widgets.keys_bar import active_keys
from tui.app.widgets.line_widget import LineWidget, MainPart, ScrolledRows
from tui.app.widgets.scrolling import scroll_bindings

_GROUPS = {
    "ask": ("answer.", "prompt.", "model."),
    "look": (
        "pane.find",
        "pane.raw",
        "pane.hide",
        "pane.show_all",
        "question.whole",
        "screen.zoom",
        "view.",
        "diff.",
    ),
    "play": ("replay.",),
    "judge": ("judge.", "stars.", "votes."),
    "save": ("session.", "answer.copy", "screen.screenshot"),
    "list": ("library.", "models.", "start.", "menu.", "search.", "confirm.", "export."),
    "move": ("question.", "pane.", "screen.focus", "help."),
    "program": ("app.",),
}
"""Beginnings of binding ids; of several that fit the longest counts."""
_KEY_CELLS = 14
_NAME_CELLS = 21
_TWO_COLUMNS = 72
Rows = list[list[StyledText]]


def group_of(id_: str) -> str:
    """The group of a binding's id."""
    fits = [
        (len(start), group)
        for group, starts in _GROUPS.items()
        for start in starts
        if id_.startswith(start)
    ]
    return max(fits)[1] if fits else "program"


class Page(ScrolledRows, LineWidget, MainPart, can_focus=True):
    """Lines that scroll."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *scroll_bindings("help"),
        Binding("space,ctrl+d", "page(0.5)", "key.half_down", show=False, id="help.half_down"),
        Binding("ctrl+u", "page(-0.5)", "key.half_up", show=False, id="help.half_up"),
        Binding("home,g", "scroll(-100000)", "key.top", show=False, id="help.top"),
        Binding("end,G", "scroll(100000)", "key.end", show=False, id="help.end"),
    ]

    def __init__(self, appearance: Appearance) -> None:
        super().__init__(id="page")
        self.appearance = appearance
        self.rows: Rows = []

    def show(self, rows: Rows) -> None:
        """Draw these lines."""
        self.rows = rows
        self.action_scroll(0)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """One line."""
        index = self.top + y
        pieces = self.rows[index] if index < len(self.rows) else []
        return self.appearance.strip(pieces, self.size.width)

    @property
    def row_count(self) -> int:
        """Lines of the page."""
        return len(self.rows)


class HelpScreen(Screen[None]):
    """A page of keys with what they do; where there is no room for the names, a key shows
    them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q", "close", "key.leave", id="help.close"),
        Binding("n", "names", "key.names", id="help.names"),
    ]

    def __init__(self, appearance: Appearance, screen: Screen[object]) -> None:
        super().__init__()
        self._compositor = NoticeCompositor()
        self.appearance = appearance
        self._keys = _merged_digits(active_keys(screen))
        self._colours = capabilities.colour_support(screen.app.console, os.environ, appearance)
        self._has_names = False
        self.page = Page(appearance)

    def compose(self) -> ComposeResult:
        """The page."""
        yield self.page

    def on_mount(self) -> None:
        """Keys go to the page."""
        self.page.focus()

    def on_resize(self, event: events.Resize) -> None:
        """One column or two."""
        self.page.show(self._rows(event.size.width))

    def _rows(self, width: int) -> Rows:
        say = self.appearance.say
        rows: Rows = [[(f" {say('help.title')}", "accent bold")]]
        columns = 2 if width >= _TWO_COLUMNS and not self._has_names else 1
        cells = (width - columns) // columns
        # Names stand in two columns only where no word of a key is cut for them.
        longest = max((cell_len(say(words)) for *_, words in self._keys), default=0)
        has_room = columns == 2 and cells - _KEY_CELLS - 2 - _NAME_CELLS >= longest
        for text in (say("help.close_named" if has_room else "help.close"), say("help.palette")):
            rows += [[(f" {row}", "muted")] for row in wrap_line(text, width - 2)]
        rows += [[(f" {row}", "muted")] for row in wrap_line(self._colours, width - 2)]
        blocks = [block for group in _GROUPS if (block := self._block(group, cells, has_room))]
        if columns == 1:
            return rows + [row for block in blocks for row in ([], *block)]
        left, right = _halves(blocks)
        for index in range(max(len(left), len(right))):
            one = left[index] if index < len(left) else []
            two = right[index] if index < len(right) else []
            used = sum(cell_len(text) for text, _ in one)
            rows.append([*one, (" " * (cells + 1 - used), ""), *two])
        return rows

    def _block(self, group: str, cells: int, has_room: bool) -> Rows:
        """The keys of a group, in rows of so many cells; with names where there is room."""
        say, has_names = self.appearance.say, self._has_names or has_room
        words_cells = cells - _KEY_CELLS - 2 - (_NAME_CELLS if has_names else 0)
        found: Rows = []
        for id_, keys, description in self._keys:
            if group_of(id_) != group:
                continue
            row: list[StyledText] = [
                (f" {set_cell_size(keys, max(_KEY_CELLS, cell_len(keys) + 1))}", "accent"),
                (set_cell_size(say(description), max(8, words_cells)), ""),
            ]
            found.append([*row, (f" {id_}", "muted")] if has_names else row)
        return [[(f" {say(f'help.group_{group}')}", "bold")], *found] if found else []

    def action_names(self) -> None:
        """The names for the settings, or not."""
        self._has_names = not self._has_names
        self.page.show(self._rows(self.size.width))

    def action_close(self) -> None:
        """Back."""
        self.dismiss()


def _merged_digits(keys: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """The bindings of the digits of a group as one."""
    found = []
    for id_, pressed, description in keys:
        group, _, name = id_.rpartition(".")
        if not name.isdigit():
            found.append((id_, pressed, description))
        elif name == "1":
            last = max(int(one.rpartition(".")[2]) for one, *_ in keys if _is_digit_of(one, group))
            found.append((f"{group}.1 … {last}", f"1-{last}", description))
    return found


def _is_digit_of(id_: str, group: str) -> bool:
    before, _, name = id_.rpartition(".")
    return before == group and name.isdigit()


def _halves(blocks: list[Rows]) -> tuple[Rows, Rows]:
    """The blocks in two columns of about the same height, an empty row before each."""
    left: Rows = []
    right: Rows = []
    half = (sum(len(block) + 1 for block in blocks) + 1) // 2
    for block in blocks:
        column = left if not right and len(left) + len(block) // 2 < half else right
        column += [[], *block]
    return left, right
