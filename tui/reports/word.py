"""A report as a Word document (.docx, ISO/IEC 29500): headings, tables, pictures, contents.

python-docx brings the package, its styles and the pictures; the text is written as
WordprocessingML, which for a thousand answers takes a tenth of the time. A place for a person's own
words is a content control whose tag is the mark of `tui.reports.own_words`.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from io import BytesIO
from typing import Any
from xml.sax.saxutils import escape, quoteattr
from zipfile import ZIP_DEFLATED, ZipFile

from tui.host import extras
from tui.host.secrets import redact_secrets
from tui.reports import own_words, title_facts
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

DrawPng = Callable[[Figure], bytes]
"""A figure as PNG."""

_W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""What XML 1.0 does not take."""
_TEXT_WIDTH = 9600
"""Of an A4 page between its margins, in twentieths of a point."""
_MARGIN = 1150
_PICTURE_CM = 16.5
_SIDE_BY_SIDE = 3
"""So many answers stand beside each other; more stand below each other."""
_FONTS = 'w:ascii="{0}" w:hAnsi="{0}" w:cs="{0}" w:eastAsia="{1}"'
_MONO = f"<w:rFonts {_FONTS.format('Consolas', 'SimSun')}/>"
_SMALL = '<w:color w:val="5B6470"/><w:sz w:val="18"/>'
_ANSWER = '<w:sz w:val="19"/>'


def render(document: Document, png_of: DrawPng, author: str = "") -> bytes:
    """The file's bytes.

    Raises:
        UserError: the extra is not installed.
    """
    extras.require(extras.DOCX)
    import docx

    made = docx.Document()
    _set_up(made, document, author)
    writer = _Writer(made, document, png_of)
    for block in document.blocks:
        writer.add(block)
    out = BytesIO()
    made.save(out)
    return _with_body(out, redact_secrets("".join(writer.xml)))


def _with_body(package: BytesIO, xml: str) -> bytes:
    """The package with blocks before the properties of its section, the only thing in its body.
    To have them parsed and written once more would take longer than to make them."""
    out = BytesIO()
    with ZipFile(package) as empty, ZipFile(out, "w", ZIP_DEFLATED) as whole:
        for entry in empty.infolist():
            data = empty.read(entry)
            if entry.filename == own_words.BODY:
                head, section, tail = data.partition(b"<w:sectPr")
                data = head + xml.encode() + section + tail
            whole.writestr(entry, data, ZIP_DEFLATED)
    return out.getvalue()


def _set_up(made: Any, document: Document, author: str) -> None:
    """Page, fonts and the facts of the file. Chinese needs its own fonts beside the Latin ones."""
    from docx.enum.text import WD_ALIGN_PARAGRAPH
    from docx.oxml.ns import qn
    from docx.shared import Pt, RGBColor, Twips

    made.core_properties.title = _legal(document.title)[:255]
    made.core_properties.author = _legal(author)[:255]
    made.core_properties.comments = ""
    section = made.sections[0]
    section.page_width, section.page_height = Twips(11906), Twips(16838)
    section.left_margin = section.right_margin = Twips(_MARGIN)
    section.top_margin = section.bottom_margin = Twips(_MARGIN)
    headings = ("Title", "Subtitle", *(f"Heading {level}" for level in range(1, 4)))
    for name in ("Normal", "Caption", "List Bullet", *headings):
        style = made.styles[name]
        fonts = style.element.get_or_add_rPr().get_or_add_rFonts()
        for key in list(fonts.attrib):
            if key.endswith("Theme"):
                del fonts.attrib[key]
        is_heading = name in headings
        latin, eastern = ("Arial", "SimHei") if is_heading else ("Times New Roman", "SimSun")
        for slot, font in (("ascii", latin), ("hAnsi", latin), ("eastAsia", eastern)):
            fonts.set(qn(f"w:{slot}"), font)
        style.font.color.rgb = RGBColor(0, 0, 0)
    for language in made.styles.element.iter(qn("w:lang")):
        # Without it the fonts that stand in for missing ones may be Japanese or traditional.
        language.set(qn("w:eastAsia"), "zh-CN")
    made.styles["Normal"].font.size = Pt(10.5)
    made.styles["Normal"].paragraph_format.space_after = Pt(6)
    for name in ("Title", "Subtitle"):
        made.styles[name].paragraph_format.alignment = WD_ALIGN_PARAGRAPH.CENTER


