"""The application: bindings, themes, signals; opens the screens that other screens ask for."""

import asyncio
import gc
import os
import signal
import traceback
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from rich.cells import cached_cell_len
from rich.text import Text
from textual import on
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.dom import DOMNode
from textual.notifications import Notify
from textual.screen import Screen

from tui.app import keymap
from tui.app.screens.base import NOTICE_S, BaseScreen, error_notice
from tui.app.screens.help import HelpScreen
from tui.app.screens.navigation import (
    ExportReport,
    OpenDifferences,
    OpenJoinedReplay,
    OpenLibrary,
    OpenModels,
    OpenReplay,
)
from tui.app.style.appearance import Appearance
from tui.app.style.textual_theme import css_variables, textual_theme
from tui.app.style.theme_folder import ThemeFolders
from tui.app.style.themes import Theme
from tui.app.terminal import capabilities
from tui.app.terminal.terminal_writer import TerminalWriterApp
from tui.app.widgets.keys_bar import active_keys
from tui.app.widgets.line_widget import LineWidget
from tui.host import paths, save_file, secrets
from tui.host.errors import EXIT_INTERRUPTED, UserError
from tui.text.sanitise import clean

if TYPE_CHECKING:
    from tui.app.screens.report_choice import ReportKind

_CONFIRM_LEAVE_S = 5.0
_THEME_POLL_S = 1.0
"""How often the user's own theme files are checked for changes."""
_CLEAR_WIDTHS_S = 60.0


