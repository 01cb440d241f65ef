"""A report as LaTeX for xelatex and ctex: `xelatex NAME.tex`, twice for the contents.

Whatever a text holds, no command comes of it: every sign that TeX acts on is escaped, lists are set
without environments, which TeX nests four deep at most, and long words may break.
"""

import re
from collections.abc import Iterable, Sequence

from tui.reports import own_words
from tui.reports.document import (
    AnswerCard,
    Block,
    Cell,
    Document,
    Figure,
    Heading,
    Items,
    PageBreak,
    Paragraph,
    Place,
    QuestionTurn,
    Table,
    TitlePage,
)
from tui.reports.paper_tables import column_shares, narrow
from tui.reports.rich_text import Span, TextBlock, parse

_PREAMBLE = r"""% xelatex, twice
\documentclass[UTF8,a4paper,OPTIONS]{ctexart}
\usepackage[margin=2.2cm]{geometry}
\usepackage{amssymb,array,graphicx,longtable,xcolor}
\xeCJKDeclareCharClass{CJK}{"2190 -> "22FF, "2460 -> "24FF, "25A0 -> "26FF}
% A title stays with the first lines of its table.
\newcommand{\together}{\par\vskip0pt plus6\baselineskip\penalty-100\vskip0pt plus-6\baselineskip}
\setcounter{secnumdepth}{0}
\setcounter{tocdepth}{2}
\setlength{\parindent}{0pt}
\setlength{\parskip}{4pt plus 1pt}
\sloppy
\begin{document}
"""
_SIGNS = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "`": r"\textasciigrave{}",
    '"': r"\textquotedbl{}",
    # Two of these in a row, or a mark behind one of them, would become another sign.
    "'": r"\textquotesingle{}",
    "-": "-{}",
    "<": "<{}",
    ">": ">{}",
    "?": "?{}",
    "!": "!{}",
    ",": ",{}",
    "✓": r"$\checkmark$",
    "✗": r"$\times$",
    "→": r"$\rightarrow$",
}
_SIGN = re.compile("|".join(map(re.escape, _SIGNS)))
_LONG_WORD = re.compile("[!-\u2e7f]{24}")
_LINE = "\\newline{}\n"
_BLANK = "\\underline{\\hspace{5cm}}"
_SECTIONS = {2: "section", 3: "subsection", 4: "subsubsection"}


def render(document: Document, pictures: str) -> str:
    """The whole report; ``pictures`` is the folder of its pictures, PNG files, from where the
    report lies."""
    options = "zihao=-4" if document.lang == "zh" else "11pt,scheme=plain"
    parts = [_PREAMBLE.replace("OPTIONS", options)]
    for block in document.blocks:
        if isinstance(block, TitlePage):
            parts.append(_title_page(block, document.has_cover))
        else:
            parts += _block(block, document.words, pictures)
    return "\n\n".join([*parts, "\\end{document}\n"])


def escape(text: str, is_code: bool = False) -> str:
    """Text as TeX shows it; line breaks stay, and in code every blank."""
    lines = []
    for line in text.split("\n"):
        words = _LONG_WORD.sub(lambda match: f"{match[0]}\0", line.expandtabs(4))
        made = _SIGN.sub(lambda match: _SIGNS[match[0]], words).replace("\0", "\\allowbreak{}")
        if is_code:
            # TeX drops blanks at the beginning of a line, but not behind a box.
            made = "\\mbox{}" + re.sub("^ +|  +", lambda match: "~" * len(match[0]), made)
        lines.append(made)
    # An empty line would end what the text stands in.
    return _LINE.join(line or "\\mbox{}" for line in lines)


def _block(block: Block, words: dict[str, str], pictures: str) -> Iterable[str]:
    match block:
        case Heading(level=level, text=text):
            yield f"\\{_SECTIONS[level]}{{{escape(text)}}}"
        case Paragraph(text=text, is_small=small):
            yield _small(escape(text)) if small else escape(text)
        case Items(lines=lines, is_small=small):
            for line in lines:
                yield _indented(escape(line), 1, "\\textbullet", "\\small" if small else "")
        case Table():
            yield from _table(block)
        case Figure():
            yield _figure(block, pictures)
        case QuestionTurn(prompt=prompt, cards=cards):
            # No box: a question may be longer than a page.
            yield "\\rule{\\linewidth}{0.4pt}\\nopagebreak"
            yield _indented(escape(prompt), 1, "", "\\bfseries")
            for card in cards:
                yield from _card(card, words)
        case Place():
            yield _place(block)
        case PageBreak():
            yield "\\clearpage"
        case _:
            yield "\\clearpage\n\\tableofcontents"


def _title_page(page: TitlePage, is_cover: bool) -> str:
    rows = (
        f"{{}}{escape(name)} & {escape(value) if value else _BLANK} \\\\[6pt]"
        for name, value in page.facts
    )
    facts = "\n".join(rows)
    begin, end = own_words.marks_of_title(facts)
    marked = f"% {begin}\n{facts}\n% {end}"
    table = (
        f"\\begin{{tabular}}{{r@{{\\quad}}p{{8cm}}}}\n{marked}\n\\end{{tabular}}" if facts else ""
    )
    kind, above, below = ("titlepage", 5, 3) if is_cover else ("center", 0, 1)
    return (
        f"\\begin{{{kind}}}\n\\centering\n\\vspace*{{{above}cm}}\n"
        f"{{\\LARGE\\bfseries {escape(page.title)}\\par}}\n\\vspace{{1cm}}\n"
        f"{{{escape(page.subtitle)}\\par}}\n\\vspace{{{below}cm}}\n{table}\n\\end{{{kind}}}"
    )


