"""What every screen has: drawn bars, a plain line where the terminal is too small, notices."""

from collections.abc import Iterable
from typing import Any

from textual import events
from textual.geometry import Spacing
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets._toast import ToastRack

from tui.app.style.appearance import Appearance
from tui.app.style.messages import Messages
from tui.app.terminal.notice_compositor import NoticeCompositor
from tui.app.widgets.keys_bar import KeysBar
from tui.app.widgets.line_widget import BlankBackground, MainPart
from tui.app.widgets.lines import Lines
from tui.host.errors import UserError
from tui.text.sanitise import clean

MIN_WIDTH, MIN_HEIGHT = 40, 12
NOTICE_S = 6.0
"""How long a notice of a screen stays."""


def error_notice(error: UserError, say: Messages) -> str:
    """What went wrong and what to do, as the text of a notice."""
    return say.told(error.message) + (f"\n→ {say.told(error.next_step)}" if error.next_step else "")


class BaseScreen(BlankBackground, Screen[Any]):
    """Base of the start, models, compare and replay screens."""

    def __init__(self, appearance: Appearance) -> None:
        super().__init__()
        self._compositor = NoticeCompositor()
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

    def rows_below(self) -> int:
        """The rows at the bottom that no notice covers: what stands below the main part."""
        main = next((one for one in self.children if isinstance(one, MainPart)), None)
        return self.size.height - main.region.bottom if main and main.region else 1

    def place_notices(self) -> None:
        """Keep them above what one types into and what says how things stand."""
        # Eight times a second: selectors would be matched against every widget.
        for rack in [one for one in self.children if isinstance(one, ToastRack)]:
            wanted = Spacing(0, 0, self.rows_below(), 0)
            if rack.styles.margin != wanted:
                rack.styles.margin = wanted

    def reason_to_stay(self) -> str:
        """What leaving would lose or stop, as a sentence; empty: nothing."""
        return ""

    @property
    def is_judging(self) -> bool:
        """Whether a person is judging answers now: keys are for that."""
        return False

    def show_notice(self, text: str, severity: str = "information") -> None:
        """A notice of a few seconds; ``text`` may be anybody's."""
        level: Any = severity
        self.notify(clean(text), severity=level, timeout=NOTICE_S, markup=False)

    def show_error(self, error: UserError) -> None:
        """What went wrong and what to do, as a notice."""
        self.show_notice(error_notice(error, self.appearance.say), "error")

    @property
    def is_first_screen(self) -> bool:
        """Whether no other screen of the program lies below (Textual's own blank one does)."""
        return len(self.app.screen_stack) <= 2

    def go_back(self) -> None:
        """Close this screen; the program ends where it was the first one."""
        if self.is_first_screen:
            self.app.exit(0)
        else:
            self.app.pop_screen()
