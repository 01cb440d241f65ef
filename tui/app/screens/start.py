"""Where `duibi` without a model begins: a new comparison, sessions, recordings, questions."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.widget import Widget

from tui.app.screens.base import BaseScreen
from tui.app.screens.library_rows import session_title, verdict_text
from tui.app.screens.navigation import (
    FirstModel,
    Introduction,
    OpenLibrary,
    OpenModels,
    OpenReplay,
)
from tui.app.screens.results import ModelSelection
from tui.app.style.appearance import Appearance
from tui.app.widgets.ask_line import AskLine
from tui.app.widgets.lines import Lines
from tui.app.widgets.menu import Menu, MenuHeading, MenuItem, MenuRows
from tui.host.errors import UserError
from tui.sessions.library import SessionEntry
from tui.text.sanitise import one_line
from tui.text.units import format_clock

if TYPE_CHECKING:
    from tui.app.screens.model_rows import ModelSurvey
    from tui.models.downloads import Downloads

MAX_RECENT, MAX_OFFERS = 5, 4
"""Sessions and models that are listed here; the others are one key away."""
CheckReference = Callable[[str], object]
"""Raises `UserError` where a text names no model."""


@dataclass(frozen=True, slots=True)
class ModelOffer:
    """Models that can be opened: references, a title and a remark."""

    references: tuple[str, ...]
    title: str
    remark: str


@dataclass(frozen=True, slots=True)
class _QuestionSetItem:
    name: str


@dataclass(frozen=True, slots=True)
class _TypeItem:
    """The line to type models into."""


@dataclass(frozen=True, slots=True)
class _LibraryItem:
    """The library."""


@dataclass(frozen=True, slots=True)
class _ModelsItem:
    """The models screen."""


@dataclass(frozen=True, slots=True)
class StartContents:
    """What there is to choose from at once; models take longer to find."""

    samples: list[SessionEntry]
    recent: list[SessionEntry]
    sets: list[tuple[str, str]]
    """Name and title."""


class StartScreen(BaseScreen):
    """A new comparison first, then what there is to look at."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("o", "type", "key.type_model", id="start.type"),
        Binding("m", "models", "key.models", id="start.models"),
        Binding("l", "library", "key.library", id="start.library"),
    ]

    def __init__(
        self,
        appearance: Appearance,
        sessions_dir: Path,
        load_contents: Callable[[], StartContents],
        load_offers: Callable[[], list[ModelOffer]],
        questions: str,
        survey_models: Callable[[], "ModelSurvey"],
        check_reference: CheckReference,
        first_recording: Path | None = None,
        find_first_model: Callable[[], FirstModel | None] | None = None,
    ) -> None:
        """``first_recording`` is played above this screen at a first start, and says that its key
        fetches what ``find_first_model`` gives."""
        super().__init__(appearance)
        self._first_recording, self._find_first_model = first_recording, find_first_model
        self._sessions_dir, self._load_contents, self._questions = (
            sessions_dir,
            load_contents,
            questions,
        )
        self._load_offers = load_offers
        self._survey_models, self._check_reference = survey_models, check_reference
        self._downloads: Downloads | None = None
        self._is_leave_confirmed = False
        self._offers: list[ModelOffer] = []
        self._is_settled = False
        self._marked: set[ModelOffer] = set()
        self.menu = Menu(appearance)
        self.heading = Lines(appearance, id="title")
        self.ask_line = AskLine(appearance, self._focus_menu)

    def parts(self) -> Iterable[Widget]:
        """A title, the list, a line to type a model into."""
        yield self.heading
        yield self.menu
        yield self.ask_line

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While something is typed, letters are text."""
        return self.focused is not self.ask_line.line

    def on_mount(self) -> None:
        """Show what there is."""
        self.menu.focus()
        self._refill()
        self._start_loading_offers()
        if self._first_recording is not None and self._find_first_model is not None:
            about = Introduction(self._find_first_model, self.action_models)
            self.post_message(
                OpenReplay(self._first_recording, self._sessions_dir, introduction=about)
            )

    def on_unmount(self) -> None:
        """Stop downloads that this screen started; partial files are kept."""
        if self._downloads is not None:
            self._downloads.stop()

    def reason_to_stay(self) -> str:
        """Downloads would be stopped."""
        busy = self._downloads is not None and bool(self._downloads.running)
        return self.appearance.say("quit.downloading") if busy else ""

    def _start_loading_offers(self) -> None:
        self.run_worker(
            self._load_offers_in_thread, thread=True, exclusive=True, exit_on_error=False
        )

    def _load_offers_in_thread(self) -> None:
        offers = self._load_offers()
        self.app.call_from_thread(self._show_offers, offers)

    def _show_offers(self, offers: list[ModelOffer]) -> None:
        self._offers, self._is_settled = offers, True
        self._refill()

    def on_screen_resume(self) -> None:
        """Back from a recording or the models: there may be more now."""
        self._refill()
        if self._downloads is not None:
            self._start_loading_offers()

    def _refill(self) -> None:
        say = self.appearance.say
        self.heading.show(
            [
                [],
                [(" ", ""), (say("start.title"), "bold")],
                [(" ", ""), (say("start.subtitle"), "muted")],
                [],
            ]
        )
        found = self._load_contents()
        titles = dict(found.sets)
        questions = one_line(titles.get(self._questions, self._questions))
        questions = questions or say("start.by_language")
        rows: MenuRows = [MenuHeading(say("start.new", questions=questions))]
        rows += [
            MenuItem(one_line(offer.title), one_line(offer.remark), offer, offer in self._marked)
            for offer in self._offers[:MAX_OFFERS]
        ]
        rows += [
            MenuItem(say("start.type"), say("start.type_remark"), _TypeItem(), key="o"),
            MenuItem(say("start.fetch"), say("start.fetch_remark"), _ModelsItem(), key="m"),
            None,
        ]
        if found.recent:
            recent = [entry for entry in found.recent if entry.answers or entry.problem]
            rows.append(MenuHeading(say("start.sessions")))
            rows += [self._session_item(entry) for entry in recent[:MAX_RECENT]]
            count = say("library.count", count=len(found.recent))
            rows += [MenuItem(say("start.library"), count, _LibraryItem(), key="l"), None]
        if found.samples:
            rows.append(MenuHeading(say("start.samples")))
            rows += [self._session_item(entry, sample=True) for entry in found.samples]
            rows.append(None)
        rows.append(MenuHeading(say("start.sets")))
        rows += [
            MenuItem(one_line(title), name, _QuestionSetItem(name), name == self._questions, " ")
            for name, title in found.sets
        ]
        self.menu.show(rows)

    def _session_item(self, entry: SessionEntry, sample: bool = False) -> MenuItem:
        say = self.appearance.say
        title = session_title(entry)
        if sample:
            title = f"{one_line(entry.name)}  {title}"
        parts = [
            verdict_text(entry, self.appearance) if entry.outcome != "complete" else "",
            one_line(entry.question_set),
            say("start.answers", count=entry.answers),
            format_clock(int(entry.duration_s * 1e6)),
            entry.started[:10],
        ]
        if entry.problem:
            parts = [one_line(entry.problem)]
        # Numbers would move under the finger while models are looked for.
        key = "" if self._is_settled else " "
        return MenuItem(title, "  ".join(part for part in parts if part), entry, key=key)

    @on(Menu.Chosen)
    def _chosen(self, event: Menu.Chosen) -> None:
        match event.value:
            case SessionEntry() as entry:
                self.post_message(OpenReplay(entry.path, self._sessions_dir))
            case _TypeItem():
                self.action_type()
            case _LibraryItem():
                self.action_library()
            case _ModelsItem():
                self.action_models()
            case ModelOffer() as offer:
                chosen = [o for o in self._offers if o in self._marked or o == offer]
                self._compare([name for o in chosen for name in o.references])
            case _QuestionSetItem(name=name):
                self._questions = name
                self._refill()

    @on(Menu.Marked)
    def _mark(self, event: Menu.Marked) -> None:
        if isinstance(event.value, ModelOffer):
            self._marked ^= {event.value}
            self._refill()
        else:
            self.menu.action_choose()

    def _focus_menu(self) -> None:
        self.menu.focus()

    def _compare(self, references: list[str]) -> None:
        """Open models; while something is fetched only when asked twice."""
        if (why := self.reason_to_stay()) and not self._is_leave_confirmed:
            self._is_leave_confirmed = True
            self.show_notice(why, "warning")
            return
        self.app.exit(ModelSelection(tuple(references), self._questions))

    def action_type(self) -> None:
        """Type models: folders, files, names of services, addresses."""
        self.ask_line.ask(self.appearance.say("start.which"), "", self._open_typed)

    def _open_typed(self, text: str) -> None:
        from tui.models.typed import read_typed

        names = [read_typed(word) for word in text.split()]
        try:
            for name in names:
                self._check_reference(name)
        except UserError as error:
            self.show_error(error)
            return
        if names:
            marked = [name for o in self._offers if o in self._marked for name in o.references]
            self._compare([*marked, *names])

    def action_models(self, fetch: str = "") -> None:
        """Models: found, fetched, removed; the download of ``fetch`` begins at once."""
        from tui.models.downloads import Downloads

        self._downloads = self._downloads or Downloads()
        self.post_message(
            OpenModels(
                self._survey_models, self._questions, self._downloads, self._check_reference, fetch
            )
        )

    def action_library(self) -> None:
        """All sessions."""
        self.post_message(OpenLibrary(self._sessions_dir))
