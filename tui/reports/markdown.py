"""A report as Markdown (GitHub's flavour): tables aligned, answers as quotations, pictures linked.

An answer's paragraphs, lists, code and tables are written anew, all else in it escaped. In a fence,
which does not wrap, a Chinese paragraph would be one line without an end.
A place for a person's own words stands between two comments (`tui.reports.own_words`).
"""

import re
from collections.abc import Iterable, Sequence

from rich.cells import cell_len

from tui.reports import own_words
from tui.reports.document import (
    AnswerCard,
    Block,
    Cell,
    Document,
    Figure,
    Heading,
    Items,
    Paragraph,
    Place,
    QuestionTurn,
    Table,
    TitlePage,
)
from tui.reports.paper_tables import narrow
from tui.reports.rich_text import Span, TextBlock, parse

_SPECIAL = re.compile(
    r"([\\`*\[\]<|~&$])|(_)(?![^\W_])|(?<![^\W_])(_)|^([-+=>#])|^(\d+)(?=[.)](?:\s|$))"
    r"|(?<=\w)(:)(?=//|\w*@)|(?<=www)(\.)|(?<=\S)(@)(?=\S*\.)|(?<=mailto)(:)|(?<=xmpp)(:)",
    re.IGNORECASE,
)
"""Characters that can start markup or turn a bare address into a link."""


def render(document: Document, pictures: str = "", ending: str = "svg") -> str:
    """The whole report. ``pictures`` is the address of the folder, from where the report lies, that
    holds its pictures as files with this ``ending``; without it there are none in the text."""
    kept = document.blocks if pictures else _without_pictures(document.blocks)
    blocks: list[str] = []
    for block in kept:
        blocks += _block(block, document.words, pictures, ending)
    return "\n\n".join(block for block in blocks if block) + "\n"


def _without_pictures(blocks: Sequence[Block]) -> list[Block]:
    """Without pictures, and without headings that stood over pictures only."""
    kept: list[Block] = []
    stood_over_pictures = False
    for block in reversed(blocks):
        if isinstance(block, Figure):
            stood_over_pictures = True
        elif not (stood_over_pictures and _is_over_nothing(block, kept)):
            stood_over_pictures = False
            kept.append(block)
    return kept[::-1]


def _is_over_nothing(block: Block, below: Sequence[Block]) -> bool:
    """Of a heading; ``below`` are the blocks under it, the next one last."""
    if not isinstance(block, Heading):
        return False
    return not below or (isinstance(below[-1], Heading) and below[-1].level <= block.level)


def _block(block: Block, words: dict[str, str], pictures: str, ending: str) -> list[str]:
    match block:
        case TitlePage():
            return _title_page(block, words["colon"])
        case Heading(level=level, text=text):
            return [f"{'#' * level} {escape(text)}"]
        case Paragraph(text=text):
            return [escape(text)]
        case Items(lines=lines):
            # With another sign than the lines of an answer: it is a list of its own.
            return [_list(lines, "*")]
        case Table():
            return _table(block)
        case Figure():
            return _figure(block, pictures, ending)
        case QuestionTurn(prompt=prompt, cards=cards):
            return [quote(prompt), *(part for card in cards for part in _card(card, words))]
        case Place():
            return [_place(block)]
    return []  # pages are none of Markdown's business, and contents are listed by who shows it


def _title_page(page: TitlePage, colon: str) -> list[str]:
    to_fill_in = "\\_" * 12
    facts = [f"- {escape(name)}{colon}{escape(value) or to_fill_in}" for name, value in page.facts]
    found = [f"# {escape(page.title)}", escape(page.subtitle)]
    if facts:
        lines = "\n".join(facts)
        begin, end = own_words.marks_of_title(lines)
        found.append(f"<!-- {begin} -->\n\n{lines}\n\n<!-- {end} -->")
    return found


def _figure(figure: Figure, pictures: str, ending: str) -> list[str]:
    address = figure.image or (f"{pictures}/{figure.name}.{ending}" if pictures else "")
    if not address:
        return []
    title = escape(figure.title)
    found = [f"### {title}"] if figure.role == "chart" else []
    return [*found, f"![{title}]({address})", escape(figure.caption)]


def _place(place: Place) -> str:
    # What a person wrote is Markdown already.
    text = place.text or f"*{escape(place.hint)}*"
    begin, end = own_words.marks(place, text)
    return f"<!-- {begin} -->\n\n{text}\n\n<!-- {end} -->"


