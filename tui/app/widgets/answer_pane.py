"""The pane of one model: a header and a conversation, drawn line by line.

A plain widget with `render_line`: rows are wrapped once (`tui.app.pane.conversation`), only
those that changed are repainted, there is no scrollbar, and the background is the theme's.
The header and the text are repainted by the screen's tick, never per token.
"""

from collections.abc import Callable
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.strip import Strip

from tui.app.pane.conversation import Conversation, PaneView
from tui.app.pane.header import pane_header, pane_state, shown_answer
from tui.app.pane.pane_search import PaneSearch, highlight_matches
from tui.app.style.appearance import Appearance, StyledText
from tui.app.widgets.line_widget import LineWidget
from tui.app.widgets.scrolling import scroll_bindings
from tui.board import Board

_FIGURES_EVERY_US = 1_000_000
_MARGIN = 1
_RETRY_LAYOUT_S = 0.2
"""Until an answer is tried again that could not be laid out yet."""


class AnswerPane(LineWidget, can_focus=True):
    """Shows what one model says under one question; scrolls, and follows when at the end."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *scroll_bindings("pane"),
        Binding("ctrl+d", "page(0.5)", "key.half_down", show=False, id="pane.half_down"),
        Binding("ctrl+u", "page(-0.5)", "key.half_up", show=False, id="pane.half_up"),
        Binding("home,g", "top", "key.top", show=False, id="pane.top"),
        Binding("end,G", "end", "key.end", show=False, id="pane.end"),
    ]

    def __init__(self, index: int, appearance: Appearance, hint: str) -> None:
        super().__init__(id=f"pane-{index}")
        self.index, self._appearance, self._hint = index, appearance, hint
        self._board = Board()
        self._question = ""
        self._header: list[StyledText] = []
        self._header_mark: tuple[object, ...] = ()
        self._tops: dict[str, int] = {}
        self.top = 0
        self.follow = True
        self._is_highlighted = self._is_raw = False
        self._prompt_above = ""
        self._conversation = Conversation(PaneView(20), appearance, hint)
        self._pane_search: PaneSearch | None = None

    @property
    def body_height(self) -> int:
        """Rows of text that are visible."""
        return max(1, self.size.height - 1)

    def show(self, board: Board, question: str, prompt_above: str = "") -> None:
        """Bring the pane up to the board; repaints only what changed. ``prompt_above``: what
        stands above the panes."""
        if self.index >= len(board.models):
            return
        self._prompt_above = prompt_above
        if question != self._question:
            self._switch_question(question)
        self._board = board
        if self._view() != self._conversation.view:
            self.rewrap()
        before = len(self._conversation)
        model = board.models[self.index]
        changed = self._conversation.update(board, model, question, self._may_reflow)
        if changed is not None:
            if self._pane_search is not None:
                changed = min(changed, self._pane_search.update(changed, *self._rows()))
            self._scroll_after_growth(changed, before)
        if self._conversation.has_unformatted and self._may_reflow:
            self.set_timer(_RETRY_LAYOUT_S, self._show_again)
        self._show_header()

    @property
    def _may_reflow(self) -> bool:
        """Whether rows may be re-wrapped: only if the reader is not scrolled back."""
        return self.follow or self.top == 0

    def _show_again(self) -> None:
        self.show(self._board, self._question, self._prompt_above)

    def _view(self) -> PaneView:
        width = max(8, self.size.width - 2 * _MARGIN)
        return PaneView(width, self._is_raw, self._prompt_above)

    def toggle_raw(self) -> bool:
        """Show the text as it came, or laid out again; whether it is raw now."""
        self._is_raw = not self._is_raw
        self._show_again()
        return self._is_raw

    def rewrap(self) -> None:
        """Forget the wrapped rows (another language); the next `show` makes them anew."""
        self._header_mark = ()
        self._conversation = Conversation(self._view(), self._appearance, self._hint)
        if self._pane_search is not None:
            self._pane_search = PaneSearch(self._pane_search.query)
        self.refresh()

    def _switch_question(self, question: str) -> None:
        if not self.follow:
            self._tops[self._question] = self.top
        else:
            self._tops.pop(self._question, None)
        self._question = question
        self.follow = question not in self._tops
        self.top = self._tops.get(question, 0)
        self.rewrap()

    def _scroll_after_growth(self, changed: int, before: int) -> None:
        total, height, top = len(self._conversation), self.body_height, self.top
        if self.follow and not self._is_open():
            self.top = max(0, total - height)
        elif self.follow and (total > top + height or total <= top):
            # By half a page: text that moves is written anew, and cannot be read meanwhile.
            self.top = total - height + height // 2 if total > height else 0
        self.top = min(self.top, max(0, total - 1))
        if self.top != top:
            self.refresh()
        else:
            first = max(0, changed - top)
            last = min(height, max(before, total) - top)
            if first < last:
                self.refresh(Region(0, 1 + first, self.size.width, last - first))

    def _is_open(self) -> bool:
        answer = shown_answer(self._board, self.index, self._question)
        return answer is not None and answer.is_open

    def _show_header(self) -> None:
        model = self._board.models[self.index]
        answer = shown_answer(self._board, self.index, self._question)
        percent = (
            model.load.done * 100 // model.load.total if model.load and model.load.total else 0
        )
        mark = (
            answer and (answer.id, answer.state),
            pane_state(model, answer),
            model.current_answer_id,
            (model.load.stage, percent) if model.load else None,
            self.size.width,
            self._search_text(),
            self._board.now_us // _FIGURES_EVERY_US if self._board.open_answers(self.index) else 0,
        )
        if mark == self._header_mark:
            return
        self._header_mark = mark
        pieces = pane_header(
            self._board,
            model,
            self._question,
            self._appearance,
            self.size.width,
            self._search_text(),
        )
        if pieces != self._header:
            self._header = pieces
            self.refresh(Region(0, 0, self.size.width, 1))

    def render_line(self, y: int) -> Strip:
        """One line: the header at 0, rows of the conversation below."""
        width = self.size.width
        if y == 0:
            ground = "cursor" if self.has_focus or self._is_highlighted else "panel"
            return self._appearance.strip(self._header, width, ground)
        index = self.top + y - 1
        if index >= len(self._conversation):
            return self._appearance.strip([], width)
        row = self._conversation.row(index)
        if self._pane_search is not None and (spans := self._pane_search.match_ranges(index)):
            row = highlight_matches(row, spans)
        return self._appearance.strip([(" " * _MARGIN, ""), *row], width)

    def on_resize(self, event: events.Resize) -> None:
        """Wrap anew at the new width, keeping to the end if the reader was there."""
        self._header_mark = ()
        if self._question:
            self._show_again()
            if self.follow:
                self.action_end()

    def highlight(self, is_on: bool) -> None:
        """Look as with the focus, while a bar has it."""
        if is_on != self._is_highlighted:
            self._is_highlighted = is_on
            self.refresh(Region(0, 0, self.size.width, 1))

    def on_focus(self) -> None:
        """The header shows the focus."""
        self.refresh(Region(0, 0, self.size.width, 1))

    def on_blur(self) -> None:
        """The header shows that the focus has gone."""
        self.refresh(Region(0, 0, self.size.width, 1))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """The wheel scrolls three rows."""
        event.stop()
        self.action_scroll(3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """The wheel scrolls three rows."""
        event.stop()
        self.action_scroll(-3)

    def _rows(self) -> tuple[int, Callable[[int], str]]:
        rows = self._conversation
        return len(rows), lambda index: "".join(text for text, _ in rows.row(index))

    def _search_text(self) -> str:
        """What is searched and how much of it is found, for the header."""
        if self._pane_search is None:
            return ""
        number, count = self._pane_search.current + 1, len(self._pane_search)
        return self._appearance.say(
            "find.count", query=self._pane_search.query, number=number, count=count
        )

    @property
    def search_query(self) -> str:
        """What is searched in the pane."""
        return self._pane_search.query if self._pane_search is not None else ""

    def find(self, query: str) -> bool:
        """Mark a text wherever it stands, also in what is yet to come, and go to the first
        place from here on; nothing ends the search. Whether there is one now."""
        self._pane_search = PaneSearch(query) if query.strip() else None
        self.refresh()
        if self._pane_search is not None:
            self._pane_search.update(0, *self._rows())
        return self.find_next(1)

    def find_next(self, step: int) -> bool:
        """Go to the next or the previous place, round and round; whether there is one."""
        row = (
            self._pane_search.move_to_match(step, self.top)
            if self._pane_search is not None
            else None
        )
        if row is not None:
            self.follow = False
            if not self.top <= row < self.top + self.body_height:
                self.top = max(0, row - self.body_height // 3)
            self.refresh()
        if self._question:
            self._show_header()
        return row is not None

    def action_scroll(self, rows: int) -> None:
        """Scroll by rows; arriving at the end makes the pane follow again."""
        last = max(0, len(self._conversation) - self.body_height)
        top = max(0, min(self.top + rows, max(last, self.top if rows > 0 else last)))
        self.follow = top >= last and (rows > 0 or last == 0)
        if top != self.top:
            self.top = top
            self.refresh()

    def action_page(self, pages: float) -> None:
        """Scroll by pages, less one row to keep the place."""
        rows = max(1, int(self.body_height * abs(pages)) - 1)
        self.action_scroll(rows if pages > 0 else -rows)

    def action_top(self) -> None:
        """Go to the first row."""
        self.action_scroll(-self.top)

    def action_end(self) -> None:
        """Go to the last row and follow it."""
        self.follow = True
        self._show_again()
        self.top = max(0, len(self._conversation) - self.body_height)
        self.refresh()