class _Writer:
    """Collects the body's XML."""

    def __init__(self, made: Any, document: Document, png_of: DrawPng) -> None:
        self.xml: list[str] = []
        self._made, self._document, self._png_of = made, document, png_of
        self._bookmarks = 0

    def add(self, block: Block) -> None:
        match block:
            case TitlePage():
                self._title_page(block)
            case Heading(level=level, text=text, id=id_):
                self._heading(level, text, id_)
            case Paragraph(text=text, is_small=small):
                self.xml.append(_paragraph(_run(text, _SMALL if small else "")))
            case Items(lines=lines, is_small=small):
                props = _SMALL if small else ""
                self.xml += [_paragraph(_run(line, props), _style("ListBullet")) for line in lines]
            case Table():
                self._table(block)
            case Figure():
                self._figure(block)
            case QuestionTurn():
                self._answers(block)
            case Place():
                self.xml.append(_place(block))
            case PageBreak():
                self.xml.append('<w:p><w:r><w:br w:type="page"/></w:r></w:p>')
            case _:
                self._contents(block.title)

    def _title_page(self, page: TitlePage) -> None:
        is_cover = self._document.has_cover
        self.xml += ["<w:p/>"] * (6 if is_cover else 0)
        self.xml.append(_paragraph(_run(page.title), _style("Title")))
        self.xml.append(_paragraph(_run(page.subtitle), _style("Subtitle")))
        self.xml += ["<w:p/>"] * (3 if is_cover else 0)
        lines, colon = [], self._document.words["colon"]
        for name, value in page.facts:
            shown = _run(value) if value else _run("\u00a0" * 32, '<w:u w:val="single"/>')
            line = _paragraph(_run(f"{name}{colon}") + shown, '<w:ind w:left="2600"/>')
            lines.append(line)
        if lines:
            begin, _ = own_words.marks_of_title(title_facts.shown(page, colon))
            self.xml.append(_control(page.title, begin, "".join(lines)))

    def _heading(self, level: int, text: str, id_: str) -> None:
        self._bookmarks += 1
        mark = f'w:id="{self._bookmarks}"'
        inner = (
            f"<w:bookmarkStart {mark} w:name={quoteattr(id_)}/>{_run(text)}<w:bookmarkEnd {mark}/>"
        )
        self.xml.append(_paragraph(inner, _style(f"Heading{level - 1}")))

    def _contents(self, title: str) -> None:
        """A field that Word fills with page numbers; until then it shows the headings."""
        self.xml.append('<w:p><w:r><w:br w:type="page"/></w:r></w:p>')
        self.xml.append(_paragraph(_run(title, "<w:b/><w:sz w:val='28'/>")))
        begin = (
            '<w:r><w:fldChar w:fldCharType="begin" w:dirty="true"/></w:r>'
            '<w:r><w:instrText xml:space="preserve"> TOC \\o "1-2" \\h \\z \\u </w:instrText></w:r>'
            '<w:r><w:fldChar w:fldCharType="separate"/></w:r>'
        )
        end = '<w:r><w:fldChar w:fldCharType="end"/></w:r>'
        listed = [b for b in self._document.blocks if isinstance(b, Heading) and b.level <= 3]
        for number, heading in enumerate(listed):
            link = (
                f"<w:hyperlink w:anchor={quoteattr(heading.id)}>{_run(heading.text)}</w:hyperlink>"
            )
            indent = f'<w:spacing w:after="40"/><w:ind w:left="{(heading.level - 2) * 420}"/>'
            self.xml.append(_paragraph((begin if number == 0 else "") + link, indent))
        self.xml.append(_paragraph(end if listed else begin + end))

    def _table(self, table: Table) -> None:
        self.xml.append(_paragraph(_run(table.title, "<w:b/>"), "<w:keepNext/>"))
        if table.rows:
            self.xml.append(_grid(narrow(table)))
        self.xml += [_paragraph(_run(note, _SMALL)) for note in table.notes]
        if not table.notes:
            self.xml.append("<w:p/>")

    def _figure(self, figure: Figure) -> None:
        from docx.shared import Cm

        inline = self._made.part.new_pic_inline(
            BytesIO(self._png_of(figure)), width=Cm(_PICTURE_CM)
        )
        inline.docPr.set("descr", _legal(figure.title))
        drawing = inline.xml
        self.xml.append(_paragraph(f"<w:r><w:drawing>{drawing}</w:drawing></w:r>", "<w:keepNext/>"))
        text = ". ".join(part for part in (figure.title, figure.caption) if part)
        self.xml.append(_paragraph(_run(text, _SMALL), '<w:jc w:val="center"/>'))

    def _answers(self, turn: QuestionTurn) -> None:
        bar = '<w:pBdr><w:left w:val="single" w:sz="24" w:space="8" w:color="666666"/></w:pBdr>'
        self.xml.append(_paragraph(_run(turn.prompt, "<w:b/>"), f"<w:keepNext/>{bar}"))
        size = _SIDE_BY_SIDE if len(turn.cards) != 4 else 2
        words = self._document.words
        for at in range(0, len(turn.cards), size):
            cards = turn.cards[at : at + size]
            heads = [_paragraph(_run(card.label, "<w:b/>")) for card in cards]
            width = _TEXT_WIDTH // len(cards)
            rows = [
                _row([_cell(head, width, is_shaded=True) for head in heads], is_head=True),
                _row([_cell(_card(card, words), width) for card in cards], can_split=True),
            ]
            self.xml.append(_frame([width] * len(cards), rows) + "<w:p/>")