def _table(table: Table) -> Iterable[str]:
    yield f"\\together\\textbf{{{escape(table.title)}}}\\nopagebreak"
    if table.rows:
        yield _grid(narrow(table))
    for note in table.notes:
        yield _small(escape(note))


def _grid(table: Table) -> str:
    n = len(table.head)
    sides = ("raggedright" if i < table.left else "raggedleft" for i in range(n))
    columns = "".join(
        f">{{\\{side}\\arraybackslash}}"
        f"p{{{share:.4f}\\dimexpr\\linewidth-{2 * n}\\tabcolsep\\relax}}"
        for side, share in zip(sides, column_shares(table), strict=True)
    )
    head = _row(f"\\textbf{{{escape(name)}}}" for name in table.head)
    rows = "\n".join(_row(map(_cell, row)) for row in table.rows)
    return (
        f"{{\\{'small' if n < 6 else 'scriptsize'}\n\\begin{{longtable}}{{{columns}}}\n"
        f"\\hline\n{head}\n\\hline\n\\endhead\n{rows}\n\\hline\n\\end{{longtable}}}}"
    )


def _row(cells: Iterable[str]) -> str:
    # A bracket or a star behind the end of the row before would be taken for its argument.
    return "{}" + " & ".join(cells) + " \\\\"


def _cell(cell: Cell) -> str:
    text = f"\\textbf{{{escape(cell.text)}}}" if cell.best else escape(cell.text)
    return f"{text}\\par {{\\color{{darkgray}}{escape(cell.detail)}}}" if cell.detail else text


def _figure(figure: Figure, pictures: str) -> str:
    name = f"{pictures}/{figure.name}.png"
    text = ". ".join(part for part in (figure.title, figure.caption) if part)
    return (
        f"\\begin{{center}}\n\\includegraphics[width=\\linewidth]{{{name}}}\n\n"
        f"{_small(escape(text))}\n\\end{{center}}"
    )


def _card(card: AnswerCard, words: dict[str, str]) -> Iterable[str]:
    yield f"\\textbf{{{escape(card.label)}}}\\nopagebreak"
    for remark in card.remarks:
        yield _small(f"\\textbf{{{escape(remark)}}}")
    if card.reasoning:
        yield _small(f"\\textbf{{{escape(words['reasoning'])}}}")
        yield _small(escape(card.reasoning))
    for block in parse(card.text):
        yield _text_block(block)
    for line in card.lines:
        yield _small(escape(line))


def _text_block(block: TextBlock) -> str:
    depth = block.depth + block.is_quote
    match block.kind:
        case "table":
            return _text_table(block.rows)
        case "code":
            text = escape("".join(span.text for span in block.spans), is_code=True)
            return _indented(text, depth, escape(block.marker), "\\ttfamily\\small")
        case "rule":
            return "\\hrulefill"
        case kind:
            text = "".join(map(_span, block.spans))
            style = "\\bfseries" if kind == "heading" else ""
            return _indented(text or "\\mbox{}", depth, escape(block.marker), style)


def _text_table(rows: Sequence[Sequence[Sequence[Span]]]) -> str:
    n = max((len(row) for row in rows), default=1)
    width = f"p{{\\dimexpr(\\linewidth-{2 * n}\\tabcolsep)/{n}\\relax}}"
    made = [_row("".join(map(_span, cell)) for cell in row) for row in rows]
    lines = "\n\\hline\n".join(made)
    return (
        f"{{\\small\\begin{{longtable}}{{{width * n}}}\n\\hline\n{lines}\n\\hline\n"
        "\\end{longtable}}"
    )


def _span(span: Span) -> str:
    text = escape(span.text, span.is_code) if span.text != "\n" else _LINE
    if span.is_code:
        text = f"\\texttt{{{text}}}"
    if span.is_bold:
        text = f"\\textbf{{{text}}}"
    return f"\\textit{{{text}}}" if span.is_italic else text


def _indented(text: str, depth: int, marker: str, style: str) -> str:
    sign = f"\\makebox[0pt][r]{{{marker}\\hspace{{0.4em}}}}" if marker else ""
    return f"{{{style}\\leftskip={1.6 * depth:.1f}em {sign}{text}\\par}}"


def _small(text: str) -> str:
    return f"{{\\small\\color{{darkgray}} {text}\\par}}"


def _place(place: Place) -> str:
    """Between comments; what a person wrote there in LaTeX stands as it is."""
    shown = place.latex or "\n\n".join(
        escape(part) for part in (place.text or f"（{place.hint}）").split("\n\n")
    )
    begin, end = own_words.marks(place, shown)
    return f"% {begin}\n{shown}\n% {end}"
