"""Bars for stars and votes; they hold the focus while the panes stay visible.

A bar goes on by itself, over panes and questions, to what is not judged yet, and stays until
Escape, also when all is judged.
"""

from collections.abc import Callable
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

    def go_to(self, question: str) -> None:
        """Show another question."""
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
        self._is_done = False

    def open(self) -> bool:
        """Take the keys, on this question or the first with anything to judge; whether there
        is any."""
        self._is_done = False
        if not self.judgeable_panes():
            if not (found := self._questions_after(self._has_unjudged)):
                return False
            self.host.go_to(found[0])
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

    def point_at(self, body: Rated | Voted | Note) -> None:
        """Go to what a judgement on this question is about."""
        raise NotImplementedError

    def _has_unjudged(self, question: str) -> bool:
        """Whether anything on a question is not judged."""
        raise NotImplementedError

    def _questions_after(self, is_wanted: Callable[[str], bool]) -> list[str]:
        """The other questions that are wanted, from this one on, round and round."""
        ids = [question.id for question in self.host.visible_board.questions]
        at = ids.index(self.host.question) + 1 if self.host.question in ids else 0
        others = [*ids[at:], *ids[: max(0, at - 1)]]
        return [question for question in others if is_wanted(question)]

    def _go_on_elsewhere(self) -> None:
        """To the next question that is not judged; where there is none, say so and stay."""
        if found := self._questions_after(self._has_unjudged):
            self.host.go_to(found[0])
        else:
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
            words = self.appearance.say("judge.nothing")
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
            shown = self.host.grid.shown
            at = shown.index(self.host.grid.chosen)
            self._is_done = False
            self.choose_pane(shown[(at + step) % len(shown)])
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
        """From the first pane without stars, else from the chosen one."""
        super().begin()
        self.dimension_index = 0
        grid, places = self.host.grid, self.judgeable_panes()
        if grid is not None and places:
            chosen = grid.chosen if grid.chosen in places else places[0]
            self.choose_pane(next(iter(self._unjudged_panes(self._question)), chosen))

    def point_at(self, body: Rated | Voted | Note) -> None:
        """The pane and the dimension of stars."""
        self._is_done = False
        board = self.host.visible_board
        for pane in self.judgeable_panes():
            answer = judged_answer(board, pane, self._question)
            if not isinstance(body, Voted) and answer and answer.id == body.answer:
                self.choose_pane(pane)
        names = [dimension.id for dimension in self.host.dimensions()]
        if isinstance(body, Rated) and body.dimension in names:
            self.dimension_index = names.index(body.dimension)
        self.show_judging()

    def _unjudged_panes(self, question: str) -> list[int]:
        board = self.host.visible_board
        found = [(p, judged_answer(board, p, question)) for p in self.judgeable_panes(question)]
        return [pane for pane, answer in found if answer and not answer.stars]

    def _has_unjudged(self, question: str) -> bool:
        return bool(self._unjudged_panes(question))

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
        places = self.judgeable_panes()
        number = places.index(grid.chosen) + 1 if grid and grid.chosen in places else 0
        place = self._place(number, len(places))
        pieces: list[StyledText] = [place, (f" {label} ", "cursor bold"), (" ", "")]
        room = self.size.width - cell_len(place[0]) - cell_len(label) - 3
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
        if (
            answer is None
            or self._is_done
            or not self.host.judge(
                make_rating(answer.id, dimensions[self.dimension_index].id, stars)
            )
        ):
            return
        self.action_dimension(1)

    def action_dimension(self, step: int) -> None:
        """The next dimension; after the last one the next pane or question without stars."""
        grid, places = self.host.grid, self.judgeable_panes()
        count = len(self.host.dimensions())
        if grid is None or self._is_done:
            return
        self.dimension_index += step
        if self.dimension_index >= count:
            self.dimension_index = 0
            self._go_on(grid.chosen)
            return
        if self.dimension_index < 0:
            before = [pane for pane in places if pane < grid.chosen]
            self.dimension_index = count - 1 if before else 0
            if before:
                self.choose_pane(before[-1])
        self.show_judging()

    def _go_on(self, pane: int) -> None:
        """From a pane to the next one without stars, then to another question."""
        left = self._unjudged_panes(self._question)
        after = [one for one in left if one > pane] or [one for one in left if one < pane]
        if after:
            self.choose_pane(after[0])
            self.show_judging()
        else:
            self._go_on_elsewhere()


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

    def judgeable_panes(self, question: str | None = None) -> list[int]:
        """At least two are needed."""
        found = super().judgeable_panes(question)
        return found if len(found) > 1 else []

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Every two panes."""
        return list(combinations(self.judgeable_panes(), 2))

    def begin(self) -> None:
        """From the first pair without a vote."""
        super().begin()
        self.pair_index = next(iter(self._unjudged_pairs(self._question)), 0)

    def point_at(self, body: Rated | Voted | Note) -> None:
        """The pair of a vote."""
        self._is_done = False
        if isinstance(body, Voted):
            wanted = {body.left, body.right}
            pairs = range(len(self.pairs))
            found = (i for i in pairs if set(self._answer_ids(self._question, i)) == wanted)
            self.pair_index = next(found, self.pair_index)
        self.show_judging()

    def _answer_ids(self, question: str, pair_index: int) -> tuple[int, int]:
        pairs = list(combinations(self.judgeable_panes(question), 2))
        if not pair_index < len(pairs):
            return (-1, -1)
        board = self.host.visible_board
        left, right = (judged_answer(board, pane, question) for pane in pairs[pair_index])
        return (left.id, right.id) if left and right else (-1, -1)

    def _vote_on(self, question: str, pair_index: int) -> str:
        ids = self._answer_ids(question, pair_index)
        return recorded_vote(self.host.visible_board.votes, question, *ids)

    def _unjudged_pairs(self, question: str) -> list[int]:
        count = len(list(combinations(self.judgeable_panes(question), 2)))
        return [index for index in range(count) if self._vote_on(question, index) == "none"]

    def _has_unjudged(self, question: str) -> bool:
        return bool(self._unjudged_pairs(question))

    def state_line(self) -> list[StyledText]:
        """The pair, and how one voted."""
        pairs = self.pairs
        self.pair_index = min(self.pair_index, len(pairs) - 1)
        one, two = pairs[self.pair_index]
        room = max(8, self.size.width // 4)
        given = self._vote_on(self._question, self.pair_index)
        styles = ["bold good" if given in (side, "tie") else "bold" for side in ("left", "right")]
        words = self.appearance.say(f"vote.{given}")
        return [
            self._place(self.pair_index + 1, len(pairs)),
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
        """Vote on the pair; the next one without a vote follows."""
        left, right = self._answer_ids(self._question, self.pair_index)
        if left < 0 or self._is_done:
            return
        if self.host.judge(make_vote(self._question, left, right, choice)):
            self._go_on()

    def _go_on(self) -> None:
        left = [index for index in self._unjudged_pairs(self._question) if index != self.pair_index]
        after = [index for index in left if index > self.pair_index]
        if left:
            self.pair_index = (after or left)[0]
            self.show_judging()
        else:
            self._go_on_elsewhere()

    def action_pair(self, step: int) -> None:
        """The next or the previous pair; after the last one another question's."""
        if self._is_done and step > 0:
            return
        self._is_done = False
        if self.pair_index + step < len(self.pairs):
            self.pair_index = max(0, self.pair_index + step)
            self.show_judging()
        else:
            self._go_on_elsewhere()
