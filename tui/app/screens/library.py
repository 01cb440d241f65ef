"""All recorded sessions: found, opened, compared, continued, handed in, thrown away."""

import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import TextArea

from tui.app.screens import library_rows
from tui.app.screens.base import BaseScreen
from tui.app.screens.navigation import ExportReport, OpenJoinedReplay, OpenReplay
from tui.app.screens.results import SessionToResume
from tui.app.style.appearance import Appearance
from tui.app.widgets.ask_line import AskLine
from tui.app.widgets.lines import Lines
from tui.app.widgets.menu import Menu
from tui.app.widgets.prompt import PromptInput
from tui.host.errors import UserError
from tui.sessions import library
from tui.sessions.annotate import rename
from tui.sessions.library import SessionEntry
from tui.sessions.search import SearchHit, SearchIndex

_TYPING_PAUSE_S = 0.15
"""Pause in typing after which is searched."""
_REFRESH_S = 2.0
"""How often a list with a running session is made anew."""
_PARTIAL_S = 0.5
"""How often what was found so far is shown while sessions are read."""


class _QueryChanged(Exception):
    """The query changed during the search."""


class SearchLine(PromptInput):
    """What to look for; Down and Enter go to what was found."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,down", "to_list", "key.to_list", id="search.list"),
    ]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """One line is enough to search."""
        return action != "line_break"

    def action_to_list(self) -> None:
        """Choose from what was found."""
        self.post_message(self.Submitted(self.text))


class LibraryScreen(BaseScreen):
    """Sessions by day; a line to search in everything that was asked and answered."""

    BINDINGS: ClassVar[list[BindingType]] = [
        # With priority: what is typed in the same breath must find the line focused.
        Binding("slash", "search", "key.search", id="library.search", priority=True),
        Binding("r", "replay", "key.replay", id="library.replay"),
        Binding("m", "beside", "key.beside", id="library.beside"),
        Binding("c", "continue", "key.continue", id="library.continue"),
        Binding("e", "export", "key.export", id="library.export"),
        Binding("T", "rename", "key.rename", id="library.rename"),
        Binding("D,delete", "delete", "key.delete", id="library.delete"),
        Binding("u", "undo", "key.undo", id="library.undo"),
        Binding("escape,backspace", "leave", "key.leave", show=False, id="library.leave"),
    ]

    def __init__(self, appearance: Appearance, folder: Path) -> None:
        super().__init__(appearance)
        self._folder = folder
        self._entries: list[SessionEntry] = []
        self._marked: list[Path] = []
        self._trashed: list[Path] = []
        self._hits: list[SearchHit] | None = None
        self._query = self._shown_query = ""
        self._indexing = threading.Lock()
        self.heading = Lines(appearance, id="library-title")
        self.search = SearchLine(appearance.say("library.search"))
        self.menu = Menu(appearance)
        self.ask_line = AskLine(appearance, self._focus_menu)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While something is typed, letter bindings are off."""
        if self.focused is self.ask_line.line:
            return False
        return self.focused is not self.search or action in ("leave", "focus_next")

    def parts(self) -> Iterable[Widget]:
        """A title, the search line, the list."""
        yield self.heading
        yield self.search
        yield self.menu
        yield self.ask_line

    def on_mount(self) -> None:
        """Show what there is."""
        self.menu.focus()
        self.reload()
        self.set_interval(_REFRESH_S, self._reload_if_running)

    def on_screen_resume(self) -> None:
        """Back from a session: it may have changed."""
        self.reload()

    def _reload_if_running(self) -> None:
        if self.is_current and any(entry.verdict == "running" for entry in self._entries):
            self.reload()

    def reload(self) -> None:
        """List the folder anew."""
        self._entries = library.entries(self._folder)
        self._show()

    def _show(self) -> None:
        say = self.appearance.say
        there = {entry.path.absolute(): entry for entry in self._entries}
        self._marked = [path for path in self._marked if path.absolute() in there]
        words = say("library.count", count=len(self._entries))
        if self._marked:
            words += "  " + say("library.marked", count=len(self._marked))
        self.heading.show([[(" ", ""), (say("library.title"), "bold"), (f"  {words}", "muted")]])
        if self._hits is None:
            self.menu.show(library_rows.rows_by_day(self._entries, self._marked, self.appearance))
        else:
            self.menu.show(
                library_rows.rows_of_hits(
                    self._hits, self._query, there, self._marked, self.appearance
                )
            )

    @property
    def chosen(self) -> SessionEntry | None:
        """The session under the cursor."""
        rows = self.menu.items
        value = rows[self.menu.cursor].value if rows else None
        return value if isinstance(value, SessionEntry) else None

    def _focus_menu(self) -> None:
        self.menu.focus()

    # Searching.

    def action_search(self) -> None:
        """Type what to look for."""
        self.set_focus(self.search)

    @on(TextArea.Changed)
    def _query_typed(self, event: TextArea.Changed) -> None:
        if event.text_area is not self.search:
            return
        self._query = self.search.text.strip()
        if self._query:
            self.set_timer(_TYPING_PAUSE_S, self._start_search)
        else:
            self._hits, self._shown_query = None, ""
            self._show()

    def _start_search(self) -> None:
        text = self._query
        if text:
            self.run_worker(lambda: self._search_in_thread(text), thread=True, exit_on_error=False)

    def _search_in_thread(self, text: str) -> None:
        """In a thread. Where many sessions have yet to be read, what is known is shown at once
        and again as it grows; another text, or leaving, ends it where it is."""
        with self._indexing:
            if text != self._query:
                return
            index = SearchIndex(self._folder)
            shown = -_PARTIAL_S

            def progress(done: int, of: int) -> None:
                nonlocal shown
                if text != self._query or not self.is_attached:
                    raise _QueryChanged
                if time.monotonic() - shown > _PARTIAL_S:
                    shown = time.monotonic()
                    words = self.appearance.say("library.indexing", done=done, of=of)
                    self.app.call_from_thread(self._show_hits, text, index.search(text), words)

            try:
                index.update(progress)
                hits = index.search(text)
            except _QueryChanged:
                return
            finally:
                index.close()
        self.app.call_from_thread(self._show_hits, text, hits)

    def _show_hits(self, text: str, hits: list[SearchHit], words: str = "") -> None:
        if text == self._query:
            if text != self._shown_query:
                self._shown_query = text
                self.menu.action_move(-len(self.menu.items))
            self._hits = hits
            self._show()
            if words:
                self.heading.show([[(f" {words}", "warn")]])

    @on(PromptInput.Submitted)
    def _to_list(self, event: PromptInput.Submitted) -> None:
        event.stop()
        self.menu.focus()

    @on(PromptInput.Closed)
    def _search_left(self, event: PromptInput.Closed) -> None:
        event.stop()
        self.search.clear()
        self.menu.focus()

    # What is done with sessions.

    @on(Menu.Chosen)
    def _chosen(self) -> None:
        self._open(at_once=True)

    @on(Menu.Marked)
    def _mark(self) -> None:
        if entry := self.chosen:
            known = entry.path in self._marked
            others = [path for path in self._marked if path != entry.path]
            self._marked = others if known else [*others, entry.path]
            self._show()

    def action_replay(self) -> None:
        """Play it from the beginning."""
        self._open(at_once=False)

    def _open(self, at_once: bool) -> None:
        if entry := self.chosen:
            self.post_message(OpenReplay(entry.path, self._folder, at_once))

    def action_beside(self) -> None:
        """The marked sessions in one screen."""
        if len(self._marked) < 2:
            self.show_notice(self.appearance.say("library.mark_two"), "warning")
            return
        self.post_message(OpenJoinedReplay(tuple(self._marked), self._folder))

    def action_continue(self) -> None:
        """Ask what is missing in an interrupted session."""
        entry = self.chosen
        if entry is None:
            return
        if entry.verdict not in ("interrupted", "torn"):
            words = self.appearance.say(f"verdict.{entry.verdict}")
            self.show_notice(
                self.appearance.say("library.not_broken_off", verdict=words), "warning"
            )
            return
        self.app.exit(SessionToResume(entry.path))

    def action_rename(self) -> None:
        """Type what the session is listed as; words with # are tags."""
        entry = self.chosen
        if entry is None:
            return

        def done(title: str) -> None:
            if title == entry.title:
                return
            try:
                rename(entry.path, title)
            except UserError as error:
                self.show_error(error)
            self.reload()

        self.ask_line.ask(
            self.appearance.say("library.rename"), entry.title, done, is_suggestion=True
        )

    def action_delete(self) -> None:
        """Throw it away; `action_undo` brings it back."""
        if entry := self.chosen:
            try:
                self._trashed.append(library.trash(entry.path))
            except UserError as error:
                self.show_error(error)
                return
            self.show_notice(self.appearance.say("library.deleted", name=entry.name))
            self.reload()

    def action_undo(self) -> None:
        """Bring back what was thrown away last, also in an earlier sitting."""
        gone = (
            self._trashed.pop()
            if self._trashed
            else next(iter(library.trashed(self._folder)), None)
        )
        if gone is None:
            self.show_notice(self.appearance.say("library.nothing_deleted"), "warning")
            return
        try:
            path = library.restore(gone)
        except UserError as error:
            self.show_error(error)
            return
        self.show_notice(self.appearance.say("library.restored", name=path.stem))
        self.reload()

    def action_export(self) -> None:
        """A report of the marked sessions, else of this one."""
        chosen = [self.chosen.path] if self.chosen else []
        if paths := self._marked or chosen:
            self.post_message(ExportReport(tuple(paths), self._folder, {}))

    def action_leave(self) -> None:
        """End the search, else close this screen."""
        if self._hits is not None:
            self.search.clear()
        else:
            self.go_back()
