"""Models: what is on this machine and whether it fits, what could be; fetched and removed."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import ClassVar

from textual import events, on
from textual.binding import Binding, BindingType
from textual.widget import Widget

from tui.app.screens import model_rows
from tui.app.screens.base import BaseScreen
from tui.app.screens.model_rows import ListedModel, ModelSurvey
from tui.app.screens.results import ModelSelection
from tui.app.style.appearance import Appearance
from tui.app.widgets.ask_line import AskLine
from tui.app.widgets.confirm import Confirm
from tui.app.widgets.lines import Lines
from tui.app.widgets.menu import Menu
from tui.host.errors import UserError
from tui.models import remove as removal
from tui.models.discover import FoundModel
from tui.models.downloads import Download, Downloads
from tui.models.reference import HUB_PREFIXES, parse_reference
from tui.models.typed import read_typed
from tui.text.units import format_size

TICK_S = 0.2
"""How often the downloads are looked at."""
_CONFIRM_S = 5.0
_DOWNLOADABLE = ("demo", *HUB_PREFIXES)


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
        appearance: Appearance,
        survey_models: Callable[[], ModelSurvey],
        questions: str,
        downloads: Downloads | None = None,
        check_reference: Callable[[str], object] = parse_reference,
        fetch: str = "",
    ) -> None:
        """``fetch`` is a model whose download begins at once."""
        super().__init__(appearance)
        self._fetch = fetch
        self._survey_models, self._questions = survey_models, questions
        self._check_reference = check_reference
        self._owns_downloads = downloads is None
        self.downloads = Downloads() if downloads is None else downloads
        self.survey = ModelSurvey()
        self._marked: list[str] = []
        self._reported: list[Download] = [one for one in self.downloads.all if one.status.is_over]
        self._busy: list[str] = []
        self._confirmed_until = 0.0
        self.heading = Lines(appearance, id="models-title")
        self.menu = Menu(appearance)
        self.detail = Lines(appearance, id="model-detail")
        self.progress = Lines(appearance, id="downloads")
        self.confirm = Confirm(appearance, self._focus_menu)
        self.ask_line = AskLine(appearance, self._focus_menu)

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
        say = self.appearance.say
        self.heading.show([[(" ", ""), (say("models.title"), "bold"),
                            (f"  {say('models.looking')}", "muted")]])  # fmt: skip
        self.menu.focus()
        self.action_again()
        self.set_interval(TICK_S, self._tick)
        if self._fetch:
            self._begin_download(self._fetch)

    def on_unmount(self) -> None:
        """Stop downloads that this screen started; partial files are kept."""
        if self._owns_downloads:
            self.downloads.stop()

    def on_resize(self, event: events.Resize) -> None:
        """Columns depend on the width."""
        super().on_resize(event)
        self._show()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While a question or a line is open, only its own keys apply; without a running
        download there is none to stop."""
        if self.confirm.is_open or self.focused is self.ask_line.line:
            return action == "focus_next"
        return action != "stop" or bool(self.downloads.running)

    def reason_to_stay(self) -> str:
        """Downloads would be stopped."""
        return self.appearance.say("quit.downloading") if self.downloads.running else ""

    # What there is.

    def action_again(self) -> None:
        """Look around anew."""
        self.run_worker(self._survey_in_thread, thread=True, exclusive=True, exit_on_error=False)

    def _survey_in_thread(self) -> None:
        try:
            here = self._survey_models()
        except UserError as error:
            self.app.call_from_thread(self.show_error, error)
        else:
            self.app.call_from_thread(self._show_survey, here)

    def _show_survey(self, survey: ModelSurvey) -> None:
        self.survey = survey
        say = self.appearance.say
        words = say("models.count", count=len(survey.found))
        self.heading.show([[(" ", ""), (say("models.title"), "bold"), (f"  {words}", "muted")]])
        self._show()

    def _show(self) -> None:
        statuses = [one.status for one in self.downloads.all]
        width = self.app.size.width
        self.menu.show(model_rows.rows(self.survey, self._marked, statuses, self.appearance, width))
        self._show_detail()

    @on(Menu.Moved)
    def _show_detail(self) -> None:
        self.detail.show(model_rows.detail_rows(self.chosen, self.survey, self.appearance))

    @property
    def chosen(self) -> ListedModel | None:
        """What the cursor is on."""
        rows = self.menu.items
        value = rows[self.menu.cursor].value if rows else None
        return value if isinstance(value, ListedModel) else None

    # Downloads.

    def _tick(self) -> None:
        if not self.is_current:
            return
        all_ = self.downloads.all
        most = max(2, self.app.size.height // 3)
        statuses = [one.status for one in all_]
        lines = model_rows.download_rows(statuses, self.appearance, self.app.size.width, most)
        if self.progress.styles.height is None or self.progress.size.height != len(lines):
            self.progress.styles.height = len(lines)
        self.progress.show(lines)
        busy = [status.reference for status in statuses if not status.is_over]
        if busy or self._busy:
            self._show()
        if busy != self._busy:
            self._busy = busy
            self.refresh_bindings()
        for one in all_:
            status = one.status
            if (
                status.state == "question"
                and not self.confirm.is_open
                and not self.ask_line.display
            ):
                self._ask_consent(one)
            elif status.is_over and one not in self._reported:
                self._reported.append(one)
                self._download_ended(one)

    def _ask_consent(self, download: Download) -> None:
        offer = download.status.offer
        if offer is None:
            return
        say = self.appearance.say
        words = say(
            "models.question", name=offer.name, files=offer.files, total=format_size(offer.total),
            folder=str(offer.folder), free=format_size(offer.free),
        )  # fmt: skip
        if offer.present_bytes:
            words += " " + say("models.partly", here=format_size(offer.present_bytes))
        self.confirm.ask(words, download.answer, enter_means_yes=True)

    def _download_ended(self, download: Download) -> None:
        status = download.status
        say = self.appearance.say
        if status.state == "done":
            if status.reference == self._fetch and not self.downloads.running:
                self._compare(status.reference)  # who fetched it at a first start wants to ask it
                return
            self.show_notice(say("models.done", name=status.reference))
        elif status.state == "stopped":
            self.show_notice(say("models.stopped", name=status.reference))
        elif status.error is not None:
            self.show_error(status.error)
        self.action_again()

    def action_get(self) -> None:
        """Fetch what the cursor is on."""
        subject = self.chosen
        if subject is None:
            return
        if not subject.reference.startswith(_DOWNLOADABLE):
            self.show_notice(
                self.appearance.say("models.not_fetched", name=subject.reference), "warning"
            )
        elif isinstance(subject, FoundModel) and subject.state == "complete":
            self.show_notice(self.appearance.say("models.is_here", name=subject.reference))
        else:
            self._begin_download(subject.reference)

    def action_get_other(self) -> None:
        """Type which model to fetch, or to open where there is nothing to fetch."""
        words = self.appearance.say("models.which")
        self.ask_line.ask(words, "ms:", self._get_typed, is_suggestion=True)

    def _get_typed(self, text: str) -> None:
        name = read_typed(text)
        if not name or name in HUB_PREFIXES:
            return
        try:
            self._check_reference(name)
        except UserError as error:
            self.show_error(error)
        else:
            if name.startswith(_DOWNLOADABLE):
                self._begin_download(name)
            else:
                self._compare(name)

    def _begin_download(self, reference: str) -> None:
        try:
            self.downloads.begin(reference)
        except UserError as error:
            self.show_error(error)
        self._tick()

    def action_stop(self) -> None:
        """Stop the download of what the cursor is on, else the one that was begun last."""
        running = self.downloads.running
        subject = self.chosen
        named = [one for one in running if subject and one.status.reference == subject.reference]
        if not running:
            self.show_notice(self.appearance.say("models.nothing_to_stop"), "warning")
        else:
            (named or running)[-1].stop()

    # Removing.

    def action_remove(self) -> None:
        """Remove what the cursor is on, after it was said what that frees."""
        subject = self.chosen
        if not isinstance(subject, FoundModel):
            return
        if any(one.status.reference == subject.reference for one in self.downloads.running):
            self.show_notice(self.appearance.say("models.stop_first"), "warning")
            return
        reference = subject.reference
        self.run_worker(lambda: self._measure_disk_use(reference), thread=True, exit_on_error=False)

    def _measure_disk_use(self, reference: str) -> None:
        try:
            paths = removal.removable_paths(parse_reference(reference))
            freed = sum(map(removal.disk_bytes, paths))
        except UserError as error:
            self.app.call_from_thread(self.show_error, error)
        else:
            self.app.call_from_thread(self._ask_to_remove, reference, paths, freed)

    def _ask_to_remove(self, reference: str, paths: list[Path], freed: int) -> None:
        words = self.appearance.say(
            "models.remove",
            name=reference,
            size=format_size(freed),
            paths=", ".join(map(str, paths)),
        )

        def answered(yes: bool) -> None:
            if yes:
                self.run_worker(lambda: self._remove(paths, freed), thread=True)

        self.confirm.ask(words, answered)

    def _remove(self, paths: list[Path], freed: int) -> None:
        try:
            removal.remove(paths)
        except UserError as error:
            self.app.call_from_thread(self.show_error, error)
        else:
            words = self.appearance.say("models.freed", size=format_size(freed))
            self.app.call_from_thread(self.show_notice, words)
        self.app.call_from_thread(self.action_again)

    # Opening and leaving.

    @on(Menu.Marked)
    def _mark(self) -> None:
        subject = self.chosen
        if isinstance(subject, FoundModel) and subject.state == "complete":
            name = subject.reference
            others = [one for one in self._marked if one != name]
            self._marked = others if name in self._marked else [*others, name]
            self._show()
        elif subject is not None:
            self.show_notice(self.appearance.say("models.only_whole"), "warning")

    @on(Menu.Chosen)
    def _open(self) -> None:
        subject = self.chosen
        if not (isinstance(subject, FoundModel) and subject.state == "complete"):
            self.action_get()
            return
        self._compare(subject.reference)

    def _compare(self, reference: str) -> None:
        """Open the marked models and this one; while something is fetched only when asked
        twice."""
        now = time.monotonic()
        if self.downloads.running and now > self._confirmed_until:
            self._confirmed_until = now + _CONFIRM_S
            self.show_notice(self.appearance.say("quit.downloading"), "warning")
            return
        self.downloads.stop()
        whole = [one.reference for one in self.survey.found if one.state == "complete"]
        names = [name for name in self._marked if name in whole]
        self.app.exit(ModelSelection(tuple(dict.fromkeys([*names, reference])), self._questions))

    def _focus_menu(self) -> None:
        self.menu.focus()

    async def action_leave(self) -> None:
        """Close this screen; downloads go on. As the first screen: leave the program."""
        if self.is_first_screen:
            await self.run_action("app.leave")
        else:
            self.app.pop_screen()
