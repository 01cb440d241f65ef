"""One line to type into for a moment: a note, a folder."""

from collections.abc import Callable, Iterable

from textual import on
from textual.containers import Container
from textual.widget import Widget

from tui.app.pane.wrapping import clip
from tui.app.style.appearance import Appearance
from tui.app.widgets.lines import Lines
from tui.app.widgets.prompt import PromptInput
from tui.text.sanitise import clean, one_line


class _Line(PromptInput):
    """A prompt in which an empty text counts too: it takes back what was there."""

    def action_send(self) -> None:
        """Hand the text over as it is."""
        self.post_message(self.Submitted(self.text.strip()))


class AskLine(Container):
    """Hidden until `ask`; then a title and a line, Enter to be done, Escape to leave it."""

    def __init__(self, appearance: Appearance, leave: Callable[[], None]) -> None:
        super().__init__(id="ask-line")
        self.appearance, self._leave = appearance, leave
        self.heading = Lines(appearance, id="ask-title")
        self.line = _Line("")
        self.display = False
        self._done: Callable[[str], None] | None = None

    def compose(self) -> Iterable[Widget]:
        """The title above the line."""
        yield self.heading
        yield self.line

    def ask(
        self, title: str, text: str, done: Callable[[str], None], is_suggestion: bool = False
    ) -> None:
        """Let a person change ``text``; ``done`` gets what was made of it. A suggestion is
        selected: the first key typed takes its place."""
        self._done = done
        self.display = True
        self.line.load_text(clean(text))
        self.line.move_cursor(self.line.document.end)
        if is_suggestion:
            self.line.select_all()
        width = self.app.size.width
        self.heading.show([[(" " + clip(one_line(title), width - 2), "accent")]])
        self.line.focus()

    @on(PromptInput.Submitted)
    def _sent(self, event: PromptInput.Submitted) -> None:
        event.stop()
        done = self._done
        self._close()
        if done is not None:
            done(event.text)

    @on(PromptInput.Closed)
    def _left(self, event: PromptInput.Closed) -> None:
        event.stop()
        self._close()

    def _close(self) -> None:
        self._done = None
        self.display = False
        self._leave()
