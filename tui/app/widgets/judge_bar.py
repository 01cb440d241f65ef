"""What the bars for stars and votes share; they hold the focus while the panes stay visible.

A bar goes on by itself, over panes and questions, to what is not judged yet, and stays until
Escape, also when all is judged, and when nothing can be judged yet: who presses a key too early
types no other command with the next one.
"""

from typing import ClassVar, Protocol

from textual.binding import Binding, BindingType

from tui.app.pane.header import judged_answer
from tui.app.pane.short_names import short_label
from tui.app.style.appearance import Appearance, StyledText
from tui.app.widgets.lines import Lines
from tui.app.widgets.pane_grid import PaneGrid
from tui.app.widgets.scrolling import scroll_bindings
from tui.board import Board
from tui.events import Judgement
from tui.scoring.dimensions import Dimension


class JudgingHost(Protocol):
    """What the bars need of the screen they are on."""

    visible_board: Board
    question: str
    grid: PaneGrid | None

    def dimensions(self) -> tuple[Dimension, ...]:
        """What stars are given in."""
        ...

    def judge(self, body: Judgement) -> bool:
        """Record it; whether that was possible."""
        ...

    def show(self) -> None:
        """Draw what changed."""
        ...

    def go_to(self, question: str) -> None:
        """Show another question."""
        ...

    def focus_panes(self) -> None:
        """Give the keys back to the panes."""
        ...


class JudgeBar(Lines, can_focus=True):
    """Base: two lines above the status, and keys that scroll and change the pane."""

    base_style = "panel"
    least_models = 1
    """Fewer can never be judged."""
    empty_message = "judge.nothing"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "key.leave", id="judge.leave"),
        *scroll_bindings("judge"),
        Binding("tab", "pane(1)", "key.focus", id="judge.pane"),
        Binding("shift+tab", "pane(-1)", "key.focus_back", show=False, id="judge.pane_before"),
    ]

    def __init__(self, appearance: Appearance, host: JudgingHost, *, id: str) -> None:
        super().__init__(appearance, id=id)
        self.host = host
        self.display = False
        self._question = ""
        self._is_done = False

    def open(self) -> bool:
        """Take the keys, on this question or the first with anything to judge, or to wait for
        it; whether there can be any."""
        if len(self.host.visible_board.models) < self.least_models:
            return False
        self._is_done = False
        if not self.judgeable_panes() and (found := self._next_unjudged()):
            self.host.go_to(found)
        self.begin()
        self.resume()
        return True

    def resume(self) -> None:
        """Take the keys where one was."""
        self.display = True
        self.screen.add_class("-judging")
        self.focus(scroll_visible=False)
        if self.host.grid is not None:
            self.host.grid.highlight(True)
        self.host.show()
        self.screen.refresh_bindings()

    def on_blur(self) -> None:
        """Hide when something else on the screen takes the focus."""
        if not self.app.app_focus:
            return  # the terminal's window lost it, and will have it again
        self.display = False
        self.screen.remove_class("-judging")
        if self.host.grid is not None:
            self.host.grid.highlight(False)
        self.host.show()
        self.screen.refresh_bindings()

    def on_resize(self) -> None:
        """Another width."""
        if self.display:
            self.show_judging()

    def judgeable_panes(self, question: str | None = None) -> list[int]:
        """The panes with something to judge, of this question or another one."""
        board, grid = self.host.visible_board, self.host.grid
        hidden = grid.hidden if grid is not None else ()
        return [
            model.index
            for model in board.models
            if model.index not in hidden
            and judged_answer(board, model.index, question or self.host.question)
        ]

    def begin(self) -> None:
        """The first thing on this question that is not judged."""
        self._question = self.host.question

    def point_at(self, body: Judgement) -> None:
        """Go to what a judgement on this question is about."""
        raise NotImplementedError

    def _has_unjudged(self, question: str) -> bool:
        """Whether anything on a question is not judged."""
        raise NotImplementedError

    def _next_unjudged(self) -> str | None:
        """The next of the other questions with anything that is not judged, round and round."""
        ids = [question.id for question in self.host.visible_board.questions]
        at = ids.index(self.host.question) + 1 if self.host.question in ids else 0
        others = [*ids[at:], *ids[: max(0, at - 1)]]
        return next(filter(self._has_unjudged, others), None)

    def _go_on_elsewhere(self) -> None:
        """To the next question that is not judged; where there is none, say so and stay."""
        if found := self._next_unjudged():
            self.host.go_to(found)
        elif self.judgeable_panes():
            self._is_done = True
            self.show_judging()

    def _place(self, number: int, count: int) -> StyledText:
        """Where one is: the number of the question, and what of it is judged now."""
        ids = [question.id for question in self.host.visible_board.questions]
        where = ids.index(self._question) + 1 if self._question in ids else 0
        words = self.appearance.say("judge.where", question=where, number=number, count=count)
        return f" {words} ", "muted"

    def show_judging(self) -> None:
        """Draw the lines for where one is; another question begins anew."""
        if not self.display:
            return
        if self._question != self.host.question:
            self._is_done = False
            self.begin()
        if self._is_done:
            words = self.appearance.say("judge.all_done")
            self.show([[(f" {words}", "bold good")], self.keys_line()])
        elif not self.judgeable_panes():
            self._question = ""  # begins anew when there is something
            words = self.appearance.say(self.empty_message)
            self.show([[(f" {words}", "warn")], self.keys_line()])
        else:
            self.show([self.state_line(), self.keys_line()])

    def state_line(self) -> list[StyledText]:
        """What is judged, and how it was judged."""
        raise NotImplementedError

    def keys_line(self) -> list[StyledText]:
        """What to press."""
        raise NotImplementedError

    def choose_pane(self, pane_index: int) -> None:
        """Make a pane the chosen one without giving it the keys."""
        if self.host.grid is not None:
            self.host.grid.choose(pane_index, focus=False)
            self.host.grid.highlight(True)
            self.host.show()

    def label(self, pane_index: int, room: int) -> str:
        """What a pane is headed with."""
        return short_label(self.host.visible_board, pane_index, room)

    def action_leave(self) -> None:
        """Close the bar."""
        self.host.focus_panes()

    def action_scroll(self, rows: int) -> None:
        """Scroll the chosen pane."""
        if self.host.grid is not None:
            self.host.grid.pane.action_scroll(rows)

    def action_page(self, pages: float) -> None:
        """Scroll the chosen pane by pages."""
        if self.host.grid is not None:
            self.host.grid.pane.action_page(pages)

    def action_pane(self, step: int) -> None:
        """The next or the previous pane."""
        if self.host.grid is not None:
            shown = self.host.grid.shown
            at = shown.index(self.host.grid.chosen)
            self._is_done = False
            self.choose_pane(shown[(at + step) % len(shown)])
            self.show_judging()
