"""Models: what is on this machine and whether it fits, what could be; fetched and removed."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import ClassVar

from textual import events, on
from textual.binding import Binding, BindingType
from textual.widget import Widget

from tui.app.screens import model_rows
from tui.app.screens.base import BaseScreen, Choice
from tui.app.screens.model_rows import Here, Subject
from tui.app.style.appearance import Look
from tui.app.widgets.ask_line import AskLine
from tui.app.widgets.confirm import Confirm
from tui.app.widgets.lines import Lines
from tui.app.widgets.menu import Menu
from tui.host.errors import UserError
from tui.models import remove as removal
from tui.models.discover import Found
from tui.models.downloads import Download, Downloads
from tui.models.reference import is_model_id, parse
from tui.text.units import size

TICK_S = 0.2
"""How often the downloads are looked at."""
_AGAIN_S = 5.0
_FETCHED = ("demo", "ms:")


class ModelsScreen(BaseScreen):
    """Enter compares what is whole and fetches what is not."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("d", "get", "key.get", id="models.get"),
        Binding("f", "get_other", "key.get_other", id="models.get_other"),
        Binding("x", "stop", "key.stop_download", id="models.stop"),
        Binding("D,delete", "remove", "key.remove", id="models.remove"),
        Binding("R", "again", "key.look_again", show=False, id="models.again"),
        Binding("escape,backspace", "leave", "key.leave", id="models.leave"),
    ]

    def __init__(
        self,
        look: Look,
        look_around: Callable[[], Here],
        questions: str,
        downloads: Downloads | None = None,
    ) -> None:
        super().__init__(look)
        self._look_around, self._questions = look_around, questions
        self._own = downloads is None
        self.downloads = Downloads() if downloads is None else downloads
        self.here = Here()
        self._marked: list[str] = []
        self._told: list[Download] = [one for one in self.downloads.all if one.status.over]
        self._busy: list[str] = []
        self._sure_until = 0.0
        self.heading = Lines(look, id="models-title")
        self.menu = Menu(look)
        self.detail = Lines(look, id="model-detail")
        self.progress = Lines(look, id="downloads")
        self.confirm = Confirm(look, self._back)
        self.ask_line = AskLine(look, self._back)

    def parts(self) -> Iterable[Widget]:
        """A title, the list, what is under the cursor, the downloads, a question."""
        yield self.heading
        yield self.menu
        yield self.detail
        yield self.progress
        yield self.confirm
        yield self.ask_line

    def on_mount(self) -> None:
        """Look around; then follow the downloads."""
        say = self.look.say
        self.heading.show([[(" ", ""), (say("models.title"), "bold"),
                            (f"  {say('models.looking')}", "muted")]])  # fmt: skip
        self.menu.focus()
        self.action_again()
        self.set_interval(TICK_S, self._tick)

    def on_unmount(self) -> None:
        """What was begun here ends here; what came is kept."""
        if self._own:
            self.downloads.stop()

    def on_resize(self, event: events.Resize) -> None:
        """Columns depend on the width."""
        super().on_resize(event)
        self._show()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While one answers or types, letters are for that; what is not under way cannot be
        stopped."""
        if self.confirm.open or self.focused is self.ask_line.line:
            return action == "focus_next"
        return action != "stop" or bool(self.downloads.running)

    def why_stay(self) -> str:
        """Downloads would be stopped."""
        return self.look.say("quit.downloading") if self.downloads.running else ""

    # What there is.

    def action_again(self) -> None:
        """Look around anew."""
        self.run_worker(self._look, thread=True, exclusive=True, exit_on_error=False)

    def _look(self) -> None:
        try:
            here = self._look_around()
        except UserError as error:
            self.app.call_from_thread(self.tell_error, error)
        else:
            self.app.call_from_thread(self._found, here)

    def _found(self, here: Here) -> None:
        self.here = here
        say = self.look.say
        words = say("models.count", count=len(here.found))
        self.heading.show([[(" ", ""), (say("models.title"), "bold"), (f"  {words}", "muted")]])
        self._show()

    def _show(self) -> None:
        statuses = [one.status for one in self.downloads.all]
        width = self.app.size.width
        self.menu.show(model_rows.rows(self.here, self._marked, statuses, self.look, width))
        self._show_detail()

    @on(Menu.Moved)
    def _show_detail(self) -> None:
        self.detail.show(model_rows.detail(self.chosen, self.here, self.look))

    @property
    def chosen(self) -> Subject | None:
        """What the cursor is on."""
        rows = self.menu.entries
        value = rows[self.menu.at].value if rows else None
        return value if isinstance(value, Subject) else None

    # Downloads.

    def _tick(self) -> None:
        if not self.is_current:
            return
        all_ = self.downloads.all
        most = max(2, self.app.size.height // 3)
        statuses = [one.status for one in all_]
        lines = model_rows.progress(statuses, self.look, self.app.size.width, most)
        if self.progress.styles.height is None or self.progress.size.height != len(lines):
            self.progress.styles.height = len(lines)
        self.progress.show(lines)
        busy = [status.reference for status in statuses if not status.over]
        if busy or self._busy:
            self._show()
        if busy != self._busy:
            self._busy = busy
            self.refresh_bindings()
        for one in all_:
            status = one.status
            if status.state == "question" and not self.confirm.open and not self.ask_line.display:
                self._ask(one)
            elif status.over and one not in self._told:
                self._told.append(one)
                self._ended(one)

    def _ask(self, download: Download) -> None:
        offer = download.status.offer
        if offer is None:
            return
        say = self.look.say
        words = say(
            "models.question", name=offer.name, files=offer.files, total=size(offer.total),
            folder=str(offer.folder), free=size(offer.free),
        )  # fmt: skip
        if offer.here:
            words += " " + say("models.partly", here=size(offer.here))
        self.confirm.ask(words, download.answer, agrees=True)

    def _ended(self, download: Download) -> None:
        status = download.status
        say = self.look.say
        if status.state == "done":
            self.tell(say("models.done", name=status.reference))
        elif status.state == "stopped":
            self.tell(say("models.stopped", name=status.reference))
        elif status.error is not None:
            self.tell_error(status.error)
        self.action_again()

    def action_get(self) -> None:
        """Fetch what the cursor is on."""
        subject = self.chosen
        if subject is None:
            return
        if not subject.reference.startswith(_FETCHED):
            self.tell(self.look.say("models.not_fetched", name=subject.reference), "warning")
        elif isinstance(subject, Found) and subject.state == "complete":
            self.tell(self.look.say("models.is_here", name=subject.reference))
        else:
            self._get(subject.reference)

    def action_get_other(self) -> None:
        """Type which model to fetch."""
        self.ask_line.ask(self.look.say("models.which"), "ms:", self._get_typed)

    def _get_typed(self, text: str) -> None:
        name = text.strip()
        if name and name != "ms:":
            self._get(f"ms:{name}" if is_model_id(name) else name)

    def _get(self, reference: str) -> None:
        try:
            self.downloads.begin(reference)
        except UserError as error:
            self.tell_error(error)
        self._tick()

    def action_stop(self) -> None:
        """Stop the download of what the cursor is on, else the one that was begun last."""
        running = self.downloads.running
        subject = self.chosen
        named = [one for one in running if subject and one.status.reference == subject.reference]
        if not running:
            self.tell(self.look.say("models.nothing_to_stop"), "warning")
        else:
            (named or running)[-1].stop()

    # Removing.

    def action_remove(self) -> None:
        """Remove what the cursor is on, after it was said what that frees."""
        subject = self.chosen
        if not isinstance(subject, Found):
            return
        if any(one.status.reference == subject.reference for one in self.downloads.running):
            self.tell(self.look.say("models.stop_first"), "warning")
            return
        reference = subject.reference
        self.run_worker(lambda: self._weigh(reference), thread=True, exit_on_error=False)

    def _weigh(self, reference: str) -> None:
        try:
            paths = removal.belongings(parse(reference))
            freed = sum(map(removal.disk_bytes, paths))
        except UserError as error:
            self.app.call_from_thread(self.tell_error, error)
        else:
            self.app.call_from_thread(self._ask_to_remove, reference, paths, freed)

    def _ask_to_remove(self, reference: str, paths: list[Path], freed: int) -> None:
        words = self.look.say(
            "models.remove", name=reference, size=size(freed), paths=", ".join(map(str, paths))
        )

        def answered(yes: bool) -> None:
            if yes:
                self.run_worker(lambda: self._remove(paths, freed), thread=True)

        self.confirm.ask(words, answered)

    def _remove(self, paths: list[Path], freed: int) -> None:
        try:
            removal.remove(paths)
        except UserError as error:
            self.app.call_from_thread(self.tell_error, error)
        else:
            words = self.look.say("models.freed", size=size(freed))
            self.app.call_from_thread(self.tell, words)
        self.app.call_from_thread(self.action_again)

    # Opening and leaving.

    @on(Menu.Marked)
    def _mark(self) -> None:
        subject = self.chosen
        if isinstance(subject, Found) and subject.state == "complete":
            name = subject.reference
            others = [one for one in self._marked if one != name]
            self._marked = others if name in self._marked else [*others, name]
            self._show()
        elif subject is not None:
            self.tell(self.look.say("models.only_whole"), "warning")

    @on(Menu.Chosen)
    def _open(self) -> None:
        subject = self.chosen
        if not (isinstance(subject, Found) and subject.state == "complete"):
            self.action_get()
            return
        now = time.monotonic()
        if self.downloads.running and now > self._sure_until:
            self._sure_until = now + _AGAIN_S
            self.tell(self.look.say("quit.downloading"), "warning")
            return
        self.downloads.stop()
        whole = [one.reference for one in self.here.found if one.state == "complete"]
        names = [name for name in self._marked if name in whole]
        self.app.exit(Choice(tuple(dict.fromkeys([*names, subject.reference])), self._questions))

    def _back(self) -> None:
        self.menu.focus()

    def action_leave(self) -> None:
        """Back to where one came from; downloads go on."""
        if len(self.app.screen_stack) > 2:
            self.app.pop_screen()
        else:
            self.app.action_leave()  # type: ignore[attr-defined]
