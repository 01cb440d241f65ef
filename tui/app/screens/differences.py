"""Where two answers part: both texts level with each other, scrolled together."""

from collections.abc import Iterable
from itertools import combinations
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.strip import Strip
from textual.widget import Widget

from tui.app.pane.side_by_side import SideBySide, side_by_side
from tui.app.pane.wrapping import clip
from tui.app.screens.base import BaseScreen
from tui.app.screens.board_screen import BoardScreen
from tui.app.style.appearance import Look
from tui.app.widgets.lines import Lines
from tui.text.sanitise import one_line

_REFRESH_S = 0.5


class DiffView(Widget, can_focus=True):
    """Two columns of rows."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "scroll(1)", "key.down", show=False, id="diff.down"),
        Binding("up,k", "scroll(-1)", "key.up", show=False, id="diff.up"),
        Binding("pagedown,ctrl+f", "page(1.0)", "key.page_down", show=False, id="diff.page_down"),
        Binding("pageup,ctrl+b", "page(-1.0)", "key.page_up", show=False, id="diff.page_up"),
        Binding("home,g", "scroll(-1000000)", "key.top", show=False, id="diff.top"),
        Binding("end,G", "scroll(1000000)", "key.end", show=False, id="diff.end"),
    ]

    def __init__(self, look: Look) -> None:
        super().__init__(id="diff")
        self.look = look
        self.made = SideBySide([], 1.0)
        self.top = 0

    @property
    def column(self) -> int:
        """Cells of text in a column."""
        return max(8, (self.size.width - 5) // 2)

    def show(self, made: SideBySide) -> None:
        """Draw these rows."""
        self.made = made
        self.top = min(self.top, max(0, len(made.rows) - 1))
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """One row of both."""
        index = self.top + y
        left, right = self.made.rows[index] if index < len(self.made.rows) else ([], [])
        one, two = (self.look.strip(pieces, self.column) for pieces in (left, right))
        gap, rule = self.look.strip([], 1), self.look.strip([(" │ ", "muted")], 3)
        return Strip.join([gap, one, rule, two]).adjust_cell_length(
            self.size.width, self.look.style("text")
        )

    def action_scroll(self, rows: int) -> None:
        """Scroll both."""
        last = max(0, len(self.made.rows) - self.size.height)
        self.top = max(0, min(last, self.top + rows))
        self.refresh()

    def action_page(self, pages: float) -> None:
        """Scroll both by pages."""
        self.action_scroll(int(pages * max(1, self.size.height - 1)))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """The wheel scrolls three rows."""
        self.action_scroll(3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """The wheel scrolls three rows."""
        self.action_scroll(-3)


class DifferencesScreen(BaseScreen):
    """Two panes of a board screen; names stay hidden where they are hidden there."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,d,backspace", "leave", "key.leave", id="diff.leave"),
        Binding("n", "step(1)", "key.next", id="diff.next"),
        Binding("p", "step(-1)", "key.previous", id="diff.previous"),
        Binding("tab", "pair(1)", "key.pair", id="diff.pair"),
        Binding("shift+tab", "pair(-1)", "key.pair", show=False, id="diff.pair_before"),
        Binding("S", "screenshot", "key.screenshot", show=False, id="diff.screenshot"),
    ]

    def __init__(self, look: Look, of: BoardScreen, chosen: int) -> None:
        super().__init__(look)
        self._of, self._chosen = of, chosen
        self._at: int | None = None
        self._mark: tuple[object, ...] = ()
        self.heading = Lines(look, id="diff-title")
        self.heading.ground = "panel"
        self.diff = DiffView(look)

    def parts(self) -> Iterable[Widget]:
        """Who is compared, and the texts."""
        yield self.heading
        yield self.diff

    def on_mount(self) -> None:
        """Compare, and again while the answers grow."""
        self.diff.focus()
        self.set_interval(_REFRESH_S, self.compare)
        self.call_after_refresh(self.compare)

    def on_resize(self, event: events.Resize) -> None:
        """Another width: other rows."""
        super().on_resize(event)
        self.call_after_refresh(self.compare)

    def _pairs(self) -> list[tuple[int, int]]:
        return list(
            combinations([m.index for m in self._of.shown.models if self._text(m.index)], 2)
        )

    def _text(self, place: int) -> str:
        answers = self._of.shown.conversation(place, self._of.question)
        return "\n\n".join(answer.text for answer in answers)

    def compare(self) -> None:
        """Bring the view up to the board."""
        pairs = self._pairs()
        if self._at is None:
            first = [i for i, pair in enumerate(pairs) if self._chosen in pair]
            self._at = first[0] if first else 0
        if not pairs:
            self._mark = ()
            self.heading.show([[(" " + self.look.say("differences.none"), "warn")]])
            self.diff.show(SideBySide([], 1.0))
            return
        self._at %= len(pairs)
        one, two = pairs[self._at]
        left, right = self._text(one), self._text(two)
        mark = (one, two, self._of.question, len(left), len(right), self.diff.column)
        if mark == self._mark:
            return
        if mark[:3] != self._mark[:3]:
            self.diff.top = 0
        self._mark = mark
        made = side_by_side(left, right, self.diff.column)
        self.diff.show(made)
        self._show_heading(one, two, made.same)

    def _show_heading(self, one: int, two: int, same: float) -> None:
        models, column = self._of.shown.models, self.diff.column
        ids = [question.id for question in self._of.shown.questions]
        where = f"{ids.index(self._of.question) + 1}/{len(ids)}"
        share = self.look.say("differences.same", percent=round(same * 100))
        right = f"{share}  {where} "
        left_label = clip(one_line(models[one].label), column).ljust(column)
        right_label = clip(one_line(models[two].label), max(4, column - len(right) - 2))
        self.heading.show(
            [
                [
                    (f" {left_label} │ ", "bold"),
                    (right_label, "bold"),
                    ("  ", ""),
                    (right, "accent"),
                ]
            ]
        )

    def action_leave(self) -> None:
        """Back to the panes."""
        self.app.pop_screen()

    def action_step(self, step: int) -> None:
        """Another question, there too."""
        self._of.action_step(step)
        self.compare()

    def action_pair(self, step: int) -> None:
        """Another two of the panes."""
        self._at = (self._at or 0) + step
        self.compare()

    def action_screenshot(self) -> None:
        """A picture of this screen."""
        self._of.action_screenshot()
