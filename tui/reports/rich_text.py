"""The Markdown that models and people write, taken apart: paragraphs, lists, code, tables.

Whatever a text says, no HTML, link or picture comes from it: what would be one stays text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from markdown_it import MarkdownIt
from markdown_it.token import Token

MAX_FORMATTED = 50_000
"""Code points of a text that is shown formatted; a longer one is shown as it is."""


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a line; a newline in it is a line break."""

    text: str
    is_bold: bool = False
    is_italic: bool = False
    is_code: bool = False


@dataclass(frozen=True, slots=True)
class TextBlock:
    """``kind`` is ``paragraph``, ``heading``, ``code``, ``rule`` or ``table`` (of ``rows``, the
    first one its head). Within ``depth`` lists, with its ``marker`` where an item begins."""

    kind: str
    spans: tuple[Span, ...] = ()
    depth: int = 0
    marker: str = ""
    is_quote: bool = False
    rows: tuple[tuple[tuple[Span, ...], ...], ...] = ()


def make_parser() -> MarkdownIt:
    """A parser of CommonMark with tables, without whatever could be active."""
    made = MarkdownIt("commonmark", {"html": False, "breaks": True, "xhtmlOut": False})
    made.enable("table").disable(["link", "image", "autolink", "reference", "html_block"])
    return made.disable(["html_inline", "entity"])


def parse(text: str) -> list[TextBlock]:
    """The blocks of a text in order."""
    if len(text) > MAX_FORMATTED:
        return [TextBlock("code", (Span(text),))]
    return _Walk().blocks_of(_parser().parse(text))


@cache
def _parser() -> MarkdownIt:
    return make_parser()


class _Walk:
    """What is open while tokens are read one after the other."""

    def __init__(self) -> None:
        self.blocks: list[TextBlock] = []
        self._lists: list[int | None] = []
        self._marker = ""
        self._quotes = 0
        self._kind = "paragraph"
        self._rows: list[list[tuple[Span, ...]]] | None = None

    def blocks_of(self, tokens: Sequence[Token]) -> list[TextBlock]:
        for token in tokens:
            self._take(token)
        return self.blocks

    def _take(self, token: Token) -> None:
        match token.type:
            case "bullet_list_open":
                self._lists.append(None)
            case "ordered_list_open":
                self._lists.append(int(token.attrs.get("start", 1)))
            case "bullet_list_close" | "ordered_list_close":
                self._lists.pop()
            case "list_item_open":
                self._begin_item()
            case "list_item_close":
                if self._marker:  # an item without text
                    self._add("paragraph", ())
            case "blockquote_open" | "blockquote_close":
                self._quotes += token.nesting
            case "heading_open":
                self._kind = "heading"
            case "heading_close":
                self._kind = "paragraph"
            case "fence" | "code_block":
                self._add("code", (Span(token.content.removesuffix("\n"), is_code=True),))
            case "hr":
                self._add("rule", ())
            case "table_open":
                self._rows = []
            case "table_close":
                self._close_table()
            case "tr_open" if self._rows is not None:
                self._rows.append([])
            case "inline":
                spans = _spans(token.children or ())
                if self._rows is None:
                    self._add(self._kind, spans)
                else:
                    self._rows[-1].append(spans)

    def _begin_item(self) -> None:
        number = self._lists[-1]
        self._marker = "•" if number is None else f"{number}."
        if number is not None:
            self._lists[-1] = number + 1

    def _close_table(self) -> None:
        rows = tuple(tuple(row) for row in self._rows or ())
        self._rows = None
        self._add("table", (), rows)

    def _add(
        self,
        kind: str,
        spans: tuple[Span, ...],
        rows: tuple[tuple[tuple[Span, ...], ...], ...] = (),
    ) -> None:
        depth, marker, self._marker = len(self._lists), self._marker, ""
        self.blocks.append(TextBlock(kind, spans, depth, marker, self._quotes > 0, rows))


def _spans(tokens: Sequence[Token]) -> tuple[Span, ...]:
    found: list[Span] = []
    bold = italic = 0
    for token in tokens:
        match token.type:
            case "strong_open" | "strong_close":
                bold += token.nesting
            case "em_open" | "em_close":
                italic += token.nesting
            case "softbreak" | "hardbreak":
                found.append(Span("\n"))
            case "code_inline":
                found.append(Span(token.content, bold > 0, italic > 0, is_code=True))
            case _ if token.content:
                found.append(Span(token.content, bold > 0, italic > 0))
    return tuple(found)
