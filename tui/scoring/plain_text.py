"""Markdown taken off a text, and counted: judges favour what is formatted."""

from collections.abc import Iterator

from markdown_it import MarkdownIt
from markdown_it.token import Token

_MARKS = (
    *("heading_open", "list_item_open", "strong_open", "em_open", "code_inline", "fence"),
    *("code_block", "blockquote_open", "tr_open", "link_open", "hr"),
)
_BLOCK_ENDS = ("paragraph_close", "heading_close", "tr_close", "fence", "code_block")


def count_markdown(text: str) -> int:
    """How many pieces of Markdown a text has: headings, list items, rows of tables, code, bold."""
    return sum(token.type in _MARKS for token in _tokens(text))


def strip_markdown(text: str) -> str:
    """The words of a text without its Markdown; paragraphs, list items and rows of tables become
    lines, cells are set apart by a space."""
    pieces: list[str] = []
    for token in _tokens(text):
        if token.type in ("text", "code_inline", "fence", "code_block", "html_inline"):
            pieces.append(token.content.rstrip("\n"))
        elif token.type in ("softbreak", "hardbreak"):
            pieces.append("\n")
        elif token.type in ("th_close", "td_close"):
            pieces.append(" ")
        if token.type in _BLOCK_ENDS:
            pieces.append("\n")
    return "".join(pieces).strip()


def _tokens(text: str) -> Iterator[Token]:
    for token in MarkdownIt("commonmark", {"html": False}).enable("table").parse(text):
        yield token
        yield from token.children or ()
