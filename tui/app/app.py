"""The application: bindings, themes, signals and wiring; everything else is elsewhere."""

import asyncio
import gc
import os
import signal
import traceback
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, ClassVar

from rich.cells import cached_cell_len
from rich.text import Text
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.dom import DOMNode
from textual.screen import Screen
from textual.theme import BUILTIN_THEMES
from textual.theme import Theme as TextualTheme

from tui.app.screens.base import BaseScreen
from tui.app.style.appearance import Look
from tui.app.style.theme_folder import ThemeFolders
from tui.app.style.themes import ROLES, Theme
from tui.app.terminal import capabilities
from tui.app.terminal.terminal_writer import OutputApp
from tui.app.widgets.drawn import Drawn
from tui.app.widgets.keys_bar import keys_of
from tui.host import paths, secrets
from tui.text.sanitise import clean

_AGAIN_S = 5.0
_LOOK_S = 1.0
"""How often the user's own themes are looked at."""
_FORGET_S = 60.0
INTERRUPTED = 130


class DuibiApp(OutputApp):
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
        Binding("ctrl+c,ctrl+q", "leave", "key.quit", show=False, id="app.stop", priority=True),
    ]

    def __init__(
        self,
        look: Look,
        themes: ThemeFolders,
        first: Callable[[], Screen[Any]],
        keys: dict[str, str],
        stock_output: bool = False,
    ) -> None:
        self.look, self._themes, self._first = look, themes, first
        super().__init__(stock_output, ansi_color=True)
        self.animation_level = "none"
        self._wanted_keys = keys
        self._asked_at = -_AGAIN_S
        self.ended_by: signal.Signals | None = None
        """The signal that ended the screen, if one did."""
        for theme in themes.themes.values():
            self.register_theme(_textual(theme))
        # As an assignment would do it after the first paint, by parsing every style anew.
        self.set_reactive(App.theme, look.theme.name)
        self.stylesheet.set_variables(self.get_css_variables())

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """The variables of the style sheet, for before a theme is in use."""
        return _variables(self.look.theme)

    async def on_mount(self) -> None:
        """Listen to signals, set the keys, show the first screen."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGHUP, signal.SIGTERM):
            try:
                loop.add_signal_handler(number, self._end_by, number)
            except (ValueError, RuntimeError):
                break  # not in the main thread, as under a test: nobody sends signals there
        await self.push_screen(self._first())
        if self._wanted_keys:
            from tui.app import keymap

            self.set_keymap(self._wanted_keys)
            for remark in keymap.remarks(self._wanted_keys, type(self), self.look):
                self._tell(remark, "warning")
        for error in self._themes.errors:
            self._tell(error.message, "warning")
        for remark in capabilities.remarks(os.environ, self.look):
            self._tell(remark, "warning")
        self.set_interval(_LOOK_S, self._look_at_themes)
        self.set_interval(_FORGET_S, _forget_widths)
        if folder := paths.settle():
            self._tell(self.look.say("start.settled", folder=str(folder)))
        self.call_after_refresh(_collect_only_what_is_new)

    def _end_by(self, number: signal.Signals) -> None:
        self.ended_by = number
        self.exit(INTERRUPTED)

    def _tell(self, text: str, severity: Any = "information") -> None:
        self.notify(clean(text), severity=severity, markup=False)

    def action_leave(self) -> None:
        """Leave; while answers are running only when asked twice."""
        now = asyncio.get_running_loop().time()
        why = [s.why_stay() for s in self.screen_stack if isinstance(s, BaseScreen)]
        if any(why) and now - self._asked_at > _AGAIN_S:
            self._asked_at = now
            self._tell(next(filter(None, why)), "warning")
            return
        self.exit(0)

    async def action_quit(self) -> None:
        """What Textual's own ways to quit do."""
        self.action_leave()

    def action_help(self) -> None:
        """All keys that apply."""
        from tui.app.screens.help import HelpScreen

        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen(self.look, self.screen))

    def action_redraw(self) -> None:
        """Draw everything anew, over what others wrote."""
        self.redraw()

    def action_next_theme(self) -> None:
        """The next theme, round and round."""
        names = sorted(self._themes.themes)
        after = [name for name in names if name > self.look.theme.name]
        theme = self._themes.themes[(after or names)[0]]
        self._wear(theme)
        self.clear_notifications()
        self._tell(self.look.say("theme.now", name=theme.name))

    def _wear(self, theme: Theme) -> None:
        self.look.wear(theme)
        self.theme = theme.name
        self.refresh_css(animate=False)
        for screen in self.screen_stack:
            for widget in screen.query(Drawn):
                widget.refresh()

    def _look_at_themes(self) -> None:
        """A theme of the user's own that was written while the screen is up is used at once."""
        told = {error.message for error in self._themes.errors}
        if not self._themes.changed():
            return
        for error in self._themes.errors:
            if error.message not in told:
                self._tell(error.message, "warning")
        for theme in self._themes.themes.values():
            self.register_theme(_textual(theme))
        now = self._themes.themes.get(self.look.theme.name)
        if now is not None and now != self.look.theme:
            self._wear(now)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """The palette: what applies on this screen, in the language of the screen."""
        names = {id_: (keys, description) for id_, keys, description in keys_of(screen)}
        for active in screen.active_bindings.values():
            binding = active.binding
            if not binding.id or not active.enabled or binding.id not in names:
                continue
            keys, description = names.pop(binding.id)
            if binding.id.rpartition(".")[2].isdigit():
                continue
            run = _runner(self, binding.action, active.node)
            yield SystemCommand(self.look.say(description), keys, run)

    def _fatal_error(self) -> None:
        """Textual would print local variables, which may hold a key: the log gets the
        traceback without them, the terminal two lines."""
        path = paths.log_file()
        stamp = datetime.now(UTC).isoformat(timespec="seconds")
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a") as log:
            log.write(f"{stamp} the screen ended\n{secrets.hide(traceback.format_exc())}\n")
        lines = [self.look.say("crash.line"), self.look.say("crash.log", path=str(path))]
        self._exit_renderables.append(Text("\n".join(lines), no_wrap=True, overflow="ignore"))
        self._close_messages_no_wait()


