"""The bars a person judges with: they have the keys while the panes are read above them."""

from itertools import combinations
from typing import ClassVar, Protocol

from rich.cells import cell_len
from textual.binding import Binding, BindingType

from tui.app.pane.header import shown_answer
from tui.app.pane.wrapping import clip
from tui.app.style.appearance import Look, Piece
from tui.app.widgets.lines import Lines
from tui.app.widgets.pane_grid import PaneGrid
from tui.board import Answer, Board
from tui.events import Note, Rated, Voted
from tui.scoring.dimensions import MAX_STARS, Dimension
from tui.scoring.stars import rated, voted
from tui.text.sanitise import one_line


class Bench(Protocol):
    """What the bars need of the screen they are on."""

    shown: Board
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

    def leave_bar(self) -> None:
        """Give the keys back to the panes."""
        ...


def judged_answer(board: Board, place: int, question: str) -> Answer | None:
    """The answer of a pane that stars and votes go to: its last one, once it is there."""
    answer = shown_answer(board, place, question)
    return answer if answer and not answer.is_open and (answer.chunks or answer.figures) else None


class JudgeBar(Lines, can_focus=True):
    """Base: two lines above the status, and keys that scroll and change the pane."""

    ground = "panel"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "key.leave", id="judge.leave"),
        Binding("down,j", "scroll(1)", "key.down", show=False, id="judge.down"),
        Binding("up,k", "scroll(-1)", "key.up", show=False, id="judge.up"),
        Binding("pagedown,ctrl+f", "page(1.0)", "key.page_down", show=False, id="judge.page_down"),
        Binding("pageup,ctrl+b", "page(-1.0)", "key.page_up", show=False, id="judge.page_up"),
        Binding("tab", "pane(1)", "key.focus", id="judge.pane"),
        Binding("shift+tab", "pane(-1)", "key.focus_back", show=False, id="judge.pane_before"),
    ]

    def __init__(self, look: Look, bench: Bench, *, id: str) -> None:
        super().__init__(look, id=id)
        self.bench = bench
        self.display = False
        self._question = ""

    def open(self) -> bool:
        """Take the keys; whether there is anything to judge."""
        if not self.places():
            return False
        self.begin()
        self.display = True
        self.focus(scroll_visible=False)
        self.show_judging()
        return True

    def on_blur(self) -> None:
        """Keys went elsewhere: so does the bar."""
        self.display = False
        if self.bench.grid is not None:
            self.bench.grid.mark(False)

    def on_resize(self) -> None:
        """Another width."""
        if self.display:
            self.show_judging()

    def places(self) -> list[int]:
        """The panes with something to judge."""
        board = self.bench.shown
        return [
            model.index
            for model in board.models
            if judged_answer(board, model.index, self.bench.question)
        ]

    def begin(self) -> None:
        """The first thing to judge on this question."""
        self._question = self.bench.question

    def show_judging(self) -> None:
        """Draw the lines for where one is; another question begins anew."""
        if not self.display:
            return
        if self._question != self.bench.question:
            if not self.places():
                self.action_leave()
                return
            self.begin()
        self.show([self.state_line(), self.keys_line()])

    def state_line(self) -> list[Piece]:
        """What is judged, and how it was judged."""
        raise NotImplementedError

    def keys_line(self) -> list[Piece]:
        """What to press."""
        raise NotImplementedError

    def go_to(self, place: int) -> None:
        """Make a pane the chosen one without giving it the keys."""
        if self.bench.grid is not None:
            self.bench.grid.choose(place, focus=False)
            self.bench.grid.mark(True)
            self.bench.show()

    def label(self, place: int, room: int) -> str:
        """What a pane is headed with."""
        return clip(one_line(self.bench.shown.models[place].label), room)

    def action_leave(self) -> None:
        """Enough judged."""
        self.bench.leave_bar()

    def action_scroll(self, rows: int) -> None:
        """Scroll the chosen pane."""
        if self.bench.grid is not None:
            self.bench.grid.pane.action_scroll(rows)

    def action_page(self, pages: float) -> None:
        """Scroll the chosen pane by pages."""
        if self.bench.grid is not None:
            self.bench.grid.pane.action_page(pages)

    def action_pane(self, step: int) -> None:
        """The next or the previous pane."""
        if self.bench.grid is not None:
            self.go_to((self.bench.grid.chosen + step) % len(self.bench.grid.panes))
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

    def __init__(self, look: Look, bench: Bench) -> None:
        super().__init__(look, bench, id="stars")
        self.at = 0

    def begin(self) -> None:
        """From the first dimension of the chosen pane, or of the first that has an answer."""
        super().begin()
        self.at = 0
        grid, places = self.bench.grid, self.places()
        if grid is not None:
            self.go_to(grid.chosen if grid.chosen in places else places[0])

    @property
    def answer(self) -> Answer | None:
        """What the stars go to."""
        grid = self.bench.grid
        return judged_answer(self.bench.shown, grid.chosen, self._question) if grid else None

    def state_line(self) -> list[Piece]:
        """The model and its stars by dimension, in full where there is room."""
        grid = self.bench.grid
        stars = self.answer.stars if self.answer else {}
        label = self.label(grid.chosen if grid else 0, max(8, self.size.width // 4))
        pieces: list[Piece] = [(f" {label} ", "cursor bold"), (" ", "")]
        room = self.size.width - cell_len(label) - 3
        dimensions = self.bench.dimensions()
        names = [one_line(d.name(self.look.say.language)) for d in dimensions]
        whole = sum(cell_len(name) + MAX_STARS + 4 for name in names) <= room
        for index, (dimension, name) in enumerate(zip(dimensions, names, strict=True)):
            given = stars.get(dimension.id, 0)
            marks = "★" * given + "☆" * (MAX_STARS - given) if whole else f"{given or '–'}★"
            if not whole:
                name = clip(name, max(4, room // len(names) - cell_len(marks) - 4))
            style = "reverse bold" if index == self.at else ""
            pieces += [(f" {name} {marks} ", style), (" ", "")]
        return pieces

    def keys_line(self) -> list[Piece]:
        """What to press."""
        return [(" " + clip(self.look.say("judge.stars_keys"), self.size.width - 2), "muted")]

    def action_star(self, stars: int) -> None:
        """Stars for the dimension; the next one follows, then the next pane."""
        answer, dimensions = self.answer, self.bench.dimensions()
        if answer is None or not self.bench.judge(rated(answer.id, dimensions[self.at].id, stars)):
            return
        self.action_dimension(1)

    def action_dimension(self, step: int) -> None:
        """The next dimension; after the last one the next pane, after the last pane the end."""
        grid, places = self.bench.grid, self.places()
        count = len(self.bench.dimensions())
        if grid is None:
            return
        self.at += step
        if not 0 <= self.at < count:
            further = [p for p in places if (p > grid.chosen if step > 0 else p < grid.chosen)]
            if not further:
                if step > 0:
                    self.action_leave()
                    return
                self.at = 0
            else:
                self.at = 0 if step > 0 else count - 1
                self.go_to(further[0] if step > 0 else further[-1])
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

    def __init__(self, look: Look, bench: Bench) -> None:
        super().__init__(look, bench, id="votes")
        self.at = 0

    def places(self) -> list[int]:
        """At least two are needed."""
        found = super().places()
        return found if len(found) > 1 else []

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Every two panes."""
        return list(combinations(self.places(), 2))

    def begin(self) -> None:
        """From the first pair."""
        super().begin()
        self.at = 0

    def _ids(self) -> tuple[int, int]:
        one, two = self.pairs[self.at]
        left = judged_answer(self.bench.shown, one, self._question)
        right = judged_answer(self.bench.shown, two, self._question)
        return (left.id, right.id) if left and right else (-1, -1)

    def _given(self) -> str:
        left, right = self._ids()
        vote = voted(self._question, left, right, "none")
        choice = self.bench.shown.votes.get((self._question, vote.left, vote.right), "none")
        turned = {"left": "right", "right": "left"} if left != vote.left else {}
        return turned.get(choice, choice)

    def state_line(self) -> list[Piece]:
        """The pair, and how one voted."""
        pairs = self.pairs
        self.at = min(self.at, len(pairs) - 1)
        one, two = pairs[self.at]
        room = max(8, self.size.width // 4)
        given = self._given()
        where = f" {self.at + 1}/{len(pairs)} "
        styles = ["bold good" if given in (side, "tie") else "bold" for side in ("left", "right")]
        words = self.look.say(f"vote.{given}")
        return [
            (where, "muted"),
            (f" {self.label(one, room)} ", styles[0]),
            (" │ ", "muted"),
            (f" {self.label(two, room)} ", styles[1]),
            ("  ", ""),
            (words, "accent"),
        ]

    def keys_line(self) -> list[Piece]:
        """What to press."""
        return [(" " + clip(self.look.say("judge.votes_keys"), self.size.width - 2), "muted")]

    def action_vote(self, choice: str) -> None:
        """Vote on the pair; the next one follows, after the last one the end."""
        left, right = self._ids()
        if left >= 0 and self.bench.judge(voted(self._question, left, right, choice)):
            self.action_pair(1)

    def action_pair(self, step: int) -> None:
        """The next or the previous pair."""
        self.at = max(0, self.at + step)
        if self.at >= len(self.pairs):
            self.action_leave()
        else:
            self.show_judging()
