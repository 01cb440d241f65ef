"""Lists the bindings that are active on the screen below."""

import os
from typing import ClassVar

from rich.cells import set_cell_size
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.strip import Strip

from tui.app.style.appearance import Appearance, StyledText
from tui.app.terminal import capabilities
from tui.app.widgets.keys_bar import active_keys
from tui.app.widgets.line_widget import LineWidget

_DESCRIPTION_CELLS = 26
"""Cells for what a key does."""


class Page(LineWidget, can_focus=True):
    """Lines that scroll."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "scroll_by(1)", "key.down", show=False, id="help.down"),
        Binding("up,k", "scroll_by(-1)", "key.up", show=False, id="help.up"),
        Binding("pagedown", "scroll_by(10)", "key.page_down", show=False, id="help.page_down"),
        Binding("pageup", "scroll_by(-10)", "key.page_up", show=False, id="help.page_up"),
    ]

    def __init__(self, appearance: Appearance, rows: list[list[StyledText]]) -> None:
        super().__init__(id="page")
        self.appearance, self.rows, self.top = appearance, rows, 0

    def render_line(self, y: int) -> Strip:
        """One line."""
        index = self.top + y
        pieces = self.rows[index] if index < len(self.rows) else []
        return self.appearance.strip(pieces, self.size.width)

    def action_scroll_by(self, rows: int) -> None:
        """Scroll."""
        last = max(0, len(self.rows) - self.size.height)
        self.top = max(0, min(last, self.top + rows))
        self.refresh()


class HelpScreen(Screen[None]):
    """A page of keys with what they do and the name each has in ``duibi.toml``."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q", "close", "key.leave", id="help.close"),
    ]

    def __init__(self, appearance: Appearance, screen: Screen[object]) -> None:
        super().__init__()
        say = appearance.say
        rows: list[list[StyledText]] = [
            [],
            [(f"  {say('help.title')}", "accent bold")],
            [(f"  {say('help.close')}", "muted")],
            [
                (
                    f"  {capabilities.colour_support(screen.app.console, os.environ, appearance)}",
                    "muted",
                )
            ],
            [],
        ]
        digits = [entry for entry in active_keys(screen) if entry[0].endswith(".1")]
        for id_, keys, description in active_keys(screen):
            group, _, name = id_.rpartition(".")
            if name.isdigit():
                if name != "1" or not digits:
                    continue
                id_, keys = f"{group}.1 … {group}.9", "1-9"
            rows.append(
                [
                    (f"  {keys:<18}", "accent"),
                    (set_cell_size(say(description), _DESCRIPTION_CELLS), ""),
                    (f"  {id_}", "muted"),
                ]
            )
        self.page = Page(appearance, rows)

    def compose(self) -> ComposeResult:
        """The page."""
        yield self.page

    def on_mount(self) -> None:
        """Keys go to the page."""
        self.page.focus()

    def action_close(self) -> None:
        """Back."""
        self.dismiss()