def _forget_widths() -> None:
    """Rich keeps the last 4096 texts that it measured, most of which never come again."""
    cached_cell_len.cache_clear()


def _collect_only_what_is_new() -> None:
    """End of the start (`tui.app.main.make_app`): what is there stays, and is never looked at."""
    gc.freeze()
    gc.enable()


def _runner(app: DuibiApp, action: str, node: DOMNode) -> Callable[[], Any]:
    async def run() -> None:
        await app.run_action(action, node)

    return run


def _variables(theme: Theme) -> dict[str, str]:
    return {f"duibi-{role.replace('_', '-')}": theme.css(role) for role in ROLES}


def _textual(theme: Theme) -> TextualTheme:
    """The theme for Textual's own widgets: prompt, palette, notices. Its style sheets need
    the variables of its themes for native terminal colours."""
    given = BUILTIN_THEMES["ansi-dark" if theme.dark else "ansi-light"].variables
    plain = {role: theme.css(role) for role in ROLES}
    return TextualTheme(
        name=theme.name,
        dark=theme.dark,
        primary=plain["accent"],
        secondary=plain["accent"],
        accent=plain["accent"],
        warning=plain["warn"],
        error=plain["bad"],
        success=plain["good"],
        foreground=plain["text"],
        background=plain["background"],
        surface=plain["panel"],
        panel=plain["panel"],
        variables=given
        | _variables(theme)
        | {
            "block-cursor-background": plain["cursor"],
            "block-cursor-foreground": plain["cursor_text"],
            "input-cursor-background": plain["accent"],
            "input-selection-background": plain["cursor"],
        },
        ansi=True,
    )
