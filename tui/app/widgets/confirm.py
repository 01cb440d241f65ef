"""A question that is answered with one key."""

from collections.abc import Callable
from typing import ClassVar

from textual.binding import Binding, BindingType

from tui.app.pane.wrapping import wrap_line
from tui.app.style.appearance import Appearance
from tui.app.widgets.lines import Lines
from tui.text.sanitise import one_line


class Confirm(Lines, can_focus=True):
    """Hidden until `ask`; then y is yes, n and Escape are no. Enter means yes only where
    nothing can be lost."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "key.yes", id="confirm.yes"),
        Binding("enter", "agree", "key.yes", show=False, id="confirm.agree"),
        Binding("n,escape", "answer(False)", "key.no", id="confirm.no"),
    ]

    def __init__(self, appearance: Appearance, leave: Callable[[], None]) -> None:
        super().__init__(appearance, id="confirm")
        self.display = False
        self._leave = leave
        self._question_text = ""
        self._enter_means_yes = False
        self._done: Callable[[bool], None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether a question waits for its answer."""
        return self._done is not None

    def ask(
        self, question: str, done: Callable[[bool], None], enter_means_yes: bool = False
    ) -> None:
        """Show a question; ``done`` gets the answer. With ``enter_means_yes`` Enter is a yes."""
        self._question_text, self._done, self._enter_means_yes = (
            one_line(question),
            done,
            enter_means_yes,
        )
        self.display = True
        self._draw()
        self.focus()

    def on_resize(self) -> None:
        """Wrap it anew."""
        self._draw()

    def _draw(self) -> None:
        rows = wrap_line(self._question_text, max(20, self.app.size.width - 3))
        self.styles.height = len(rows) + 1
        keys = self.appearance.say("confirm.agree" if self._enter_means_yes else "confirm.keys")
        self.show([*([(" ", ""), (row, "bold")] for row in rows), [(" ", ""), (keys, "accent")]])

    def action_answer(self, yes: bool) -> None:
        """The answer."""
        done, self._done = self._done, None
        self.display = False
        self._leave()
        if done is not None:
            done(yes)

    def action_agree(self) -> None:
        """Enter."""
        if self._enter_means_yes:
            self.action_answer(True)
