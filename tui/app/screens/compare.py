"""The live screen: ask, watch, stop, go on."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Protocol

from textual import on
from textual.binding import Binding, BindingType
from textual.widget import Widget

from tui.app.screens.board_screen import EventSource
from tui.app.screens.judging import JudgingScreen, view_bindings
from tui.app.style.appearance import Appearance, StyledText
from tui.app.style.messages import Messages
from tui.app.widgets.prompt import PromptInput
from tui.events import Judgement
from tui.host import paths
from tui.host.errors import UserError

_STOP_AGAIN_S = 3.0
"""Within which a second Escape stops an answer."""


class LiveRun(EventSource, Protocol):
    """What the screen asks of a run; see `tui.run.conductor.Run`."""

    @property
    def path(self) -> Path:
        """The session file."""
        ...

    @property
    def save_state(self) -> Any:
        """The journal's `tui.sessions.journal.SaveState`."""
        ...

    def ask(
        self,
        question_id: str | None,
        text: str | None = None,
        models: Sequence[int] | None = None,
        again: bool = False,
    ) -> list[int]:
        """Put a question to models (all by default); the ids of the answers."""
        ...

    def judge(self, body: Judgement) -> None:
        """Record what a person says of an answer."""
        ...

    def save_to(self, folder: Path) -> Path:
        """Go on in another folder; the new file."""
        ...

    def ask_all(
        self, *, on_view: str | None = None, models: Collection[int] | None = None
    ) -> object:
        """Ask everything that has not been asked of these models (None: all), in the background,
        the question ``on_view`` first."""
        ...

    @property
    def is_idle(self) -> bool:
        """Nothing is loading, queued or being answered."""
        ...

    def ask_broken_off(self) -> list[int]:
        """Ask again what broke off at a server while others go on; the ids of the answers."""
        ...

    def view(self, question_id: str) -> None:
        """A person looks at this question."""
        ...

    def cancel(self, model: int, answers: Collection[int] | None = None) -> None:
        """Stop these answers of a model; without them all that are open."""
        ...

    def pending_pastes(self) -> frozenset[int]:
        """The answers that a person is asked to paste."""
        ...

    def paste(self, answer: int, text: str) -> bool:
        """Give the answer that a person pasted; whether it was waited for."""
        ...

    def reload(self, model: int) -> None:
        """Load a model again after it failed."""
        ...

    def close(self, status: str) -> None:
        """Stop everything and end the session."""
        ...