def _card(card: AnswerCard, words: dict[str, str]) -> str:
    parts = [_paragraph(_run(remark, f"<w:b/>{_SMALL}")) for remark in card.remarks]
    if card.reasoning:
        parts.append(_paragraph(_run(words["reasoning"], f"<w:b/>{_SMALL}")))
        parts.append(_paragraph(_run(card.reasoning, _SMALL)))
    parts += map(_text_block, parse(card.text))
    parts += [_paragraph(_run(line, _SMALL), '<w:spacing w:after="20"/>') for line in card.lines]
    return "".join(parts) or "<w:p/>"


def _place(place: Place) -> str:
    """Word shows a placeholder until somebody writes there."""
    text = place.text or place.hint
    begin, _ = own_words.marks(place, text)
    if place.text:
        inner = "".join(_paragraph(_run(part)) for part in place.text.split("\n\n"))
    else:
        inner = _paragraph(_run(text, '<w:i/><w:color w:val="808080"/>'))
    return _control(place.hint, begin, inner, "" if place.text else "<w:showingPlcHdr/>")


def _control(name: str, tag: str, inner: str, more: str = "") -> str:
    """A content control around paragraphs."""
    return (
        f"<w:sdt><w:sdtPr><w:alias w:val={quoteattr(_legal(name)[:60])}/>"
        f"<w:tag w:val={quoteattr(tag)}/>{more}</w:sdtPr>"
        f"<w:sdtContent>{inner}</w:sdtContent></w:sdt>"
    )


def _text_block(block: TextBlock) -> str:
    indent = 280 * block.depth + (280 if block.is_quote else 0)
    layout = '<w:spacing w:after="60"/>'
    if block.depth:
        layout += f'<w:ind w:left="{indent}" w:hanging="{280 if block.marker else 0}"/>'
    elif indent:
        layout += f'<w:ind w:left="{indent}"/>'
    marker = _run(f"{block.marker}\t", _ANSWER) if block.marker else ""
    if marker:
        layout = f'<w:tabs><w:tab w:val="left" w:pos="{indent}"/></w:tabs>{layout}'
    match block.kind:
        case "table":
            found = _text_table(block.rows)
        case "code":
            shade = '<w:shd w:val="clear" w:color="auto" w:fill="F3F3F3"/>'
            text = "".join(span.text for span in block.spans)
            return _paragraph(marker + _run(text, f'{_MONO}<w:sz w:val="17"/>'), shade + layout)
        case "rule":
            line = (
                '<w:pBdr><w:bottom w:val="single" w:sz="4" w:space="1" w:color="999999"/></w:pBdr>'
            )
            return _paragraph("", line)
        case kind:
            runs = "".join(_span(span, is_bold=kind == "heading") for span in block.spans)
            return _paragraph(marker + runs, layout)
    return found


def _text_table(rows: Sequence[Sequence[Sequence[Span]]]) -> str:
    columns = max((len(row) for row in rows), default=1)
    made = []
    for number, row in enumerate(rows):
        cells = [
            _cell(_paragraph("".join(_span(s, is_bold=number == 0) for s in cell)), 0)
            for cell in (*row, *[()] * (columns - len(row)))
        ]
        made.append(_row(cells))
    return _frame([0] * columns, made) + "<w:p/>"


