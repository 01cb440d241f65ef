"""A finished answer as Markdown: headings, lists, tables and highlighted code, as rows once.

`rich.markdown` lays it out; its styles are colours that stand for the roles of a theme, so
that rows outlive a change of theme. It is imported in a thread
(`tui.app.pane.background_import`): what it imports takes a tenth of a second.
"""

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, JustifyMethod, OverflowMethod, RenderResult
from rich.containers import Lines
from rich.markdown import Heading, Markdown, MarkdownContext, Paragraph, TableDataElement
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from rich.theme import Theme

from tui.app.pane.wrapping import wrap_spans
from tui.app.style.appearance import StyledText

MAX_CHARACTERS = 40_000
_ROLES = ("text", "muted", "accent", "good", "warn", "bad")
_FIRST_ROLE_COLOUR = 200
"""Number of the colour that stands for the first role."""
_STYLES = {
    **dict.fromkeys(("h1", "h2", "h3", "h4", "h5", "h6"), "bold accent"),
    **dict.fromkeys(("em", "emph"), "italic"),
    **dict.fromkeys(("paragraph", "text", "code_block", "list", "item"), ""),
    **dict.fromkeys(("s", "block_quote", "hr", "link_url", "table.border"), "muted"),
    **dict.fromkeys(("item.bullet", "item.number", "link"), "accent"),
    "strong": "bold",
    "code": "warn",
    "table.header": "bold",
}
_ANSI_ROLES = {1: "bad", 2: "good", 3: "warn", 4: "accent", 5: "accent", 6: "accent"}
"""What colours of the terminal's sixteen stand for in highlighted code."""


class _Text(Text):
    """Text that is broken into rows as everywhere in the panes."""

    def wrap(
        self,
        console: Console,
        width: int,
        *,
        justify: JustifyMethod | None = None,
        overflow: OverflowMethod | None = None,
        tab_size: int = 8,
        no_wrap: bool | None = None,
    ) -> Lines:
        """Rows of ``width`` cells."""
        made = Lines()
        for line in self.split(allow_blank=True):
            line.expand_tabs(tab_size)
            spans = wrap_spans(line.plain, max(2, width), is_whole=True)
            rows = line.divide([start for start, _ in spans[1:]])
            for row in rows:
                row.rstrip_end(width)
            if how := justify or self.justify:
                rows.justify(console, width, justify=how, overflow=overflow or "fold")
            made.extend(rows)
        return made


class _Paragraph(Paragraph):
    def on_enter(self, context: MarkdownContext) -> None:
        super().on_enter(context)
        self.text = _Text(justify="left")


class _Heading(Heading):
    """A heading at the left, where its answer is read."""

    def on_enter(self, context: MarkdownContext) -> None:
        super().on_enter(context)
        self.text = _Text(justify="left")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self.text


class _Cell(TableDataElement):
    def __init__(self, justify: JustifyMethod) -> None:
        super().__init__(justify)
        self.content = _Text("", justify=justify)


class _Document(Markdown):
    elements = {  # noqa: RUF012
        **Markdown.elements,
        "heading_open": _Heading,
        "paragraph_open": _Paragraph,
        "td_open": _Cell,
        "th_open": _Cell,
    }

    def __init__(self, text: str, **options: Any) -> None:
        super().__init__(text, **options)
        # Chat models mean a line by a newline: verses, lists without marks, signatures.
        for token in self.parsed:
            for child in token.children or ():
                if child.type == "softbreak":
                    child.type = "hardbreak"


def rows(text: str, width: int) -> list[list[StyledText]] | None:
    """Rows of ``width`` cells of a text without control characters; None where it is too
    long, or too deeply nested, to be laid out."""
    if len(text) > MAX_CHARACTERS:
        return None
    console = Console(
        width=width,
        color_system="256",
        force_terminal=True,
        theme=Theme({f"markdown.{name}": _role_style(names) for name, names in _STYLES.items()}),
        legacy_windows=False,
        _environ={},
    )
    try:
        document = _Document(text, code_theme="ansi_dark", hyperlinks=False)
        lines = console.render_lines(document, pad=False)
    except (RecursionError, ValueError, AssertionError):
        return None
    found = [_pieces(line) for line in lines]
    while found and not any(text.strip() for text, _ in found[-1]):
        found.pop()
    while found and not any(text.strip() for text, _ in found[0]):
        found.pop(0)
    return found


def _role_style(names: str) -> Style:
    """A style in which a role is the number of a colour."""
    words = [
        f"color({_FIRST_ROLE_COLOUR + _ROLES.index(name)})" if name in _ROLES else name
        for name in names.split()
    ]
    return Style.parse(" ".join(words) or "none")


def _pieces(line: Iterable[Segment]) -> list[StyledText]:
    return [(text, _style_names(style)) for text, style, control in line if text and not control]


def _style_names(style: Style | None) -> str:
    """The names that a style of the layout stands for."""
    if style is None:
        return "text"
    number = style.color.number if style.color is not None else None
    role = "text"
    if number is not None and _FIRST_ROLE_COLOUR <= number < _FIRST_ROLE_COLOUR + len(_ROLES):
        role = _ROLES[number - _FIRST_ROLE_COLOUR]
    elif number is not None and number < 16:
        role = "muted" if number == 8 else _ANSI_ROLES.get(number % 8, "text")
    names = [role]
    names += [name for name in ("bold", "italic", "underline") if getattr(style, name)]
    return " ".join(names)
