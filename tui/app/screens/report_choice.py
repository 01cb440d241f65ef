"""What a report is to be: its template and its format, chosen once."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.widget import Widget

from tui.app.screens.base import BaseScreen
from tui.app.style.appearance import Appearance
from tui.app.widgets.lines import Lines
from tui.app.widgets.menu import Menu, MenuHeading, MenuItem, MenuRows


@dataclass(frozen=True, slots=True)
class ReportKind:
    """A template and the formats that a report is written in."""

    template: str
    formats: tuple[str, ...]


KINDS = (
    ReportKind("course", ("md", "html")),
    ReportKind("course", ("docx",)),
    ReportKind("course", ("pdf",)),
    ReportKind("course", ("tex",)),
    ReportKind("brief", ("html",)),
    ReportKind("brief", ("docx",)),
    ReportKind("brief", ("pdf",)),
    ReportKind("data", ("html",)),
    ReportKind("data", ("docx",)),
)
"""As many as there are digits to choose them with."""
_NAMES = {"md": "Markdown", "html": "HTML", "docx": "Word", "pdf": "PDF", "tex": "LaTeX"}


class ReportChoice(BaseScreen):
    """A list of templates with their formats; the result is a `ReportKind`, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "key.leave", id="export.leave"),
    ]

    def __init__(self, appearance: Appearance, last: ReportKind) -> None:
        """``last`` is what was chosen before: the cursor stands on it."""
        super().__init__(appearance)
        self._last = last
        self.menu = Menu(appearance)

    def parts(self) -> Iterable[Widget]:
        """The title and the list."""
        title = Lines(self.appearance, id="report-title")
        title.show([[(" ", ""), (self.appearance.say("export.which"), "bold")]])
        yield title
        yield self.menu

    def on_mount(self) -> None:
        """Fill the list."""
        say, rows = self.appearance.say, MenuRows()
        for number, kind in enumerate(KINDS):
            if number == 0 or kind.template != KINDS[number - 1].template:
                rows += [None, MenuHeading(say(f"export.template_{kind.template}"))]
            title = " + ".join(_NAMES[one] for one in kind.formats)
            endings = ", ".join(f".{one}" for one in kind.formats)
            rows.append(MenuItem(title, endings, kind))
        self.menu.cursor = KINDS.index(self._last)
        self.menu.show(rows)
        self.menu.focus()

    @on(Menu.Chosen)
    def _choose(self, message: Menu.Chosen) -> None:
        self.dismiss(message.value)

    def action_leave(self) -> None:
        """No report."""
        self.dismiss(None)
