"""From the parts of a report to its blocks in order: what a template says.

A template is Jinja whose text is written line by line (`docs/report-templates.md`): headings
(``##``), lists (``-``), ``[[place ID]] hint``, ``[[page]]``, and paragraphs. A value of the context
is text, whatever it holds, and never such a line; a value that is a part of the report (tables,
answers, charts) stands for its blocks. So one template serves every format, and nothing that a
model said can change what it does.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tui.host import foreign_files, template_child
from tui.host.errors import UserError
from tui.host.sandboxed_template import SandboxedTemplate, TemplateFailedError
from tui.host.template_child import BLOCK, END_OF_BLOCK, END_OF_VALUE, VALUE
from tui.reports.document import (
    DEEPEST_LEVEL,
    Block,
    Contents,
    Document,
    Heading,
    Items,
    PageBreak,
    Paragraph,
    Place,
    TitlePage,
)
from tui.reports.own_words import OF_LATEX, without_hint
from tui.text.sanitise import one_line
from tui.text.unused_name import unused_name

SHIPPED = ("course", "brief", "data")
"""The templates that come with the program, the first one by default."""
_FOLDER = Path(__file__).with_name("templates")
_MAX_BYTES = 1 << 18
_MOST_OWN_BLOCKS = 10_000
"""Headings, lists, places and paragraphs that a template adds to the parts of a report."""
_MOST_TIMES = 4
"""How often a template may give all of these parts."""
_MARKS = str.maketrans("", "", BLOCK + END_OF_BLOCK + VALUE + END_OF_VALUE)
_VALUE = re.compile(f"{VALUE}([^{VALUE}{END_OF_VALUE}]*){END_OF_VALUE}")
_BLOCKS = re.compile(rf"(?:\s*{BLOCK}\d{{1,9}}{END_OF_BLOCK})+\s*")
_NUMBER = re.compile(rf"{BLOCK}(\d{{1,9}}){END_OF_BLOCK}")
_HEADING = re.compile(rf"(#{{2,{DEEPEST_LEVEL}}})\s+(.+)")
_PLACE = re.compile(r"\[\[place ([A-Za-z0-9][A-Za-z0-9.-]{0,29})\]\]\s*(.*)")


@dataclass(frozen=True, slots=True)
class Template:
    """A template's text, and what it is called where something is wrong with it. ``is_shipped``:
    it came with the program."""

    name: str
    source: str
    is_shipped: bool


def find_template(wanted: str) -> Template:
    """A shipped template by its name, else the file of this path.

    Raises:
        UserError: there is neither.
    """
    is_shipped = wanted in SHIPPED
    path = _FOLDER / f"{wanted}.jinja" if is_shipped else Path(wanted)
    step = f"name {', '.join(SHIPPED)}, or a file of yours"
    return Template(wanted, foreign_files.read_text(path, _MAX_BYTES, step), is_shipped)


def lay_out(document: Document, template: Template, own_words: Mapping[str, str]) -> Document:
    """The report with its blocks; ``own_words`` are what a person wrote, by the id of its place.

    Raises:
        UserError: the template cannot be rendered.
    """
    maker = _Maker()
    text = _render(template, maker.context(document))
    blocks = tuple(_with_words(maker.read(text, template.name), own_words))
    laid = replace(document, blocks=blocks)
    return laid if laid.has_cover else replace(laid, blocks=tuple(map(_without_blanks, blocks)))


def _without_blanks(block: Block) -> Block:
    """A title that is no page of its own has no room for lines to fill in by hand."""
    if not isinstance(block, TitlePage):
        return block
    return replace(block, facts=tuple(fact for fact in block.facts if fact[1]))


def _render(template: Template, context: Mapping[str, Any]) -> str:
    if template.is_shipped:
        request = {"template": template.source, "variables": context, "is_marked": True}
        return template_child.render(request)
    made = SandboxedTemplate(template.source, is_marked=True)
    try:
        return made.render(context)
    except TemplateFailedError as error:
        step = "mend the template; `duibi help report-templates` lists what it can use"
        raise UserError(f"{template.name}: {error}", step) from None
    finally:
        made.close()


@dataclass
class _Maker:
    """Gives the parts of a report to a template as numbers, and reads its text back to blocks."""

    parts: list[tuple[Block, ...]] = field(default_factory=list)
    headings: int = 0

    def refer(self, *blocks: Block | None) -> str:
        """What stands for blocks in the context; empty, so false, where there are none."""
        kept = tuple(block for block in blocks if block is not None)
        if not kept:
            return ""
        self.parts.append(kept)
        return f"{BLOCK}{len(self.parts) - 1}{END_OF_BLOCK}"

    def context(self, d: Document) -> dict[str, Any]:
        """All that a template can use."""
        return {
            "lang": d.lang,
            "words": _plain(d.words),
            "title": _plain(d.title),
            "subtitle": _plain(d.subtitle),
            "title_page": self.refer(d.title_page),
            "contents": self.refer(Contents(d.words["contents"])),
            "abstract": self.refer(*map(Paragraph, d.abstract)),
            "run": self.refer(*d.run),
            "overview": self.refer(*d.overview),
            "comparison": self.refer(*d.comparison),
            "charts": self.refer(*d.charts),
            "questions": [
                {
                    "number": section.number,
                    "title": _plain(section.title),
                    "answers": self.refer(*section.turns),
                    "verdicts": self.refer(_items(section.verdicts, is_small=True)),
                    "difference": _plain(section.difference),
                    "picture": self.refer(section.picture),
                    "place": self.refer(Place(section.place, d.words["p_analysis"])),
                }
                for section in d.sections
            ],
            "models": [
                {
                    "label": _plain(model.label),
                    "strengths": self.refer(*_listed(d.words["st_good"], model.strengths)),
                    "weaknesses": self.refer(*_listed(d.words["st_bad"], model.weaknesses)),
                    "traits": self.refer(*_listed(d.words["st_traits"], model.traits)),
                    "place": self.refer(Place(model.place, d.words["p_strengths"])),
                }
                for model in d.models
            ],
            "key_table": self.refer(*d.comparison[:1]),
            "troubles": self.refer(_items(d.troubles)),
            "conclusion": self.refer(_items(d.conclusion)),
            "uses": self.refer(_items(d.uses)),
            "links": self.refer(_items(d.links)),
            "footnotes": self.refer(_items(d.footnotes, is_small=True)),
        }

    def read(self, text: str, name: str) -> list[Block]:
        """The blocks of a rendered template.

        Raises:
            UserError: a part of the report stands within a line, is none, or is repeated too often.
        """
        found: list[Block] = []
        lines: list[str] = []
        items: list[str] = []
        most = _MOST_OWN_BLOCKS + _MOST_TIMES * sum(map(len, self.parts))

        def close() -> None:
            if lines:
                found.append(Paragraph(" ".join(lines)))
                lines.clear()

        def close_list() -> None:
            if items:
                found.append(Items(tuple(items)))
                items.clear()

        for line in text.split("\n"):
            if len(found) + len(items) > most:
                raise UserError(f"{name}: repeats itself without end", "repeat less in it")
            stripped = one_line(line).strip()
            if stripped and not stripped.startswith("- "):
                close_list()
            if BLOCK not in stripped:
                if stripped.startswith("- "):
                    close()
                    items.append(_read_value(stripped[2:]))
                elif block := self._block(stripped):
                    close()
                    found.append(block)
                elif stripped:
                    lines.append(_read_value(stripped))
                else:
                    close()
            elif _BLOCKS.fullmatch(stripped):
                close()
                found += self._parts_of(stripped, name)
            else:
                raise UserError(
                    f"{name}: a part of the report stands within a line",
                    "tables, answers and charts go on lines of their own",
                )
        close()
        close_list()
        return found

    def _parts_of(self, line: str, name: str) -> list[Block]:
        found: list[Block] = []
        for number in map(int, _NUMBER.findall(line)):
            if number >= len(self.parts):  # the template made the mark itself
                raise UserError(f"{name}: no part of the report is called {number}", "leave it out")
            found += self.parts[number]
        return found

    def _block(self, line: str) -> Block | None:
        if match := _HEADING.fullmatch(line):
            self.headings += 1
            return Heading(len(match[1]), _read_value(match[2]), f"s{self.headings}")
        if match := _PLACE.fullmatch(line):
            return Place(match[1], _read_value(match[2]))
        if line == "[[page]]":
            return PageBreak()
        return None


def _items(lines: Sequence[str], is_small: bool = False) -> Items | None:
    return Items(tuple(lines), is_small) if lines else None


def _listed(title: str, lines: Sequence[str]) -> tuple[Block, ...]:
    return (Paragraph(title), Items(tuple(lines))) if lines else ()


def _plain(value: Any) -> Any:
    """A value without the characters that mark values."""
    if isinstance(value, str):
        return value.translate(_MARKS)
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return value


def _read_value(text: str) -> str:
    return " ".join(_VALUE.sub(r"\1", text).translate(_MARKS).split())


def _with_words(blocks: Iterable[Block], words: Mapping[str, str]) -> Iterator[Block]:
    """The blocks with what a person wrote; a place that stands there twice gets another id."""
    used: set[str] = set()
    for block in blocks:
        if isinstance(block, Place):
            id_ = unused_name(block.id, used, "{}.{}")
            used.add(id_)
            text = without_hint(words.get(id_, ""), block.hint)
            yield replace(block, id=id_, text=text, latex=words.get(f"{id_}{OF_LATEX}", ""))
        else:
            yield block
