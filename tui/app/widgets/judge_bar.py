"""Bars for stars and votes; they hold the focus while the panes stay visible."""

from itertools import combinations
from typing import ClassVar, Protocol

from rich.cells import cell_len
from textual.binding import Binding, BindingType

from tui.app.pane.header import judged_answer
from tui.app.pane.wrapping import clip
from tui.app.style.appearance import Appearance, StyledText
from tui.app.widgets.lines import Lines
from tui.app.widgets.pane_grid import PaneGrid
from tui.app.widgets.scrolling import scroll_bindings
from tui.board import Answer, Board
from tui.events import Note, Rated, Voted
from tui.scoring.dimensions import MAX_STARS, Dimension
from tui.scoring.stars import make_rating, make_vote, recorded_vote
from tui.text.sanitise import one_line


class JudgingHost(Protocol):
    """What the bars need of the screen they are on."""

    visible_board: Board
    question: str
    grid: PaneGrid | None

    def dimensions(self) -> tuple[Dimension, ...]:
        """What stars are given in."""
        ...

    def judge(self, body: Rated | Voted | Note) -> bool:
        """Record it; whether that was possible."""
        ...

    def show(self) -> None:
        """Draw what changed."""
        ...

    def focus_panes(self) -> None:
        """Give the keys back to the panes."""
        ...


class JudgeBar(Lines, can_focus=True):
    """Base: two lines above the status, and keys that scroll and change the pane."""

    base_style = "panel"
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

    def open(self) -> bool:
        """Take the keys; whether there is anything to judge."""
        if not self.judgeable_panes():
            return False
        self.begin()
        self.display = True
        self.focus(scroll_visible=False)
        self.show_judging()
        return True

    def on_blur(self) -> None:
        """Hide when the focus is lost."""
        self.display = False
        if self.host.grid is not None:
            self.host.grid.highlight(False)

    def on_resize(self) -> None:
        """Another width."""
        if self.display:
            self.show_judging()

    def judgeable_panes(self) -> list[int]:
        """The panes with something to judge."""
        board = self.host.visible_board
        return [
            model.index
            for model in board.models
            if judged_answer(board, model.index, self.host.question)
        ]

    def begin(self) -> None:
        """The first thing to judge on this question."""
        self._question = self.host.question

    def show_judging(self) -> None:
        """Draw the lines for where one is; another question begins anew."""
        if not self.display:
            return
        if self._question != self.host.question:
            if not self.judgeable_panes():
                self.action_leave()
                return
            self.begin()
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
        return clip(one_line(self.host.visible_board.models[pane_index].label), room)

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
            self.choose_pane((self.host.grid.chosen + step) % len(self.host.grid.panes))
            self.show_judging()


