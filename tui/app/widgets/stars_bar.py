"""The bar for stars."""

from typing import ClassVar

from rich.cells import cell_len
from textual.binding import Binding, BindingType

from tui.app.pane.header import judged_answer
from tui.app.pane.wrapping import clip
from tui.app.style.appearance import Appearance, StyledText
from tui.app.widgets.judge_bar import JudgeBar, JudgingHost
from tui.board import Answer
from tui.board.judgements import MAX_STARS
from tui.events import Judgement, Rated, Voted
from tui.scoring.stars import make_rating
from tui.text.sanitise import one_line


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

    def point_at(self, body: Judgement) -> None:
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
        return [pane for pane, answer in found if answer and not answer.ratings]

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
