"""What every screen has: drawn bars, a plain line where the terminal is too small, notices."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textual import events
from textual.screen import Screen
from textual.widget import Widget

from tui.app.style.appearance import Appearance
from tui.app.widgets.keys_bar import KeysBar
from tui.app.widgets.line_widget import BlankBackground
from tui.app.widgets.lines import Lines
from tui.host.errors import UserError
from tui.text.sanitise import clean

MIN_WIDTH, MIN_HEIGHT = 40, 12


@dataclass(frozen=True, slots=True)
class SessionToResume:
    """What a screen ends with where a person wants an interrupted session to go on."""

    path: Path


@dataclass(frozen=True, slots=True)
class ModelSelection:
    """What a person chose to open: models under a question set."""

    references: tuple[str, ...]
    questions: str


class BaseScreen(BlankBackground, Screen[Any]):
    """Base of the start, models, compare and replay screens."""

    def __init__(self, appearance: Appearance) -> None:
        super().__init__()
        self.appearance = appearance
        self.too_small = Lines(appearance, id="too-small")
        self.keys_bar = KeysBar(appearance)

    def parts(self) -> Iterable[Widget]:
        """What the screen is made of, between the top and the footer."""
        raise NotImplementedError

    def compose(self) -> Iterable[Widget]:
        """The parts, the footer, and what is shown instead of them in too small a room."""
        yield self.too_small
        yield from self.parts()
        yield self.keys_bar

    def on_resize(self, event: events.Resize) -> None:
        """Show the parts, or say that there is no room for them."""
        width, height = event.size
        tiny = width < MIN_WIDTH or height < MIN_HEIGHT
        self.set_class(tiny, "-tiny")
        self.set_class(not tiny and (width < 60 or height < 16), "-short")
        if tiny:
            words = self.appearance.say("screen.too_small", width=width, height=height)
            self.too_small.show([[(words, "warn")]])

    def reason_to_stay(self) -> str:
        """What leaving would lose or stop, as a sentence; empty: nothing."""
        return ""

    def show_notice(self, text: str, severity: str = "information") -> None:
        """A notice of a few seconds; ``text`` may be anybody's."""
        level: Any = severity
        self.notify(clean(text), severity=level, timeout=6, markup=False)

    def show_error(self, error: UserError) -> None:
        """What went wrong and what to do, as a notice."""
        step = f"\n→ {error.next_step}" if error.next_step else ""
        self.show_notice(f"{error.message}{step}", "error")