class StarsBar(JudgeBar):
    """Stars for the chosen pane: a digit for each dimension, one after the other."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(str(n), f"star({n})", "key.star", show=False, id=f"stars.{n}")
            for n in range(MAX_STARS + 1)
        ),
        Binding("right,enter", "dimension(1)", "key.next_dimension", show=False, id="stars.next"),
        Binding("left", "dimension(-1)", "key.previous_dimension", show=False, id="stars.previous"),
    ]

    def __init__(self, appearance: Appearance, host: JudgingHost) -> None:
        super().__init__(appearance, host, id="stars")
        self.dimension_index = 0

    def begin(self) -> None:
        """From the first dimension of the chosen pane, or of the first that has an answer."""
        super().begin()
        self.dimension_index = 0
        grid, places = self.host.grid, self.judgeable_panes()
        if grid is not None:
            self.choose_pane(grid.chosen if grid.chosen in places else places[0])

    @property
    def answer(self) -> Answer | None:
        """What the stars go to."""
        grid = self.host.grid
        return judged_answer(self.host.visible_board, grid.chosen, self._question) if grid else None

    def state_line(self) -> list[StyledText]:
        """The model and its stars by dimension, in full where there is room."""
        grid = self.host.grid
        stars = self.answer.stars if self.answer else {}
        label = self.label(grid.chosen if grid else 0, max(8, self.size.width // 4))
        pieces: list[StyledText] = [(f" {label} ", "cursor bold"), (" ", "")]
        room = self.size.width - cell_len(label) - 3
        dimensions = self.host.dimensions()
        names = [one_line(d.name(self.appearance.say.language)) for d in dimensions]
        whole = sum(cell_len(name) + MAX_STARS + 4 for name in names) <= room
        for index, (dimension, name) in enumerate(zip(dimensions, names, strict=True)):
            given = stars.get(dimension.id, 0)
            marks = "★" * given + "☆" * (MAX_STARS - given) if whole else f"{given or '–'}★"
            if not whole:
                name = clip(name, max(4, room // len(names) - cell_len(marks) - 4))
            style = "reverse bold" if index == self.dimension_index else ""
            pieces += [(f" {name} {marks} ", style), (" ", "")]
        return pieces

    def keys_line(self) -> list[StyledText]:
        """What to press."""
        return [(" " + clip(self.appearance.say("judge.stars_keys"), self.size.width - 2), "muted")]

    def action_star(self, stars: int) -> None:
        """Stars for the dimension; the next one follows, then the next pane."""
        answer, dimensions = self.answer, self.host.dimensions()
        if answer is None or not self.host.judge(
            make_rating(answer.id, dimensions[self.dimension_index].id, stars)
        ):
            return
        self.action_dimension(1)

    def action_dimension(self, step: int) -> None:
        """The next dimension; after the last one the next pane, after the last pane the end."""
        grid, places = self.host.grid, self.judgeable_panes()
        count = len(self.host.dimensions())
        if grid is None:
            return
        self.dimension_index += step
        if not 0 <= self.dimension_index < count:
            further = [p for p in places if (p > grid.chosen if step > 0 else p < grid.chosen)]
            if not further:
                if step > 0:
                    self.action_leave()
                    return
                self.dimension_index = 0
            else:
                self.dimension_index = 0 if step > 0 else count - 1
                self.choose_pane(further[0] if step > 0 else further[-1])
        self.show_judging()


class VotesBar(JudgeBar):
    """A vote on each pair of answers, in the order in which the panes stand."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("l,left", "vote('left')", "key.vote_left", show=False, id="votes.left"),
        Binding("r,right", "vote('right')", "key.vote_right", show=False, id="votes.right"),
        Binding("t,equals_sign", "vote('tie')", "key.vote_tie", show=False, id="votes.tie"),
        Binding("b,x", "vote('bad')", "key.vote_bad", show=False, id="votes.bad"),
        Binding("0", "vote('none')", "key.vote_none", show=False, id="votes.none"),
        Binding("enter", "pair(1)", "key.next_pair", show=False, id="votes.next"),
        Binding("backspace", "pair(-1)", "key.previous_pair", show=False, id="votes.previous"),
    ]

    def __init__(self, appearance: Appearance, host: JudgingHost) -> None:
        super().__init__(appearance, host, id="votes")
        self.pair_index = 0

    def judgeable_panes(self) -> list[int]:
        """At least two are needed."""
        found = super().judgeable_panes()
        return found if len(found) > 1 else []

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Every two panes."""
        return list(combinations(self.judgeable_panes(), 2))

    def begin(self) -> None:
        """From the first pair."""
        super().begin()
        self.pair_index = 0

    def _answer_ids(self) -> tuple[int, int]:
        one, two = self.pairs[self.pair_index]
        left = judged_answer(self.host.visible_board, one, self._question)
        right = judged_answer(self.host.visible_board, two, self._question)
        return (left.id, right.id) if left and right else (-1, -1)

    def _current_vote(self) -> str:
        return recorded_vote(self.host.visible_board.votes, self._question, *self._answer_ids())

    def state_line(self) -> list[StyledText]:
        """The pair, and how one voted."""
        pairs = self.pairs
        self.pair_index = min(self.pair_index, len(pairs) - 1)
        one, two = pairs[self.pair_index]
        room = max(8, self.size.width // 4)
        given = self._current_vote()
        where = f" {self.pair_index + 1}/{len(pairs)} "
        styles = ["bold good" if given in (side, "tie") else "bold" for side in ("left", "right")]
        words = self.appearance.say(f"vote.{given}")
        return [
            (where, "muted"),
            (f" {self.label(one, room)} ", styles[0]),
            (" │ ", "muted"),
            (f" {self.label(two, room)} ", styles[1]),
            ("  ", ""),
            (words, "accent"),
        ]

    def keys_line(self) -> list[StyledText]:
        """What to press."""
        return [(" " + clip(self.appearance.say("judge.votes_keys"), self.size.width - 2), "muted")]

    def action_vote(self, choice: str) -> None:
        """Vote on the pair; the next one follows, after the last one the end."""
        left, right = self._answer_ids()
        if left >= 0 and self.host.judge(make_vote(self._question, left, right, choice)):
            self.action_pair(1)

    def action_pair(self, step: int) -> None:
        """The next or the previous pair."""
        self.pair_index = max(0, self.pair_index + step)
        if self.pair_index >= len(self.pairs):
            self.action_leave()
        else:
            self.show_judging()