def escape(text: str) -> str:
    """One line of text, escaped so that Markdown shows it as it is."""

    def quoted(match: re.Match[str]) -> str:
        # After a number that could begin a list, escape the sign that follows it.
        return f"{match[5]}\\" if match[5] else f"\\{match[0]}"

    return _SPECIAL.sub(quoted, " ".join(text.split()))


def fenced_block(text: str) -> str:
    """Text of many lines in a fence that is longer than any run of backticks inside."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"


def quote(text: str) -> str:
    """What a model or a person wrote, as a quotation."""
    parts: list[str] = []
    was_item = False
    for block in parse(text):
        is_item = bool(block.marker)
        # Between items of a list there is no empty line.
        parts.append("\n" if is_item and was_item else "\n\n")
        parts.append(_text_block(block))
        was_item = is_item
    return "\n".join(f"> {line}".rstrip() for line in "".join(parts).strip("\n").split("\n"))


def _text_block(block: TextBlock) -> str:
    """A block within its lists: four columns a level hold the text of any marker."""
    indent = " " * 4 * block.depth
    match block.kind:
        case "code":
            made = fenced_block("".join(span.text for span in block.spans))
        case "table":
            made = _text_table(block.rows)
        case "rule":
            made = "\\---"
        case _:
            lines = "".join(span.text for span in block.spans).split("\n")
            made = "\\\n".join(found for line in lines if (found := escape(line)))
    if block.is_quote:
        made = "\n".join(f"> {line}" for line in made.split("\n"))
    made = "\n".join(f"{indent}{line}" if line else "" for line in made.split("\n"))
    if not block.marker:
        return made
    marker = block.marker.replace("•", "-")
    # A fence or a table begins on a line of its own, below the marker.
    first = f"{indent[4:]}{marker} "
    return f"{first}\n\n{made}" if block.kind in ("code", "table") else first + made.lstrip(" ")


def _text_table(rows: Sequence[Sequence[Sequence[Span]]]) -> str:
    texts = [["".join(span.text for span in cell) for cell in row] for row in rows]
    width = max(map(len, texts), default=0)
    if not width:
        return ""
    filled = [tuple(row) + ("",) * (width - len(row)) for row in texts]
    cells = tuple(tuple(map(Cell, row)) for row in filled[1:])
    return format_table(Table("", filled[0], cells, left=width))


def format_table(table: Table) -> str:
    """A table whose columns line up in a terminal, wide characters counted as two cells."""
    rows = [[escape(name) for name in table.head]]
    rows += [[_cell(cell) for cell in row] for row in table.rows]
    widths = [max(3, *(cell_len(row[i]) for row in rows)) for i in range(len(table.head))]
    is_left = [i < table.left for i in range(len(widths))]
    rule = (
        "-" * width if left else "-" * (width - 1) + ":"
        for width, left in zip(widths, is_left, strict=True)
    )
    lines = [_line(rows[0], widths, is_left), f"| {' | '.join(rule)} |"]
    return "\n".join([*lines, *(_line(row, widths, is_left) for row in rows[1:])])


def _cell(cell: Cell) -> str:
    text = f"**{escape(cell.text)}**" if cell.best else escape(cell.text)
    return f"{text} ({escape(cell.detail)})" if cell.detail else text


def _line(cells: Sequence[str], widths: Sequence[int], is_left: Sequence[bool]) -> str:
    padded = []
    for text, width, left in zip(cells, widths, is_left, strict=True):
        space = " " * (width - cell_len(text))
        padded.append(text + space if left else space + text)
    return f"| {' | '.join(padded)} |"


def _table(table: Table) -> list[str]:
    blocks = [f"### {escape(table.title)}"]
    if table.rows:
        blocks.append(format_table(narrow(table)))
    return blocks + [escape(note) for note in table.notes]


def _list(lines: Iterable[str], sign: str = "-") -> str:
    return "\n".join(f"{sign} {escape(line)}" for line in lines)


def _card(card: AnswerCard, headings: dict[str, str]) -> list[str]:
    blocks = [f"#### {escape(card.label)}"]
    if card.remarks:
        blocks.append("; ".join(f"**{escape(remark)}**" for remark in card.remarks))
    if card.reasoning:
        blocks += [f"{headings['reasoning']}{headings['colon']}", quote(card.reasoning)]
    if card.text:
        blocks.append(quote(card.text))
    if card.lines:
        blocks.append(_list(card.lines))
    return blocks
