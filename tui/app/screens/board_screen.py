"""What the live and the replay screen share: one board, its question, its panes, one tick."""

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar, Protocol

from textual import events
from textual.binding import Binding, BindingType
from textual.widget import Widget

from tui.app.pane.header import shown_answer
from tui.app.screens.base import BaseScreen
from tui.app.style.appearance import Appearance, StyledText
from tui.app.widgets.lines import Lines
from tui.app.widgets.pane_grid import PaneGrid
from tui.app.widgets.question_bar import QuestionBar
from tui.app.widgets.status_bar import StatusBar
from tui.board import Board, BoardQuestion, fold
from tui.events import Event
from tui.host import save_file
from tui.host.errors import UserError
from tui.text.sanitise import clean

TICK_S = 0.125
"""Refresh interval: at 8 Hz text reads as a stream; more frames only cost CPU and bandwidth."""


class EventSource(Protocol):
    """Where events come from: a live run or a replay."""

    def drain(self) -> tuple[bool, list[Event]]:
        """(whether to begin with an empty board, the events since the last call)."""
        ...


class BoardScreen(BaseScreen):
    """Folds the source's events into one board at every tick and shows it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "step(1)", "key.next", id="question.next"),
        Binding("p", "step(-1)", "key.previous", id="question.previous"),
        *(
            Binding(str(n), f"jump({n})", "key.jump", show=False, id=f"question.{n}")
            for n in range(1, 10)
        ),
        Binding("tab", "next_focus(1)", "key.focus", id="screen.focus_next"),
        Binding(
            "shift+tab", "next_focus(-1)", "key.focus_back", show=False, id="screen.focus_back"
        ),
        Binding("z", "zoom", "key.zoom", id="screen.zoom"),
        Binding("Q", "whole_question", "key.whole_question", show=False, id="question.whole"),
        Binding("w", "raw", "key.raw", show=False, id="pane.raw"),
        Binding("h", "hide_pane", "key.hide_pane", show=False, id="pane.hide"),
        Binding("H", "show_panes", "key.show_panes", show=False, id="pane.show_all"),
        Binding("y", "copy", "key.copy", id="answer.copy"),
        Binding("S", "screenshot", "key.screenshot", show=False, id="screen.screenshot"),
    ]

    def __init__(
        self, appearance: Appearance, source: EventSource, path: Path, sessions_dir: Path, hint: str
    ) -> None:
        super().__init__(appearance)
        self.source, self.path, self._sessions_dir, self._hint = source, path, sessions_dir, hint
        self.board = self.visible_board = Board()
        self.question = ""
        self.question_bar = QuestionBar(appearance, id="question")
        self.status_bar = StatusBar(appearance, id="status")
        self.grid: PaneGrid | None = None
        self.waiting = Lines(appearance, id="waiting")

    def parts(self) -> Iterable[Widget]:
        """Question, panes, what a kind of screen adds, status."""
        self._drain()
        yield self.question_bar
        if self.board.models:
            yield self._make_grid()
        else:
            yield self.waiting
        yield from self.extra_widgets()
        yield self.status_bar

    def extra_widgets(self) -> Iterable[Widget]:
        """Widgets between the panes and the status."""
        return ()

    def save_status(self) -> StyledText:
        """How the session file stands, for the status bar."""
        raise NotImplementedError

    def on_mount(self) -> None:
        """Begin to tick."""
        self.set_interval(TICK_S, self.tick)
        self.call_after_refresh(self._first_show)

    def on_resize(self, event: events.Resize) -> None:
        """Another room: the bars are drawn for it."""
        super().on_resize(event)
        if self.grid is not None:
            self.call_after_refresh(self.show)

    def _first_show(self) -> None:
        if self.grid:
            self.grid.choose(self.grid.chosen)
        self.show()

    def _make_grid(self) -> PaneGrid:
        self.grid = PaneGrid(len(self.board.models), self.appearance, self._hint)
        return self.grid

    def tick(self) -> None:
        """Take what happened and show it."""
        if not self.is_attached:
            return
        changed = self._drain()
        if self.grid is None:
            if self.board.models:
                self.mount(self._make_grid(), after=self.waiting)
                self.waiting.remove()
                self.call_after_refresh(self._first_show)
            return
        if len(self.board.models) > len(self.grid.panes):
            self.grid.add_panes(len(self.board.models))
            self.call_after_refresh(self.show)
        if changed:
            self.show()
        else:
            self.show_unchanged()
        if self.app._notifications:
            # Widgets may have grown below one.
            self.place_notices()

    def _drain(self) -> bool:
        reset, events = self.source.drain()
        if reset:
            self.board = Board()
        if events:
            fold(events, self.board)
        if reset or events:
            self.visible_board = self.board_to_show(reset, events)
            self.after_events()
        if not any(q.id == self.question for q in self.board.questions):
            self.question = self.board.questions[0].id if self.board.questions else ""
        return reset or bool(events)

    def board_to_show(self, reset: bool, events: list[Event]) -> Board:
        """The board to show after these events."""
        return self.board

    def model_at(self, pane_index: int) -> int:
        """The model that a pane of `visible_board` stands for."""
        return pane_index

    @property
    def chosen_model(self) -> int:
        """The model of the chosen pane."""
        return self.model_at(self.grid.chosen if self.grid else 0)

    def after_events(self) -> None:
        """Something happened; the board is up to date."""

    def show_unchanged(self) -> None:
        """Show what may change without an event."""

    def show(self) -> None:
        """Bring every visible widget up to the board; each repaints only what changed."""
        if self.has_class("-tiny"):
            return
        self.question_bar.show_question(
            self.visible_board, self.current_question(), self.is_judging
        )
        if self.grid is not None:
            self.grid.show(self.visible_board, self.question, self._prompt_above())
        self.status_bar.show_status(self.visible_board, self.question, self.save_status())

    def _prompt_above(self) -> str:
        """What stands above the panes, and so not in them."""
        current = self.current_question()
        return "".join(current.turns[:1]) if current else ""

    def current_question(self) -> BoardQuestion | None:
        """The question on the screen."""
        return next((q for q in self.visible_board.questions if q.id == self.question), None)

    def go_to(self, question: str) -> None:
        """Show another question; nothing that runs is touched."""
        self.question = question
        self.show()

    def action_step(self, step: int) -> None:
        """The next or the previous question, round and round."""
        ids = [q.id for q in self.board.questions]
        if ids:
            self.go_to(ids[(ids.index(self.question) + step) % len(ids)])

    def action_jump(self, number: int) -> None:
        """The question of a number from 1."""
        if 0 < number <= len(self.board.questions):
            self.go_to(self.board.questions[number - 1].id)

    def focus_stops(self) -> list[Widget]:
        """What Tab goes through besides the panes."""
        return []

    def action_next_focus(self, step: int) -> None:
        """The next pane (under tabs: the next tab), then what else takes the focus."""
        if self.grid is None:
            return
        panes = [self.grid.panes[index] for index in self.grid.shown]
        others = self.focus_stops()
        stops: list[Widget] = [*panes, *others]
        at = stops.index(self.focused) if self.focused in stops else stops.index(self.grid.pane)
        target = (at + step) % len(stops)
        if target < len(panes):
            self.grid.choose(panes[target].index)
            self.show()
        else:
            stops[target].focus()

    def action_zoom(self) -> None:
        """The chosen pane alone, or all."""
        if self.grid is not None:
            self.grid.toggle_zoom()
            self.call_after_refresh(self.show)
            self.grid.choose(self.grid.chosen)

    def action_whole_question(self) -> None:
        """All of a question that is cut, page by page, and cut again."""
        if self.question_bar.open_further():
            self.call_after_refresh(self.show)
            self.show()
        else:
            self.show_notice(self.appearance.say("questions.is_whole"))

    def action_raw(self) -> None:
        """The chosen pane as the text came, with all that was noted of its model; and back."""
        if self.grid is not None:
            is_raw = self.grid.pane.toggle_raw()
            self.show_notice(self.appearance.say("pane.raw" if is_raw else "pane.laid_out"))

    def action_hide_pane(self) -> None:
        """Put the chosen pane away; its model is not asked until it is back."""
        if self.grid is None:
            return
        label = self.visible_board.models[self.grid.chosen].label
        if self.grid.hide_chosen():
            self.show_notice(self.appearance.say("pane.hidden", label=label))
            self.call_after_refresh(self.show)
        else:
            self.show_notice(self.appearance.say("pane.last"), "warning")

    def action_show_panes(self) -> None:
        """All panes again."""
        if self.grid is not None:
            self.grid.show_all()
            self.call_after_refresh(self.show)

    def end_search(self) -> bool:
        """End the search of the chosen pane; whether there was one: Escape leaves that first."""
        if self.grid is None or not self.grid.pane.search_query:
            return False
        self.grid.pane.find("")
        return True

    def action_copy(self) -> None:
        """The answer of the chosen pane: to the clipboard, and always to a file."""
        model = self.visible_board.models[self.grid.chosen] if self.grid else None
        answer = shown_answer(self.visible_board, model.index, self.question) if model else None
        if model is None or answer is None or not answer.chunks:
            self.show_notice(self.appearance.say("copy.nothing"), "warning")
            return
        # It is pasted into a shell, or printed from the file, by somebody who has read it.
        text = clean(answer.text)
        self.app.copy_to_clipboard(text)
        name = f"{self.path.stem}-{self.question}-{model.label}.txt"
        self._save_file(self._sessions_dir, name, text, "copy.done")

    def action_screenshot(self) -> None:
        """A picture (SVG, or PNG where the settings say so) of the screen, where reports go."""
        from tui.app.terminal.svg_picture import repair_svg

        picture = repair_svg(self.app.export_screenshot(title="duibi"))
        stem = f"{self.path.stem}-{self.question}"
        folder = save_file.folder_to_hand_in(self._sessions_dir)
        if self.appearance.pictures == "svg":
            self._save_file(folder, f"{stem}.svg", picture, "screenshot.done")
            return
        from tui.reports.png_picture import svg_to_png

        def draw() -> None:
            # In a thread: looking for the fonts of a machine takes a moment.
            try:
                drawn = svg_to_png(picture)
            except UserError as error:
                self.app.call_from_thread(self.show_error, error)
            else:
                told = (folder, f"{stem}.png", drawn, "screenshot.done")
                self.app.call_from_thread(self._save_file, *told)

        self.run_worker(draw, thread=True, exit_on_error=False)

    def question_pictures(self) -> dict[str, str]:
        """A picture (SVG) of the screen at each question that was asked; the question shown
        stays the same."""
        from tui.app.terminal.svg_picture import repair_svg

        was, taken = self.question, {}
        asked = {question for _, question in self.board.answer_ids}
        for question in [q.id for q in self.board.questions if q.id in asked]:
            self.go_to(question)
            taken[question] = repair_svg(self.app.export_screenshot(title="duibi"))
        self.go_to(was)
        return taken

    def _save_file(self, folder: Path, name: str, content: str | bytes, message: str) -> None:
        try:
            path = save_file.write_new_file(folder, name, content)
        except UserError as error:
            self.show_error(error)
        else:
            self.show_notice(self.appearance.say(message, path=str(path)))
