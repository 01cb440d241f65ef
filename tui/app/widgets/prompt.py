"""The line a person types into."""

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import TextArea

from tui.text.sanitise import clean

MAX_PROMPT = 100_000
"""Characters; a longer paste is cut and that is said."""


def _with_newlines(pasted: str) -> str:
    """A paste with its lines: terminals send CR, as the Enter key does, or CR LF."""
    return pasted.replace("\r\n", "\n").replace("\r", "\n")


class PromptInput(TextArea):
    """Grows with its text; Enter sends, Ctrl+J breaks the line, Up and Down recall."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "send", "key.send", id="prompt.send"),
        Binding("ctrl+j", "line_break", "key.line_break", id="prompt.line_break"),
        Binding("escape", "leave", "key.leave", id="prompt.leave", priority=True),
    ]

    class Submitted(Message):
        """A person sent ``text``."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Closed(Message):
        """A person is done with the prompt."""

    class Cut(Message):
        """A paste was too long and was cut at `MAX_PROMPT`."""

    def __init__(self, placeholder: str) -> None:
        super().__init__(
            id="prompt",
            compact=True,
            soft_wrap=True,
            show_line_numbers=False,
            highlight_cursor_line=False,
            tab_behavior="focus",
            placeholder=placeholder,
        )
        self.cursor_blink = False
        self.sent_prompts: list[str] = []
        self._sent_index = 0

    def action_send(self) -> None:
        """Hand the text over, remember it, and empty the line."""
        text = clean(self.text).strip()
        if not text:
            return
        if self.sent_prompts[-1:] != [text]:
            self.sent_prompts.append(text)
        self._sent_index = len(self.sent_prompts)
        self.clear()
        self.post_message(self.Submitted(text))

    def action_line_break(self) -> None:
        """Break the line."""
        self.insert("\n")

    def action_leave(self) -> None:
        """Give the focus back; the text stays."""
        self.post_message(self.Closed())

    def action_cursor_up(self, select: bool = False) -> None:
        """The line above, or from the first line what was sent before."""
        if self.cursor_location[0] == 0 and not select and self._sent_index > 0:
            self._recall(self._sent_index - 1)
        else:
            super().action_cursor_up(select)

    def action_cursor_down(self, select: bool = False) -> None:
        """The line below, or from the last line what was sent after."""
        last = self.cursor_location[0] == self.document.line_count - 1
        if last and not select and self._sent_index < len(self.sent_prompts):
            self._recall(self._sent_index + 1)
        else:
            super().action_cursor_down(select)

    def _recall(self, at: int) -> None:
        self._sent_index = at
        self.load_text(self.sent_prompts[at] if at < len(self.sent_prompts) else "")
        self.move_cursor(self.document.end)

    def check_consume_key(self, key: str, character: str | None = None) -> bool:
        """Whether a key is typed here and so is no binding of the screen's: also ``/``, whose
        name Textual cannot turn back into its character."""
        return key == "slash" or super().check_consume_key(key, character)

    async def _on_key(self, event: events.Key) -> None:
        """Leave Enter to its binding instead of breaking the line.

        The binding is no priority one: that would run before letters that arrived in the
        same read have reached the text, and send without them.
        """
        if event.key in self._bindings.key_to_bindings:
            event.prevent_default()

    async def _on_paste(self, event: events.Paste) -> None:
        """Take a bounded paste; control characters never get into the prompt."""
        event.prevent_default()
        event.stop()
        text = clean(_with_newlines(event.text))
        room = max(0, MAX_PROMPT - len(self.text))
        if len(text) > room:
            self.post_message(self.Cut())
        self.insert(text[:room])
        # The text area scrolls before it has grown by what was inserted.
        self.call_after_refresh(self.scroll_cursor_visible, animate=False)