class DuibiApp(TerminalWriterApp):
    """Shows one first screen; its result is the exit code or what a screen exits with."""

    CSS_PATH = "app.tcss"
    TITLE = "duibi"
    COMMAND_PALETTE_BINDING = "ctrl+p"
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("t", "next_theme", "key.theme", id="app.theme"),
        Binding("question_mark", "help", "key.help", id="app.help"),
        Binding("q", "leave", "key.quit", id="app.quit"),
        Binding("ctrl+l", "redraw", "key.redraw", show=False, id="app.redraw"),
        Binding("ctrl+c", "interrupt", "key.interrupt", show=False, id="app.stop", priority=True),
        Binding("ctrl+q", "leave_now", "key.quit", show=False, id="app.leave", priority=True),
    ]

    def __init__(
        self,
        appearance: Appearance,
        themes: ThemeFolders,
        first_screen: Callable[[], Screen[Any]],
        custom_keys: dict[str, str],
        stock_output: bool = False,
        report_facts: Mapping[str, str] | None = None,
    ) -> None:
        self.appearance, self._themes, self._first_screen = appearance, themes, first_screen
        super().__init__(stock_output, ansi_color=True)
        self.animation_level = "none"
        self._custom_keys = custom_keys
        self._leave_asked_at = -_CONFIRM_LEAVE_S
        self._last_report: ReportKind | None = None
        self._report_facts = dict(report_facts or {})
        self.reports: list[Path] = []
        """The files of the reports that were written."""
        self.ended_by: signal.Signals | None = None
        """The signal that ended the screen, if one did."""
        self.user_error: UserError | None = None
        """What ended the screen, where a person can put it right."""
        appearance.set_colourless(self.no_color)
        for theme in themes.themes.values():
            self.register_theme(textual_theme(theme))
        # As an assignment would do it after the first paint, by parsing every style anew.
        self.set_reactive(App.theme, appearance.theme.name)
        self.stylesheet.set_variables(self.get_css_variables())

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """The variables of the style sheet, for before a theme is in use."""
        return css_variables(self.appearance.theme)

    async def on_mount(self) -> None:
        """Listen to signals, set the keys, show the first screen."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGHUP, signal.SIGTERM):
            try:
                loop.add_signal_handler(number, self._end_by, number)
            except (ValueError, RuntimeError):
                break  # not in the main thread, as under a test: nobody sends signals there
        if self._custom_keys:
            self.set_keymap(self._custom_keys)
        await self.push_screen(self._first_screen())
        remarks: list[str] = []
        if self._custom_keys:
            from tui.app import bindings

            holders = (type(self), *bindings.holders())
            remarks += keymap.problems(self._custom_keys, holders, self.appearance)
        remarks += [error.message for error in self._themes.errors]
        remarks += capabilities.limitations(os.environ, self.appearance)
        if remarks:
            self._show_notice("\n".join(remarks), "warning", NOTICE_S)
        self.set_interval(_THEME_POLL_S, self._reload_changed_themes)
        self.set_interval(_CLEAR_WIDTHS_S, _clear_width_cache)
        if not remarks and (folder := paths.adopt_persistent_dir()):
            self._show_notice(self.appearance.say("start.settled", folder=str(folder)))
        self.call_after_refresh(_freeze_startup_objects)

    def _end_by(self, number: signal.Signals) -> None:
        self.ended_by = number
        self.exit(EXIT_INTERRUPTED)

    def _show_notice(
        self, text: str, severity: Any = "information", timeout: float | None = None
    ) -> None:
        self.notify(clean(text), severity=severity, timeout=timeout, markup=False)

    def on_notify(self, event: Notify) -> None:
        """A new notice takes the place of the one before; only an error stays beside it."""
        for old in list(self._notifications):
            if old.severity != "error" or event.notification.severity == "error":
                self._unnotify(old, refresh=False)
        if isinstance(self.screen, BaseScreen):
            self.screen.place_notices()

    def _show_error(self, error: UserError) -> None:
        self._show_notice(error_notice(error, self.appearance.say), "error", NOTICE_S)

    # What screens ask for. Each screen is imported only when it is opened: the first paint of
    # another one needs none of them.

    @on(OpenLibrary)
    def _open_library(self, message: OpenLibrary) -> None:
        from tui.app.screens.library import LibraryScreen

        if any(isinstance(screen, LibraryScreen) for screen in self.screen_stack):
            while not isinstance(self.screen, LibraryScreen):
                self.pop_screen()
        else:
            self.push_screen(LibraryScreen(self.appearance, message.sessions_dir))

    @on(OpenReplay)
    def _open_replay(self, message: OpenReplay) -> None:
        from tui.app import open_session

        path, folder, at_once = message.path, message.sessions_dir, message.at_once
        about = message.introduction
        try:
            screen = open_session.replay_screen(
                self.appearance, path, folder, at_once=at_once, introduction=about
            )
        except UserError as error:
            self._show_error(error)
        else:
            self.push_screen(screen)

    @on(OpenJoinedReplay)
    def _open_joined_replay(self, message: OpenJoinedReplay) -> None:
        from tui.app import open_session

        paths, folder = message.paths, message.sessions_dir
        try:
            screen = open_session.joined_replay_screen(self.appearance, paths, folder)
        except UserError as error:
            self._show_error(error)
        else:
            self.push_screen(screen)

    @on(OpenModels)
    def _open_models(self, message: OpenModels) -> None:
        from tui.app.screens.models import ModelsScreen

        screen = ModelsScreen(
            self.appearance,
            message.survey_models,
            message.questions,
            message.downloads,
            message.check_reference,
            message.fetch,
        )
        self.push_screen(screen)

    @on(OpenDifferences)
    def _open_differences(self, message: OpenDifferences) -> None:
        from tui.app.screens.differences import DifferencesScreen

        screen, chosen = message.board_screen, message.chosen
        self.push_screen(DifferencesScreen(self.appearance, screen, chosen))

    @on(ExportReport)
    def _export_report(self, message: ExportReport) -> None:
        """Ask once what it is to be, and write it."""
        from tui.app.screens.report_choice import KINDS, ReportChoice

        def write(kind: "ReportKind | None") -> None:
            if kind is not None:
                self._last_report = kind
                self._write_report(message, kind)

        last = self._last_report or KINDS[0]
        self.push_screen(ReportChoice(self.appearance, last), write)

    def _write_report(self, message: ExportReport, kind: "ReportKind") -> None:
        """Write the report in a thread; a notice says where it is, or why it is not."""
        say, as_png = self.appearance.say, self.appearance.pictures == "png"
        folder = save_file.folder_to_hand_in(message.folder)

        def work() -> None:
            from tui.app.reporting import write_reports

            try:
                written = write_reports(
                    message.paths,
                    folder,
                    say.language,
                    message.pictures,
                    kind,
                    as_png,
                    self._report_facts,
                )
            except UserError as error:
                self.call_from_thread(self._show_error, error)
            else:
                self.reports += written
                words = say("export.done", path="\n".join(map(str, written)))
                self.call_from_thread(self._show_notice, words, timeout=NOTICE_S)

        self._show_notice(say("export.begun"), timeout=NOTICE_S)
        self.run_worker(work, thread=True, exit_on_error=False)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While answers are judged letters are for that, and do nothing else."""
        judges = isinstance(self.screen, BaseScreen) and self.screen.is_judging
        return not (judges and action in ("next_theme", "leave"))

    def action_leave(self) -> None:
        """Leave; while answers are running only when asked twice."""
        self._leave(0)

    def action_leave_now(self) -> None:
        """Leave likewise, also while answers are judged."""
        self._leave(0)

    def action_interrupt(self) -> None:
        """Leave likewise; what was running is interrupted."""
        self._leave(EXIT_INTERRUPTED)

    def _leave(self, code_if_running: int) -> None:
        now = asyncio.get_running_loop().time()
        why = [s.reason_to_stay() for s in self.screen_stack if isinstance(s, BaseScreen)]
        if any(why) and now - self._leave_asked_at > _CONFIRM_LEAVE_S:
            self._leave_asked_at = now
            self._show_notice(next(filter(None, why)), "warning")
            return
        self.exit(code_if_running if any(why) else 0)

    async def action_quit(self) -> None:
        """What Textual's own ways to quit do."""
        self.action_leave()

    def action_help(self) -> None:
        """All keys that apply."""
        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen(self.appearance, self.screen))

    def action_redraw(self) -> None:
        """Draw everything anew, over what others wrote."""
        self.redraw()

    def action_next_theme(self) -> None:
        """The next theme, round and round."""
        names = sorted(self._themes.themes)
        after = [name for name in names if name > self.appearance.theme.name]
        theme = self._themes.themes[(after or names)[0]]
        self._use_theme(theme)
        self._show_notice(self.appearance.say("theme.now", name=theme.name))

    def _use_theme(self, theme: Theme) -> None:
        self.appearance.set_theme(theme)
        self.theme = theme.name
        self.refresh_css(animate=False)
        for screen in self.screen_stack:
            for widget in screen.query(LineWidget):
                widget.refresh()

    def _reload_changed_themes(self) -> None:
        """A theme of the user's own that was written while the screen is up is used at once."""
        told = {error.message for error in self._themes.errors}
        if not self._themes.reload_if_changed():
            return
        for error in self._themes.errors:
            if error.message not in told:
                self._show_notice(error.message, "warning")
        for theme in self._themes.themes.values():
            self.register_theme(textual_theme(theme))
        now = self._themes.themes.get(self.appearance.theme.name)
        if now is not None and now != self.appearance.theme:
            self._use_theme(now)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """The palette: what applies on this screen, in the language of the screen."""
        names = {id_: (keys, description) for id_, keys, description in active_keys(screen)}
        for active in screen.active_bindings.values():
            binding = active.binding
            if not binding.id or not active.enabled or binding.id not in names:
                continue
            keys, description = names.pop(binding.id)
            if binding.id.rpartition(".")[2].isdigit():
                continue
            run = _action_runner(self, binding.action, active.node)
            yield SystemCommand(self.appearance.say(description), keys, run)

    def _handle_exception(self, error: Exception) -> None:
        """What a person can put right is no internal error: the command tells it in a line."""
        if isinstance(error, UserError):
            self.user_error, self._return_code = error, error.exit_code
            self._close_messages_no_wait()
        else:
            super()._handle_exception(error)

    def _fatal_error(self) -> None:
        """Textual would print local variables, which may hold a key: the log gets the
        traceback without them, the terminal two lines."""
        path = paths.log_file()
        stamp = datetime.now(UTC).isoformat(timespec="seconds")
        with os.fdopen(save_file.open_log(path), "a", encoding="utf-8") as log:
            log.write(
                f"{stamp} the screen ended\n{secrets.redact_secrets(traceback.format_exc())}\n"
            )
        lines = [
            self.appearance.say("crash.line"),
            self.appearance.say("crash.log", path=str(path)),
        ]
        self._exit_renderables.append(Text("\n".join(lines), no_wrap=True, overflow="ignore"))
        self._close_messages_no_wait()


def _clear_width_cache() -> None:
    """Clear Rich's cache of text widths: streamed text is rarely measured twice."""
    cached_cell_len.cache_clear()


def _freeze_startup_objects() -> None:
    """Freeze the objects that are alive after start-up: the collector never scans them. It was
    off since `tui.app.main._prepare_textual`."""
    gc.freeze()
    gc.enable()


def _action_runner(app: DuibiApp, action: str, node: DOMNode) -> Callable[[], Any]:
    async def run() -> None:
        await app.run_action(action, node)

    return run