class CompareScreen(JudgingScreen):
    """Panes of a run with a prompt below."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "ask", "key.ask", id="answer.ask"),
        Binding("r", "ask_again", "key.ask_again", id="answer.again"),
        Binding("R", "ask_again_here", "key.ask_again_here", show=False, id="answer.again_here"),
        *view_bindings("left_square_bracket", "right_square_bracket"),
        Binding("a", "ask_all", "key.ask_all", id="answer.all"),
        Binding("escape", "cancel", "key.cancel", id="answer.cancel"),
        Binding("X", "stop_all", "key.stop_all", show=False, id="answer.stop_all"),
        # With priority: what is typed in the same breath must find the prompt focused.
        Binding("i", "prompt(False)", "key.prompt", id="prompt.focus", priority=True),
        Binding("f", "prompt(True)", "key.free", show=False, id="prompt.free", priority=True),
        Binding("M", "add_model", "key.add_model", show=False, id="model.add"),
        Binding("o", "column", "key.column", show=False, id="model.column"),
        Binding("L", "reload", "key.reload", show=False, id="model.reload"),
        Binding("W", "elsewhere", "key.elsewhere", show=False, id="session.elsewhere"),
    ]

    def __init__(
        self,
        appearance: Appearance,
        run: LiveRun,
        sessions_dir: Path,
        add_model: Callable[[str], int] | None = None,
    ) -> None:
        super().__init__(appearance, run, run.path, sessions_dir, appearance.say("pane.hint_live"))
        self.run, self._add_model = run, add_model
        self.prompt = PromptInput(appearance.say("prompt.placeholder"))
        self._new_question = False
        self._known_questions = 0
        self._was_idle = True
        self._placeholder: tuple[str, Messages] | None = None
        """What the placeholder of the prompt was made of."""
        self._stop_asked: tuple[list[int], float] = ([], 0.0)

    def extra_widgets(self) -> Iterable[Widget]:
        """The prompt."""
        yield self.prompt

    def on_mount(self) -> None:
        """Say where the session is, if that is not where it was wanted."""
        super().on_mount()
        if folder := self.run.save_state.target:
            self.show_notice(self.appearance.say("elsewhere.staged", folder=folder))

    def focus_stops(self) -> list[Widget]:
        """The prompt comes after the panes."""
        return [self.prompt]

    def save_status(self) -> StyledText:
        """Saved, being saved, or not: then why."""
        state = self.run.save_state
        if state.error:
            return self.appearance.say("status.not_saved", error=state.error), "bad"
        if not state.saved:
            return self.appearance.say("status.saving"), "muted"
        if state.target:
            return self.appearance.say("status.saved_here"), "good"
        return self.appearance.say("status.saved"), "good"

    def reason_to_stay(self) -> str:
        """Open answers would be stopped; what is not saved may be lost."""
        if self.run.save_state.error:
            return self.appearance.say("quit.unsaved")
        return self.appearance.say("quit.running") if self.board.open_answers() else ""

    def tick(self) -> None:
        """Also without events the save state may change."""
        super().tick()
        self._ask_broken_off()
        if self.grid is not None and not self.has_class("-tiny"):
            self._show_placeholder()

    def show_unchanged(self) -> None:
        """See the base class: how the file stands."""
        if self.grid is not None and not self.has_class("-tiny"):
            self.status_bar.show_status(self.visible_board, self.question, self.save_status())

    def _ask_broken_off(self) -> None:
        """When all is done, ask again what broke off, as a run without a screen does."""
        was_idle, self._was_idle = self._was_idle, self.run.is_idle
        if self._was_idle and not was_idle and (asked := self.run.ask_broken_off()):
            self._was_idle = False
            self.show_notice(self.appearance.say("ask.broken_off", count=len(asked)))

    def after_events(self) -> None:
        """A free question that was just asked is gone to."""
        if self._new_question and len(self.board.questions) > self._known_questions:
            self._new_question = False
            self.question = self.board.questions[-1].id

    def action_ask(self) -> None:
        """Put the question on the screen to every model."""
        self._ask(self.question)

    def action_ask_again(self) -> None:
        """Ask its newest turn anew of every model."""
        self._ask(self.question, again=True)

    def action_ask_again_here(self) -> None:
        """Ask its newest turn anew of the chosen model."""
        if self.grid is not None:
            self._ask(self.question, again=True, models=[self.chosen_model])

    def go_to(self, question: str) -> None:
        """Show another question, which is answered before those that nobody looks at."""
        super().go_to(question)
        self.run.view(question)

    def action_ask_all(self) -> None:
        """Ask every question of every model, in the background."""
        try:
            self.run.ask_all(on_view=self.question, models=self._models_not_hidden())
        except UserError as error:
            self.show_error(error)
        else:
            self.show_notice(self.appearance.say("ask.all"))

    def _ask(
        self,
        question: str | None,
        text: str | None = None,
        again: bool = False,
        models: list[int] | None = None,
    ) -> bool:
        self.question_bar.close()
        if models is None:
            models = self._models_not_hidden()
        try:
            asked = self.run.ask(question or None, text=text, models=models, again=again)
        except UserError as error:
            self.show_error(error)
            return False
        if not asked:
            self.show_notice(self.appearance.say("ask.nothing"), "warning")
        return bool(asked)

    def _models_not_hidden(self) -> list[int] | None:
        """The models whose panes are not put away; None where none is."""
        if self.grid is None or not self.grid.hidden:
            return None
        return [self.model_at(pane) for pane in self.grid.shown]

    def action_cancel(self) -> None:
        """End a search; else stop the answer on view in the chosen pane, or where none is open
        there those in the other panes on view, when asked twice: Escape is pressed for many
        things."""
        if self.grid is None or self.end_search():
            return
        panes = [pane.index for pane in self.grid.visible_panes()]
        open_ = {pane: self._open_answers(self.model_at(pane)) for pane in panes}
        stopped = [self.grid.chosen] if open_[self.grid.chosen] else [p for p in panes if open_[p]]
        found = [answer for pane in stopped for answer in open_[pane]]
        asked, at = self._stop_asked
        now = asyncio.get_running_loop().time()
        if not found:
            if running := len(self.board.open_answers()):
                self.show_notice(self.appearance.say("stop.none_here", count=running))
        elif found == asked and now - at < _STOP_AGAIN_S:
            self._stop_asked = ([], 0.0)
            for pane in stopped:
                self.run.cancel(self.model_at(pane), open_[pane])
        else:
            self._stop_asked = (found, now)
            label = ", ".join(self.visible_board.models[pane].label for pane in stopped)
            self.show_notice(self.appearance.say("stop.again", label=label))

    def _open_answers(self, model: int) -> list[int]:
        """The open answers of a model to the question on view."""
        return [a.id for a in self.board.conversation(model, self.question) if a.is_open]

    def action_stop_all(self) -> None:
        """Stop all that runs or waits, of every model."""
        running = self.board.open_answers()
        if not running:
            self.show_notice(self.appearance.say("stop.nothing"), "warning")
            return
        for model in {answer.model for answer in running}:
            self.run.cancel(model)
        self.show_notice(self.appearance.say("stop.all", count=len(running)))

    def action_add_model(self) -> None:
        """Type one more model; ``h`` puts away the one that it is to replace."""
        if self.is_blind or self._add_model is None:
            self.show_notice(self.appearance.say("add.not_now"), "warning")
            return
        self.ask_for_text(self.appearance.say("add.which"), "", self._add_typed)

    def _add_typed(self, text: str) -> None:
        if text.strip():
            self.run_worker(partial(self._add_in_thread, text), thread=True, exit_on_error=False)

    def action_column(self) -> None:
        """Type other settings for the chosen model: a column of its own answers the question on
        view with them."""
        if self.is_blind or self._add_model is None or self.grid is None:
            self.show_notice(self.appearance.say("add.not_now"), "warning")
            return
        from tui.models.column import write_settings

        header = self.board.header
        head = header.models[self.chosen_model] if header else {}
        settings = header.settings_of(head) if header else {}
        label = self.visible_board.models[self.grid.chosen].label
        title = self.appearance.say("add.column", model=label)
        ask = partial(self._add_column, str(head.get("name", "")), self.question)
        self.ask_for_text(title, write_settings(settings), ask)

    def _add_column(self, model: str, question: str, settings: str) -> None:
        if settings.strip():
            text = f"{model}?{settings.strip()}"
            add = partial(self._add_in_thread, text, question)
            self.run_worker(add, thread=True, exit_on_error=False)

    def _add_in_thread(self, text: str, question: str = "") -> None:
        from tui.models.typed import read_typed, split_label

        label, name = split_label(text)
        assert self._add_model is not None
        try:
            added = self._add_model(f"{label}={read_typed(name)}" if label else read_typed(name))
        except UserError as error:
            self.app.call_from_thread(self.show_error, error)
        else:
            if question:
                self.app.call_from_thread(self._ask, question, models=[added])

    def action_reload(self) -> None:
        """Load the chosen model again."""
        if self.grid is not None:
            try:
                self.run.reload(self.chosen_model)
            except UserError as error:
                self.show_error(error)

    def record(self, body: Judgement) -> None:
        """Into the run's own file."""
        self.run.judge(body)

    def action_elsewhere(self) -> None:
        """Save the session in another folder: the disk may be full."""
        self.ask_for_text(
            self.appearance.say("elsewhere.title"),
            str(paths.home() or Path.cwd()),
            self._save_in_folder,
            True,
        )

    def _save_in_folder(self, folder: str) -> None:
        if not folder:
            return
        try:
            self.path = self.run.save_to(paths.expand(folder))
        except (UserError, RuntimeError) as error:
            self.show_error(error if isinstance(error, UserError) else UserError(str(error)))
        else:
            self.show_notice(self.appearance.say("elsewhere.done", path=str(self.path)))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The keys that lead to the prompt are letters for who types."""
        types = isinstance(self.focused, PromptInput)
        return not (action == "prompt" and types) and super().check_action(action, parameters)

    def action_prompt(self, free: bool) -> None:
        """Type: a further turn of this conversation, or a new question."""
        self._new_question, self._known_questions = free, len(self.board.questions)
        self._show_placeholder()
        self.set_focus(self.prompt)

    def _wanted_paste(self) -> int | None:
        """The answer of the chosen pane, where a person is asked to paste it."""
        made = self.board.conversation(self.chosen_model, self.question)
        return made[-1].id if made and made[-1].id in self.run.pending_pastes() else None

    def _show_placeholder(self) -> None:
        key = "prompt.placeholder_free" if self._new_question else "prompt.placeholder"
        if not self._new_question and self._wanted_paste() is not None:
            key = "prompt.placeholder_paste"
        # Eight times a second: to fill in a text costs more than to compare what it depends on.
        if (mark := (key, self.appearance.say)) != self._placeholder:
            self._placeholder = mark
            self.prompt.placeholder = self.appearance.say(key)

    @on(PromptInput.Submitted)
    def _sent(self, event: PromptInput.Submitted) -> None:
        wanted = None if self._new_question else self._wanted_paste()
        if wanted is not None and self.run.paste(wanted, event.text):
            self._leave_prompt()
            return
        talked = any(self.board.conversation(m.index, self.question) for m in self.board.models)
        self._known_questions = len(self.board.questions)
        free = self._new_question or not talked
        self._new_question = self._ask(None if free else self.question, event.text) and free
        self._leave_prompt()

    @on(PromptInput.Closed)
    def _leave_prompt(self) -> None:
        if self.grid is not None:
            self.grid.choose(self.grid.chosen)

    @on(PromptInput.Cut)
    def _cut(self) -> None:
        self.show_notice(self.appearance.say("prompt.cut"), "warning")
