"""Where `duibi` without a model begins: recordings, models, question sets."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.widget import Widget

from tui.app.screens.base import BaseScreen, Choice
from tui.app.style.appearance import Look
from tui.app.style.figures import clock
from tui.app.widgets.lines import Lines
from tui.app.widgets.menu import Entry, Heading, Menu
from tui.host.errors import UserError
from tui.sessions.library import Entry as Recorded
from tui.text.sanitise import one_line

if TYPE_CHECKING:
    from tui.app.screens.model_rows import Here
    from tui.models.downloads import Downloads

RECENT = 20


@dataclass(frozen=True, slots=True)
class Offer:
    """Models that can be opened: references, a title and a remark."""

    references: tuple[str, ...]
    title: str
    remark: str


@dataclass(frozen=True, slots=True)
class _Set:
    name: str


@dataclass(frozen=True, slots=True)
class _All:
    """The library."""


@dataclass(frozen=True, slots=True)
class _Models:
    """The models screen."""


@dataclass(frozen=True, slots=True)
class Found:
    """What there is to choose from at once; models take longer to find."""

    samples: list[Recorded]
    recent: list[Recorded]
    sets: list[tuple[str, str]]
    """Name and title."""


class StartScreen(BaseScreen):
    """The first entry is a bundled recording: Enter plays it at once."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("m", "models", "key.models", id="start.models"),
        Binding("l", "library", "key.library", id="start.library"),
    ]

    def __init__(
        self,
        look: Look,
        sessions: Path,
        look_around: Callable[[], Found],
        find_models: Callable[[], list[Offer]],
        questions: str,
        look_around_models: Callable[[], "Here"] | None = None,
    ) -> None:
        super().__init__(look)
        self._sessions, self._look_around, self._questions = sessions, look_around, questions
        self._find_models = find_models
        self._look_around_models = look_around_models
        self._downloads: Downloads | None = None
        self._sure = False
        self._offers: list[Offer] = []
        self._marked: set[Offer] = set()
        self.menu = Menu(look)
        self.heading = Lines(look, id="title")

    def parts(self) -> Iterable[Widget]:
        """A title and the list."""
        yield self.heading
        yield self.menu

    def on_mount(self) -> None:
        """Show what there is."""
        self.menu.focus()
        self._refill()
        self._begin_to_look()

    def on_unmount(self) -> None:
        """Downloads end with the program; what came is kept."""
        if self._downloads is not None:
            self._downloads.stop()

    def why_stay(self) -> str:
        """Downloads would be stopped."""
        busy = self._downloads is not None and bool(self._downloads.running)
        return self.look.say("quit.downloading") if busy else ""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Without models to open there is nothing to fetch either."""
        return action != "models" or self._look_around_models is not None

    def _begin_to_look(self) -> None:
        self.run_worker(self._look_for_models, thread=True, exclusive=True, exit_on_error=False)

    def _look_for_models(self) -> None:
        offers = self._find_models()
        self.app.call_from_thread(self._offer, offers)

    def _offer(self, offers: list[Offer]) -> None:
        self._offers = offers
        self._refill()

    def on_screen_resume(self) -> None:
        """Back from a recording or the models: there may be more now."""
        self._refill()
        if self._downloads is not None:
            self._begin_to_look()

    def _refill(self) -> None:
        say = self.look.say
        self.heading.show(
            [
                [],
                [(" ", ""), (say("start.title"), "bold")],
                [(" ", ""), (say("start.subtitle"), "muted")],
                [],
            ]
        )
        found = self._look_around()
        rows: list[Entry | Heading | None] = []
        if found.samples:
            rows.append(Heading(say("start.samples")))
            rows += [self._recorded(entry, sample=True) for entry in found.samples]
            rows.append(None)
        if found.recent:
            recent = found.recent[:RECENT]
            rows += [Heading(say("start.sessions")), *map(self._recorded, recent)]
            count = say("library.count", count=len(found.recent))
            rows += [Entry(say("start.library"), count, _All()), None]
        if self._offers:
            rows.append(Heading(say("start.models")))
            rows += [
                Entry(one_line(offer.title), one_line(offer.remark), offer, offer in self._marked)
                for offer in self._offers
            ]
        if self._look_around_models is not None:
            if not self._offers:
                rows.append(Heading(say("start.models")))
            rows += [Entry(say("start.fetch"), say("start.fetch_remark"), _Models()), None]
        if found.sets:
            rows.append(Heading(say("start.sets")))
            rows += [
                Entry(one_line(title), name, _Set(name), marked=name == self._questions)
                for name, title in found.sets
            ]
        if not found.samples and not found.recent:
            rows += [None, Heading(say("start.nothing"))]
        self.menu.show(rows)

    def _recorded(self, entry: Recorded, sample: bool = False) -> Entry:
        say = self.look.say
        labels = one_line("  ".join(entry.labels)) or one_line(entry.name)
        if sample:
            labels = f"{one_line(entry.name)}  {labels}"
        parts = [
            one_line(entry.question_set),
            say("start.answers", count=entry.answers),
            clock(int(entry.duration_s * 1e6)),
            entry.started[:10],
        ]
        if entry.verdict != "complete":
            parts.insert(0, say(f"verdict.{entry.verdict}"))
        if entry.problem:
            parts = [one_line(entry.problem)]
        return Entry(labels, "  ".join(part for part in parts if part), entry)

    @on(Menu.Chosen)
    def _chosen(self, event: Menu.Chosen) -> None:
        match event.value:
            case Recorded() as entry:
                self._play(entry.path)
            case _All():
                self.action_library()
            case _Models():
                self.action_models()
            case Offer() as offer:
                if (why := self.why_stay()) and not self._sure:
                    self._sure = True
                    self.tell(why, "warning")
                    return
                chosen = [o for o in self._offers if o in self._marked or o == offer]
                references = tuple(name for o in chosen for name in o.references)
                self.app.exit(Choice(references, self._questions))
            case _Set(name=name):
                self._questions = name
                self._refill()

    @on(Menu.Marked)
    def _mark(self, event: Menu.Marked) -> None:
        if isinstance(event.value, Offer):
            self._marked ^= {event.value}
            self._refill()
        else:
            self.menu.action_choose()

    def action_models(self) -> None:
        """Models: found, fetched, removed."""
        from tui.app.screens.models import ModelsScreen
        from tui.models.downloads import Downloads

        if self._look_around_models is not None:
            self._downloads = self._downloads or Downloads()
            self.app.push_screen(
                ModelsScreen(self.look, self._look_around_models, self._questions, self._downloads)
            )

    def action_library(self) -> None:
        """All sessions."""
        from tui.app.screens.library import LibraryScreen

        self.app.push_screen(LibraryScreen(self.look, self._sessions))

    def _play(self, path: Path) -> None:
        from tui.app.open_session import replay_of

        try:
            screen = replay_of(self.look, path, self._sessions)
        except UserError as error:
            self.tell_error(error)
        else:
            self.app.push_screen(screen)
