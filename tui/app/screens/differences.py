"""Where two answers part: both texts level with each other, scrolled together."""

from collections.abc import Iterable, Sequence
from itertools import combinations, zip_longest
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from textual import events
from textual.binding import Binding, BindingType
from textual.strip import Strip
from textual.widget import Widget

from tui.app.pane.short_names import short_label
from tui.app.pane.side_by_side import SideBySide, side_by_side
from tui.app.pane.wrapping import wrap_line
from tui.app.screens.base import BaseScreen
from tui.app.screens.board_screen import BoardScreen
from tui.app.style.appearance import Appearance, StyledText
from tui.app.widgets.line_widget import MainPart, ScrolledRows
from tui.app.widgets.lines import Lines
from tui.app.widgets.scrolling import scroll_bindings
from tui.events import Logprobs
from tui.scoring.board_checks import check_board
from tui.scoring.disagreement import FILTERS, Results, chosen_questions
from tui.scoring.parting import describe_step, find_parting

_REFRESH_S = 0.5


class DiffView(ScrolledRows, MainPart, can_focus=True):
    """Two columns of rows."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *scroll_bindings("diff"),
        Binding("home,g", "scroll(-1000000)", "key.top", show=False, id="diff.top"),
        Binding("end,G", "scroll(1000000)", "key.end", show=False, id="diff.end"),
    ]

    def __init__(self, appearance: Appearance) -> None:
        super().__init__(id="diff")
        self.appearance = appearance
        self.comparison = SideBySide([], 1.0)

    @property
    def column_width(self) -> int:
        """Cells of text in a column."""
        return max(8, (self.size.width - 5) // 2)

    def show(self, comparison: SideBySide) -> None:
        """Draw these rows."""
        self.comparison = comparison
        self.top = min(self.top, max(0, len(comparison.rows) - 1))
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """One row of both."""
        index = self.top + y
        left, right = self.comparison.rows[index] if index < len(self.comparison.rows) else ([], [])
        one, two = (self.appearance.strip(pieces, self.column_width) for pieces in (left, right))
        gap, rule = self.appearance.strip([], 1), self.appearance.strip([(" │ ", "muted")], 3)
        return Strip.join([gap, one, rule, two]).adjust_cell_length(
            self.size.width, self.appearance.style("text")
        )

    @property
    def row_count(self) -> int:
        """Rows of both."""
        return len(self.comparison.rows)


class DifferencesScreen(BaseScreen):
    """Two panes of a board screen; names stay hidden where they are hidden there."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,d,backspace", "leave", "key.leave", id="diff.leave"),
        Binding("n", "step(1)", "key.next", id="diff.next"),
        Binding("p", "step(-1)", "key.previous", id="diff.previous"),
        Binding("tab", "pair(1)", "key.pair", id="diff.pair"),
        Binding("shift+tab", "pair(-1)", "key.pair", show=False, id="diff.pair_before"),
        Binding("f", "filter", "key.filter", id="diff.filter"),
        Binding("o", "order", "key.order", id="diff.order"),
        Binding("S", "screenshot", "key.screenshot", show=False, id="diff.screenshot"),
    ]

    def __init__(self, appearance: Appearance, board_screen: BoardScreen, chosen: int) -> None:
        super().__init__(appearance)
        self._board_screen, self._chosen = board_screen, chosen
        self._pair_index: int | None = None
        self._mark: tuple[object, ...] = ()
        self._filter, self._is_most_different_first = FILTERS[0], False
        self._results: Results = {}
        self.heading = Lines(appearance, id="diff-title")
        self.heading.base_style = "panel"
        self.diff = DiffView(appearance)

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
            combinations(
                [
                    m.index
                    for m in self._board_screen.visible_board.models
                    if self._conversation_text(m.index)
                ],
                2,
            )
        )

    def _conversation_text(self, pane_index: int) -> str:
        screen = self._board_screen
        return screen.visible_board.conversation_text(pane_index, screen.question)

    def compare(self) -> None:
        """Bring the view up to the board."""
        pairs = self._pairs()
        if self._pair_index is None:
            first = [i for i, pair in enumerate(pairs) if self._chosen in pair]
            self._pair_index = first[0] if first else 0
        if not pairs:
            self._mark = ()
            self.heading.styles.height = 1
            words = f" {self.appearance.say('differences.none')}  "
            self.heading.show([[(words, "warn"), (self._where(), "accent")]])
            self.diff.show(SideBySide([], 1.0))
            return
        self._pair_index %= len(pairs)
        one, two = pairs[self._pair_index]
        left, right = self._conversation_text(one), self._conversation_text(two)
        mark = (
            one,
            two,
            self._board_screen.question,
            len(left),
            len(right),
            self.diff.column_width,
        )
        if mark == self._mark:
            return
        if mark[:3] != self._mark[:3]:
            self.diff.top = 0
        self._mark = mark
        made = side_by_side(left, right, self.diff.column_width)
        self.diff.show(made)
        self._show_heading(one, two, made.similarity)

    def _show_heading(self, one: int, two: int, same: float) -> None:
        board, column = self._board_screen.visible_board, self.diff.column_width
        share = self.appearance.say("differences.same", percent=round(same * 100))
        right = f"{share}  {self._where()} "
        left_label = set_cell_size(short_label(board, one, column), column)
        right_label = short_label(board, two, column)
        names: list[StyledText] = [(f" {left_label} │ {right_label}", "bold")]
        # A name is worth a row: without it nobody knows what is compared.
        if cell_len(right_label) + cell_len(right) + 2 > column:
            head = [names, [(f" {right}", "accent")]]
        else:
            head = [[*names, ("  ", ""), (right, "accent")]]
        lines: list[list[StyledText]] = [*head, *self._parting_lines(one, two)]
        self.heading.styles.height = len(lines)
        self.heading.show(lines)

    def _parting_lines(self, one: int, two: int) -> list[list[StyledText]]:
        """Where the probabilities of tokens were recorded: the first one at which both part, and
        what each could have said there."""
        board, question = self._board_screen.visible_board, self._board_screen.question
        left, right = (board.conversation(place, question) for place in (one, two))
        for a, b in zip(left, right, strict=False):
            if (at := find_parting(a.logprobs, b.logprobs)) is not None:
                words = self.appearance.say("differences.part", number=at + 1)
                width = self.diff.column_width
                told = (self._step_words(answer.logprobs[at]) for answer in (a, b))
                sides = (wrap_line(one, width) for one in told)
                rows = [
                    " │ ".join(set_cell_size(row, width) for row in both)
                    for both in zip_longest(*sides, fillvalue="")
                ]
                return [[(f" {words}", "muted")], *([(f" {row}", "warn")] for row in rows)]
        return []

    def _step_words(self, said: Logprobs) -> str:
        """The likeliest tokens, and before them the chosen one where it was another."""
        say = self.appearance.say
        step = describe_step(said, say("differences.part_nothing"))
        chosen = [] if step.is_first else [say("differences.part_chosen", token=step.chosen)]
        return "; ".join([*chosen, step.likeliest] if step.likeliest else chosen)

    def _where(self) -> str:
        """The place of the question among those that are stepped through, and where these are not
        all in their order, its number and which these are."""
        say, question = self.appearance.say, self._board_screen.question
        ids = self._question_ids()
        place = str(ids.index(question) + 1) if question in ids else "–"
        words = [say(f"differences.filter_{self._filter}")] if self._filter != FILTERS[0] else []
        words += [say("differences.ordered")] if self._is_most_different_first else []
        if words:
            order = [one.id for one in self._board_screen.board.questions]
            words.insert(0, say("differences.at", number=order.index(question) + 1))
        return " ".join([*words, f"{place}/{len(ids)}"])

    def _question_ids(self) -> list[str]:
        # The true board: hidden names do not change how far answers differ.
        board = self._board_screen.board
        if self._filter == FILTERS[0] and not self._is_most_different_first:
            return [question.id for question in board.questions]
        return chosen_questions(board, self._filter, self._is_most_different_first, self._results)

    def action_leave(self) -> None:
        """Back to the panes."""
        self.app.pop_screen()

    def action_step(self, step: int) -> None:
        """Another question of those that are stepped through, there too."""
        ids = self._question_ids()
        if not ids:
            return
        at = ids.index(self._board_screen.question) + step if self._is_among(ids) else 0
        self._go_to(ids[at % len(ids)])

    def _is_among(self, ids: Sequence[str]) -> bool:
        return self._board_screen.question in ids

    def _go_to(self, question: str) -> None:
        self._board_screen.go_to(question)
        self._mark = ()
        self.compare()

    def action_filter(self) -> None:
        """Step through other questions: all, those that differ, are not rated, or failed."""
        self._filter = FILTERS[(FILTERS.index(self._filter) + 1) % len(FILTERS)]
        self._begin_steps()

    def action_order(self) -> None:
        """Step through the most different questions first, or in their order."""
        self._is_most_different_first = not self._is_most_different_first
        self._begin_steps()

    def _begin_steps(self) -> None:
        if not self._results:
            self.run_worker(self._check, thread=True, exclusive=True, group="checks")
        ids = self._question_ids()
        stay = self._is_among(ids) and not self._is_most_different_first
        self._go_to(ids[0] if ids and not stay else self._board_screen.question)

    def _check(self) -> None:
        """Run the questions' checks: they are part of how far answers differ."""
        self._results = check_board(self._board_screen.board)
        self.app.call_from_thread(self._checked)

    def _checked(self) -> None:
        self._mark = ()
        self.compare()

    def action_pair(self, step: int) -> None:
        """Another two of the panes."""
        self._pair_index = (self._pair_index or 0) + step
        self.compare()

    def action_screenshot(self) -> None:
        """A picture of this screen."""
        self._board_screen.action_screenshot()
