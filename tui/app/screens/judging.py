"""Base of the live and the replay screen: judging, search, blind mode, differences, reports."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType

from tui.app.pane.header import judged_answer, shown_answer
from tui.app.screens.board_screen import BoardScreen, EventSource
from tui.app.screens.navigation import ExportReport, OpenDifferences
from tui.app.style.appearance import Appearance
from tui.app.widgets.ask_line import AskLine
from tui.board import Answer, Board
from tui.events import Chosen, Event, Judgement, Note, Rated, Session, Voted
from tui.host.errors import UserError
from tui.scoring.dimensions import Dimension, configured_dimensions, resolve_dimensions
from tui.scoring.repeated_answers import counting, repeats
from tui.scoring.stars import make_note
from tui.text.sanitise import clean, one_line

if TYPE_CHECKING:
    from tui.app.widgets.judge_bar import JudgeBar
    from tui.app.widgets.stars_bar import StarsBar
    from tui.app.widgets.votes_bar import VotesBar
    from tui.scoring.anonymise import Anonymiser


_WHILE_JUDGING = frozenset(
    ("step", "zoom", "raw", "undo", "note", "find", "find_next", "next_focus", "screenshot")
)
"""Actions of the screen that keys still do while answers are judged: a letter or digit that is
typed a moment too late does nothing else."""


def view_bindings(previous: str, following: str) -> list[Binding]:
    """Bindings of these keys for the action ``view_answer(step)``; each screen has others free."""
    return [
        Binding(previous, "view_answer(-1)", "key.view_previous", show=False, id="answer.previous"),
        Binding(following, "view_answer(1)", "key.view_next", show=False, id="answer.next"),
    ]


class JudgingScreen(BoardScreen):
    """Stars, votes, notes, blind mode, the differences view, and the report."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "stars", "key.stars", id="judge.stars"),
        Binding("v", "votes", "key.votes", id="judge.votes"),
        Binding("c", "note", "key.note", show=False, id="judge.note"),
        Binding("P", "pin", "key.pin", show=False, id="answer.pin"),
        Binding("u", "undo", "key.undo", show=False, id="judge.undo"),
        Binding("b", "blind", "key.blind", show=False, id="judge.blind"),
        Binding("d", "differences", "key.differences", id="view.differences"),
        Binding("e", "export", "key.export", id="session.export"),
        Binding("slash", "find", "key.find", id="pane.find"),
        Binding("asterisk,f3", "find_next(1)", "key.find_next", show=False, id="pane.find_next"),
        Binding(
            "number_sign,shift+f3",
            "find_next(-1)",
            "key.find_previous",
            show=False,
            id="pane.find_previous",
        ),
    ]

    def __init__(
        self, appearance: Appearance, source: EventSource, path: Path, sessions_dir: Path, hint: str
    ) -> None:
        super().__init__(appearance, source, path, sessions_dir, hint)
        self.stars: StarsBar | None = None
        self.votes: VotesBar | None = None
        self._ask_line: AskLine | None = None
        self._suspended: JudgeBar | None = None
        self._undo: list[Judgement] = []
        """What takes back the judgements of this sitting, newest last."""
        self._anonymiser: Anonymiser | None = None
        self._is_reveal_asked = self._is_blind_checked = False

    def ask_for_text(
        self, title: str, text: str, done: Callable[[str], None], is_suggestion: bool = False
    ) -> None:
        """Let a person type one line, beginning with ``text``; the first key typed takes the
        place of a suggestion."""
        if self._ask_line is None:
            self._ask_line = AskLine(self.appearance, self._leave_line)
            self.mount(self._ask_line, before=self.status_bar)
        self._suspended = self._open_judge_bar
        self.call_after_refresh(self._ask_line.ask, title, text, done, is_suggestion)

    def _leave_line(self) -> None:
        """Back to where one was before a line was typed."""
        if self._suspended is not None:
            self._suspended.resume()
        else:
            self.focus_panes()

    @property
    def _open_judge_bar(self) -> "JudgeBar | None":
        return next((bar for bar in (self.stars, self.votes) if bar and bar.display), None)

    @property
    def is_judging(self) -> bool:
        """Whether stars or votes are given now."""
        return self._open_judge_bar is not None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While answers are judged, only what belongs to that. While names are hidden no pane
        is put away: panes change places in each question."""
        if action == "hide_pane" and self.is_blind:
            return False
        return not self.is_judging or action in _WHILE_JUDGING

    def record(self, body: Judgement) -> None:
        """Append it to the session.

        Raises:
            UserError: it cannot be recorded.
        """
        raise NotImplementedError

    # What `JudgingHost` asks for.

    def dimensions(self) -> tuple[Dimension, ...]:
        """What stars are given in: of the question set or the settings."""
        header = self.board.header
        given = None if header is None else configured_dimensions(header)
        rated = (d for a in self.board.answers.values() for (_, d) in a.ratings)
        return resolve_dimensions(given, rated)

    def judge(self, body: Judgement) -> bool:
        """Record it and show it; `action_undo` takes it back."""
        back = self._make_inverse(body)
        if self._record_and_show(body):
            self._undo.append(back)
            return True
        return False

    def _record_and_show(self, body: Judgement) -> bool:
        try:
            self.record(body)
        except UserError as error:
            self.show_error(error)
            return False
        self._drain()
        self.show()
        return True

    def _make_inverse(self, body: Judgement) -> Judgement:
        """What brings back what was said before."""
        match body:
            case Rated(answer=id_, dimension=dimension):
                return Rated(id_, dimension, self.board.answers[id_].stars.get(dimension, 0))
            case Voted(question=question, left=left, right=right):
                before = self.board.votes.get((question, left, right), "none")
                return Voted(question, left, right, before)
            case Chosen(answer=id_):
                return Chosen(counting(self.board, self.board.answers[id_]).id)
            case Note(answer=id_):
                return make_note(id_, self.board.answers[id_].person_note)

    def action_undo(self) -> None:
        """Take back what was judged last, and go there."""
        if not self._undo:
            self.show_notice(self.appearance.say("judge.nothing_to_undo"), "warning")
            return
        body = self._undo.pop()
        if not self._record_and_show(body):
            return
        id_ = body.left if isinstance(body, Voted) else body.answer
        answer = self.board.answers[id_]
        self.go_to(answer.question)
        if bar := self._open_judge_bar:
            bar.point_at(body)
        elif self.grid is not None:
            places = range(len(self.grid.panes))
            self.grid.choose(next(p for p in places if self.model_at(p) == answer.model))
        self.show()
        self.show_notice(self.appearance.say("judge.undone"))

    def focus_panes(self) -> None:
        """Give the focus back to the panes."""
        if self.grid is not None:
            self.grid.choose(self.grid.chosen)

    def show(self) -> None:
        """Also the bars."""
        super().show()
        for bar in (self.stars, self.votes):
            if bar is not None:
                bar.show_judging()

    async def action_stars(self) -> None:
        """Give stars."""
        if self.stars is None:
            from tui.app.widgets.stars_bar import StarsBar

            self.stars = StarsBar(self.appearance, self)
        await self._open_bar(self.stars)

    async def action_votes(self) -> None:
        """Vote."""
        if self.votes is None:
            from tui.app.widgets.votes_bar import VotesBar

            self.votes = VotesBar(self.appearance, self)
        await self._open_bar(self.votes)

    async def _open_bar(self, bar: "JudgeBar") -> None:
        if self.grid is None:
            return
        if not bar.is_attached:
            await self.mount(bar, after=self.grid)
        if not bar.open():
            self.show_notice(self.appearance.say(bar.empty_message), "warning")

    def action_note(self) -> None:
        """Write a remark on the answer of the chosen pane, or change it."""
        place = self.grid.chosen if self.grid else 0
        board = self.visible_board
        if self.grid is None or not (answer := judged_answer(board, place, self.question)):
            self.show_notice(self.appearance.say("judge.nothing"), "warning")
            return
        true = self.board.answers[answer.id]
        title = self.appearance.say("judge.note", label=board.models[place].label)

        def done(text: str) -> None:
            if text != clean(true.person_note):
                self.judge(make_note(true.id, text))

        self.ask_for_text(title, answer.person_note, done)

    def _repeats_on_view(self) -> tuple[Answer, list[Answer]] | None:
        """The answer of the chosen pane to its last turn, and all answers to that; None, and said
        so, where there is only one."""
        place = self.grid.chosen if self.grid else 0
        shown = shown_answer(self.visible_board, place, self.question) if self.grid else None
        if shown is None or len(found := repeats(self.board, self.board.answers[shown.id])) < 2:
            self.show_notice(self.appearance.say("judge.asked_once"), "warning")
            return None
        return shown, found

    def action_view_answer(self, step: int) -> None:
        """Show another of the answers of the chosen pane to its last turn; which one counts stays
        as it is."""
        if (both := self._repeats_on_view()) is None:
            return
        shown, found = both
        at = [one.id for one in found].index(shown.id)
        wanted = found[(at + step) % len(found)].id
        for board in (self.board, self.visible_board):
            # While names are hidden, a model has another place on the board that is shown.
            if answer := board.answers.get(wanted):
                board.on_view[answer.model, answer.question, answer.turn] = wanted
        self.show()

    def action_pin(self) -> None:
        """Have the answer on view count: here, in reports and as what a further turn goes on
        from."""
        if (both := self._repeats_on_view()) is None:
            return
        shown = self.board.answers[both[0].id]
        if counting(self.board, shown) is shown:
            self.show_notice(self.appearance.say("judge.counts_already"))
        else:
            self.judge(Chosen(shown.id))

    # Search.

    def action_find(self) -> None:
        """Search in the chosen pane."""
        if self.grid is not None:
            self.ask_for_text(self.appearance.say("find.title"), "", self._find)

    def _find(self, query: str) -> None:
        if self.grid is not None and not self.grid.pane.find(query) and query.strip():
            self.show_notice(self.appearance.say("find.nothing", query=one_line(query)), "warning")

    def action_find_next(self, step: int) -> None:
        """Go to the next or the previous place of what is searched."""
        if self.grid is None:
            return
        if not self.grid.pane.search_query:
            self.action_find()
        else:
            self.grid.pane.find_next(step)

    # Blind mode.

    def board_to_show(self, reset: bool, events: list[Event]) -> Board:
        """The board, or what may be seen of it while names are hidden."""
        header = self.board.header
        if header is not None and not self._is_blind_checked:
            self._is_blind_checked = True
            if header.settings.get("blind"):
                self._anonymiser = _make_anonymiser(header)
        if self._anonymiser is None:
            return self.board
        if reset or self.visible_board is self.board or self.visible_board.header is None:
            return self._anonymiser.anonymise_board(self.board)
        self._anonymiser.feed(events, self.visible_board)
        return self.visible_board

    def model_at(self, pane_index: int) -> int:
        """Panes change places in each question while names are hidden."""
        if self._anonymiser is None:
            return pane_index
        return self._anonymiser.model_order(self.question)[pane_index]

    @property
    def is_blind(self) -> bool:
        """Whether names are hidden."""
        return self._anonymiser is not None

    def action_blind(self) -> None:
        """Hide the names, or reveal them: before all is judged only when asked twice."""
        if self.board.header is None:
            return
        if self._anonymiser is None:
            self._anonymiser = _make_anonymiser(self.board.header)
            self.visible_board = self._anonymiser.anonymise_board(self.board)
            self._is_reveal_asked = False
            if self.grid is not None:
                self.grid.show_all()
            self.show_notice(self.appearance.say("blind.on"))
        else:
            left = self._count_unjudged()
            if left and not self._is_reveal_asked:
                self._is_reveal_asked = True
                self.show_notice(self.appearance.say("blind.early", count=left), "warning")
                return
            order = self._anonymiser.model_order(self.question)
            who = ", ".join(
                f"{self.visible_board.models[place].label} = {self.board.models[model].label}"
                for place, model in enumerate(order)
            )
            self._anonymiser, self.visible_board = None, self.board
            self.show_notice(self.appearance.say("blind.off", who=who))
        if self.grid is not None:
            for pane in self.grid.panes:
                pane.rewrap()
        self.show()

    def _count_unjudged(self) -> int:
        """Questions with complete answers of which none has stars or a vote."""
        from tui.scoring.rating_queue import build_rating_queue

        voted = {question for (_, question, _, _) in self.board.ballots}
        return sum(
            item.question not in voted
            and not any(contender.answers[-1].ratings for contender in item.contenders)
            for item in build_rating_queue(self.board).items
        )

    # What two answers have in common, and the report.

    def action_differences(self) -> None:
        """Show where the answer of the chosen pane differs from another one's."""
        board = self.visible_board
        found = [m for m in board.models if board.conversation_text(m.index, self.question)]
        if len(found) < 2:
            self.show_notice(self.appearance.say("differences.two_needed"), "warning")
            return
        chosen = self.grid.chosen if self.grid else 0
        self.post_message(OpenDifferences(self, chosen))

    def report_sessions(self) -> Sequence[Path]:
        """The files that a report is made of."""
        return [self.path]

    def action_export(self) -> None:
        """Write a report, Markdown and HTML, with a picture of each question."""
        if self.is_blind:
            self.show_notice(self.appearance.say("export.blind"), "warning")
            return
        sessions, pictures = tuple(self.report_sessions()), self.question_pictures()
        self.post_message(ExportReport(sessions, self._sessions_dir, pictures))


def _make_anonymiser(header: Session) -> "Anonymiser":
    from tui.scoring.anonymise import Anonymiser

    return Anonymiser(header)
