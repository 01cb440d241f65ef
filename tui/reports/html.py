"""A report as one HTML file: no network, no script, opens anywhere."""

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from tui.reports.document import Block, Document
from tui.reports.paper_tables import narrow
from tui.reports.rich_text import MAX_FORMATTED, make_parser


def render(document: Document) -> str:
    """The whole report; all foreign text is escaped."""
    template = Path(__file__).with_name("report.html").read_text("utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["formatted"] = formatted
    # Charts and pictures are the only markup from outside; `svg.make_inert` has cleaned them.
    environment.filters["picture"] = Markup
    environment.filters["kind"] = _kind
    environment.filters["narrow"] = narrow
    return environment.from_string(template).render(d=document, h=document.words)


def _kind(block: Block) -> str:
    return type(block).__name__


def formatted(text: str) -> Markup:
    """An answer as HTML from the Markdown that models write: code, tables, lists.

    Whatever the answer says, no HTML, links, images or headings come from it.
    """
    if len(text) > MAX_FORMATTED:
        return Markup("<pre>{}</pre>").format(text)
    return Markup(_markdown().render(text))


@cache
def _markdown() -> MarkdownIt:
    made = make_parser()
    made.add_render_rule("heading_open", _heading_open)
    made.add_render_rule("heading_close", _heading_close)
    made.add_render_rule("fence", _fence)
    return made


def _heading_open(*_: Any) -> str:
    """Headings inside an answer become bold paragraphs, so that they do not enter the report's
    outline."""
    return '<p class="h">'


def _heading_close(*_: Any) -> str:
    return "</p>\n"


def _fence(_: Any, tokens: list[Token], index: int, *__: Any) -> str:
    return str(Markup("<pre><code>{}</code></pre>\n").format(tokens[index].content))