def _span(span: Span, is_bold: bool = False) -> str:
    props = _MONO if span.is_code else ""
    props += "<w:b/>" if span.is_bold or is_bold else ""
    return _run(span.text, f"{props}{'<w:i/>' if span.is_italic else ''}{_ANSWER}")


def _grid(table: Table) -> str:
    columns = len(table.head)
    size = '<w:sz w:val="18"/>' if columns < 7 else '<w:sz w:val="15"/>'
    heads = [
        _cell(_paragraph(_run(name, f"<w:b/>{size}"), _side(i, table)), 0, is_shaded=True)
        for i, name in enumerate(table.head)
    ]
    rows = [_row(heads, is_head=True)]
    rows += [
        _row([_cell(_figure_cell(cell, i, table, size), 0) for i, cell in enumerate(row)])
        for row in table.rows
    ]
    widths = [int(_TEXT_WIDTH * share) for share in column_shares(table)]
    return _frame(widths, rows, is_fixed=False)


def _figure_cell(cell: Cell, column: int, table: Table, size: str) -> str:
    runs = _run(cell.text, f"<w:b/>{size}" if cell.best else size)
    if cell.detail:
        runs += _run(f"\n{cell.detail}", '<w:color w:val="5B6470"/><w:sz w:val="15"/>')
    return _paragraph(runs, _side(column, table))


def _side(column: int, table: Table) -> str:
    return '<w:spacing w:after="0"/>' + ("" if column < table.left else '<w:jc w:val="right"/>')


def _frame(widths: Sequence[int], rows: Iterable[str], is_fixed: bool = True) -> str:
    borders = "".join(
        f'<w:{side} w:val="single" w:sz="4" w:space="0" w:color="999999"/>'
        for side in ("top", "left", "bottom", "right", "insideH", "insideV")
    )
    layout = '<w:tblLayout w:type="fixed"/>' if is_fixed and all(widths) else ""
    margins = "".join(f'<w:{side} w:w="80" w:type="dxa"/>' for side in ("left", "right"))
    columns = "".join(f'<w:gridCol w:w="{w or _TEXT_WIDTH // len(widths)}"/>' for w in widths)
    return (
        f'<w:tbl><w:tblPr><w:tblW w:w="5000" w:type="pct"/><w:tblBorders>{borders}</w:tblBorders>'
        f"{layout}<w:tblCellMar>{margins}</w:tblCellMar></w:tblPr>"
        f"<w:tblGrid>{columns}</w:tblGrid>{''.join(rows)}</w:tbl>"
    )


def _row(cells: Iterable[str], is_head: bool = False, can_split: bool = False) -> str:
    props = ("" if can_split else "<w:cantSplit/>") + ("<w:tblHeader/>" if is_head else "")
    return f"<w:tr>{f'<w:trPr>{props}</w:trPr>' if props else ''}{''.join(cells)}</w:tr>"


def _cell(inner: str, width: int, is_shaded: bool = False) -> str:
    shade = '<w:shd w:val="clear" w:color="auto" w:fill="EEEEEE"/>' if is_shaded else ""
    size = f'<w:tcW w:w="{width}" w:type="dxa"/>' if width else '<w:tcW w:w="0" w:type="auto"/>'
    # A cell ends with a paragraph, whatever stands in it.
    inner = inner if inner.endswith(("</w:p>", "<w:p/>")) else f"{inner}<w:p/>"
    return f"<w:tc><w:tcPr>{size}{shade}</w:tcPr>{inner}</w:tc>"


def _paragraph(inner: str, props: str = "") -> str:
    return f"<w:p>{f'<w:pPr>{props}</w:pPr>' if props else ''}{inner}</w:p>"


def _style(name: str) -> str:
    return f'<w:pStyle w:val="{name}"/>'


def _run(text: str, props: str = "") -> str:
    """Text with its line breaks and tabs; nothing in it is a field or a link."""
    parts: list[str] = []
    for number, line in enumerate(_legal(text).split("\n")):
        if number:
            parts.append("<w:br/>")
        for at, piece in enumerate(line.split("\t")):
            if at:
                parts.append("<w:tab/>")
            if piece:
                parts.append(f'<w:t xml:space="preserve">{escape(piece)}</w:t>')
    return f"<w:r>{f'<w:rPr>{props}</w:rPr>' if props else ''}{''.join(parts)}</w:r>"


def _legal(text: str) -> str:
    return _ILLEGAL.sub("\ufffd", text)
