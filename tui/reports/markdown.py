"""A report as Markdown (GitHub's flavour): tables aligned, answers inside fences."""

import re
from collections.abc import Iterable, Sequence

from rich.cells import cell_len

from tui.reports.document import AnswerCard, Cell, Document, QuestionSection, Table

_SPECIAL = re.compile(
    r"([\\`*\[\]<|~&$])|(_)(?![^\W_])|(?<![^\W_])(_)|^([-+=>#])|^(\d+)(?=[.)](?:\s|$))"
    r"|(?<=\w)(:)(?=//|\w*@)|(?<=www)(\.)|(?<=\S)(@)(?=\S*\.)|(?<=mailto)(:)|(?<=xmpp)(:)",
    re.IGNORECASE,
)
"""Characters that can start markup or turn a bare address into a link."""


def render(document: Document) -> str:
    """The whole report; the charts are inline SVG."""
    h = document.headings
    blocks: list[str] = [f"# {escape(document.title)}", escape(document.subtitle)]
    blocks.append(f"## {h['run']}")
    blocks += _tables(document.run)
    blocks.append(f"## {h['comparison']}")
    blocks += _tables(document.comparison)
    if document.charts:
        blocks.append(f"## {h['charts']}")
        for chart in document.charts:
            blocks.append(f"### {escape(chart.title)}")
            blocks.append(f"<figure>\n{chart.svg}\n</figure>")
            if chart.caption:
                blocks.append(escape(chart.caption))
    blocks.append(f"## {h['answers']}")
    for section in document.sections:
        blocks += _section(section, h)
    blocks.append(f"## {h['troubles']}")
    blocks.append(_list(document.troubles or (h["none"],)))
    blocks.append(f"## {h['conclusion']}")
    blocks.append(_list(document.conclusion))
    blocks.append(f"## {h['footnotes']}")
    blocks.append(_list(document.footnotes))
    return "\n\n".join(block for block in blocks if block) + "\n"


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


def _tables(tables: Iterable[Table]) -> list[str]:
    blocks = []
    for table in tables:
        blocks.append(f"### {escape(table.title)}")
        if table.rows:
            blocks.append(format_table(table))
        blocks += [escape(note) for note in table.notes]
    return blocks


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {escape(line)}" for line in lines)


def _section(section: QuestionSection, headings: dict[str, str]) -> list[str]:
    blocks = [f"### {escape(section.title)}"]
    for turn in section.turns:
        blocks.append(fenced_block(turn.prompt))
        for card in turn.cards:
            blocks += _card(card, headings)
    if section.verdicts:
        blocks.append(_list(section.verdicts))
    if section.picture:
        blocks.append(f"<figure>\n{section.picture}\n</figure>")
    if section.image:
        blocks.append(f"![{headings['picture']}]({section.image})")
    return blocks


def _card(card: AnswerCard, headings: dict[str, str]) -> list[str]:
    blocks = [f"#### {escape(card.label)}"]
    if card.remarks:
        blocks.append("; ".join(f"**{escape(remark)}**" for remark in card.remarks))
    if card.reasoning:
        blocks += [f"{headings['reasoning']}:", fenced_block(card.reasoning)]
    if card.text:
        blocks.append(fenced_block(card.text))
    if card.lines:
        blocks.append(_list(card.lines))
    return blocks
