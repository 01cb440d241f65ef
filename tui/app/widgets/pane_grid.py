"""The panes, side by side or one at a time under tabs with a line of preview each."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.containers import Container

from tui.app.pane.header import STATE_SIGNS, pane_state, shown_answer
from tui.app.pane.short_names import short_label
from tui.app.style.appearance import Appearance, StyledText
from tui.app.widgets.answer_pane import AnswerPane
from tui.app.widgets.line_widget import BlankBackground, MainPart
from tui.app.widgets.lines import Lines
from tui.board import Board, last_characters
from tui.text.sanitise import one_line

MIN_PANE_WIDTH, MIN_PANE_HEIGHT = 32, 8
_GUTTER_COLUMNS, _GUTTER_ROWS = 2, 1
_BARS_ROWS = 6
"""Rows that question, prompt, status and keys take beside the panes."""
_PREVIEW = 400
"""Characters of an answer's end that a line of preview is made from."""


@dataclass(frozen=True, slots=True)
class GridLayout:
    """``columns`` x ``rows`` of panes, or with 0 columns one pane under tabs."""

    columns: int
    rows: int


def grid_layout(panes: int, width: int, height: int) -> GridLayout:
    """The layout for a number of panes in a room: as few rows as the widths allow."""
    if panes == 1:
        return GridLayout(1, 1)
    for rows in range(1, panes + 1):
        columns = math.ceil(panes / rows)
        if (width + _GUTTER_COLUMNS) // columns - _GUTTER_COLUMNS >= MIN_PANE_WIDTH:
            fits = (height + _GUTTER_ROWS) // rows - _GUTTER_ROWS >= MIN_PANE_HEIGHT
            return GridLayout(columns, rows) if fits else GridLayout(0, 0)
    return GridLayout(0, 0)


class Tabs(Lines):
    """A line for each model: the chosen one marked, of the others how they go on. Where the
    room is short, those around the chosen one."""

    def show_tabs(
        self, board: Board, question: str, shown: Sequence[int], chosen: int, rows: int
    ) -> None:
        """Draw the models of the panes ``shown`` with the end of what each has said, in some
        rows."""
        width = self.size.width
        lines: list[list[StyledText]] = []
        at = shown.index(chosen) if chosen in shown else 0
        first = max(0, min(at - rows // 2, len(shown) - rows))
        for model in (board.models[index] for index in shown[first : first + rows]):
            answer = shown_answer(board, model.index, question)
            label = short_label(board, model.index, max(8, width // 3))
            now = pane_state(model, answer)
            state = f"{STATE_SIGNS.get(now, ' ')} {self.appearance.say(f'state.{now}')}"
            preview = one_line(last_characters(answer.chunks, _PREVIEW)) if answer else ""
            room = width - cell_len(label) - cell_len(state) - 9
            style = "cursor bold" if model.index == chosen else "panel"
            lines.append(
                [
                    (f" {model.index + 1} {label} ", style),
                    (f" {state} ", "accent"),
                    (_clip_start(preview.strip(), room), "muted"),
                ]
            )
        self.show(lines)


def _clip_start(text: str, room: int) -> str:
    """The end of a line that fits, with an ellipsis before it."""
    if room <= 1:
        return ""
    if cell_len(text) <= room:
        return text
    text = text[-room:]
    while cell_len(text) > room - 1:
        text = text[1:]
    return "…" + text


class PaneGrid(BlankBackground, MainPart, Container):
    """Holds the panes and decides where they are; knows which one is meant."""

    def __init__(self, count: int, appearance: Appearance, hint: str) -> None:
        super().__init__(id="panes")
        self.tabs = Tabs(appearance, id="tabs")
        self._appearance, self._hint = appearance, hint
        self.panes = [AnswerPane(index, appearance, hint) for index in range(count)]
        self.chosen = 0
        self.hidden: set[int] = set()
        """The panes that a person put away."""
        self.is_zoomed = False
        self._arranged: tuple[object, ...] = ()

    def compose(self) -> ComposeResult:
        """Tabs above, then the panes."""
        yield self.tabs
        yield from self.panes

    def add_panes(self, count: int) -> None:
        """As many panes as there are models now."""
        for index in range(len(self.panes), count):
            self.panes.append(AnswerPane(index, self._appearance, self._hint))
            self.mount(self.panes[-1])
        self.rearrange()

    @property
    def pane(self) -> AnswerPane:
        """The chosen pane."""
        return self.panes[self.chosen]

    def visible_panes(self) -> Iterator[AnswerPane]:
        """The panes that can be seen."""
        return (pane for pane in self.panes if pane.display)

    @property
    def shown(self) -> list[int]:
        """The panes that are not put away."""
        return [pane.index for pane in self.panes if pane.index not in self.hidden]

    def hide_chosen(self) -> bool:
        """Put the chosen pane away, if it is not the last one; whether that was done."""
        if len(self.shown) < 2:
            return False
        self.hidden.add(self.chosen)
        after = [index for index in self.shown if index > self.chosen]
        self.choose((after or self.shown)[0])
        return True

    def show_all(self) -> None:
        """Bring back what was put away."""
        self.hidden.clear()
        self.rearrange()

    def choose(self, index: int, focus: bool = True) -> None:
        """Make a pane the chosen one and give it the focus."""
        if 0 <= index < len(self.panes) and index not in self.hidden:
            self.chosen = index
            self.rearrange()
            if focus:
                self.pane.focus(scroll_visible=False)

    def highlight(self, is_on: bool) -> None:
        """Show which pane is the chosen one while something else has the focus."""
        for pane in self.panes:
            pane.highlight(is_on and pane.index == self.chosen)

    @property
    def _tab_rows(self) -> int:
        """Tabs take a third of the room at most."""
        return min(len(self.shown), max(2, self.size.height // 3))

    def toggle_zoom(self) -> None:
        """Show the chosen pane alone, or all again."""
        self.is_zoomed = not self.is_zoomed
        self.rearrange()

    def on_resize(self) -> None:
        """Another room, perhaps another layout."""
        self.rearrange()

    def rearrange(self) -> None:
        """Lay the panes out for the room there is."""
        if not self.size or not self.panes:
            return
        # By the room of the screen, so that a longer question does not change the layout.
        height = max(self.size.height, self.app.size.height - _BARS_ROWS)
        shown = self.shown
        placed = grid_layout(len(shown), self.size.width, height)
        alone = self.is_zoomed or placed.columns == 0
        mark = (placed, alone, self.chosen if alone else None, self._tab_rows, shown)
        if mark == self._arranged:
            return
        self._arranged = mark
        self.tabs.display = placed.columns == 0 and not self.is_zoomed
        self.tabs.styles.height = self._tab_rows
        columns = 1 if alone else placed.columns
        self.styles.layout = "vertical" if alone else "grid"
        if not alone:
            self.styles.grid_size_columns = columns
            self.styles.grid_size_rows = placed.rows
        for pane in self.panes:
            pane.display = pane.index == self.chosen if alone else pane.index in shown
            # The last one has what is free beside it.
            is_last = pane.index == shown[-1] and not alone
            pane.styles.column_span = columns * placed.rows - len(shown) + 1 if is_last else 1

    def show(self, board: Board, question: str, prompt_above: str = "") -> None:
        """Bring the visible panes and the tabs up to the board; ``prompt_above``: what stands
        above the panes."""
        for pane in self.visible_panes():
            pane.show(board, question, prompt_above)
        if self.tabs.display:
            self.tabs.show_tabs(board, question, self.shown, self.chosen, self._tab_rows)
