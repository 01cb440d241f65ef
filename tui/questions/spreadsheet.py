"""The rows of a spreadsheet in Office Open XML (ECMA-376, part 1, "SpreadsheetML"): .xlsx."""

import io
import posixpath
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from xml.etree import ElementTree

from tui.host import foreign_files
from tui.host.errors import UserError
from tui.questions.tables import has_questions, named_rows
from tui.text.sanitise import collapse_line

MAX_BYTES = 16 << 20
MAX_PART = 64 << 20
"""Bytes of all parts of the file that are read, unpacked."""
_MOST_ELEMENTS = 2_000_000
"""Elements of one part: each takes more memory than the three bytes that it may be written in."""
_STRINGS = "xl/sharedStrings.xml"
_BOOK, _RELATIONS = "xl/workbook.xml", "xl/_rels/workbook.xml.rels"
_SHEET = re.compile(r"xl/worksheets/[^/]+\.xml")
_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_STRICT = "{http://purl.oclc.org/ooxml/spreadsheetml/main}"
_COLUMN = re.compile(r"([A-Z]{1,3})\d+")
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
_OLE = b"\xd0\xcf\x11\xe0"
"""What an old .xls begins with, and an .xlsx that a password protects."""
_AS_CSV = "save the sheet as CSV (UTF-8) and name that file"


@dataclass(frozen=True, slots=True)
class Sheet:
    """A sheet by its name and its part of the file; what is hidden is not read unasked."""

    name: str
    part: str
    is_hidden: bool = False


@dataclass(slots=True)
class SheetsRead:
    """What was read from where: ``rows`` counts by the name of a sheet, ``left_out`` are sheets
    that are hidden or have no column of questions."""

    rows: dict[str, int] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


def spreadsheet_rows(
    path: Path, wanted: str, told: SheetsRead
) -> Iterator[tuple[str, str, dict[str, str]]]:
    """The rows of every sheet that has a column of questions, or of the one that is ``wanted``, by
    the names in its first row, each with its place (``file: Sheet1, row 7``) and its sheet.

    Raises:
        UserError: it is no such file, no sheet has questions, there is none of this name, or a
            part is larger than `MAX_PART`.
    """
    try:
        data = foreign_files.read_bytes(path, MAX_BYTES)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}", _AS_CSV) from None
    if data.startswith(_OLE):
        raise UserError(f"{path}: an old or protected spreadsheet is not read", _AS_CSV)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as book:
            yield from _rows_with_questions(book, path, wanted, told)
    except (zipfile.BadZipFile, zlib.error, ElementTree.ParseError, NotImplementedError, OSError):
        raise UserError(f"{path}: not a spreadsheet of Office Open XML", _AS_CSV) from None
    except (RuntimeError, LookupError, ValueError, EOFError):
        raise UserError(f"{path}: a damaged or encrypted spreadsheet", _AS_CSV) from None


def _rows_with_questions(
    book: zipfile.ZipFile, path: Path, wanted: str, told: SheetsRead
) -> Iterator[tuple[str, str, dict[str, str]]]:
    sheets = _sheets(book, path)
    parts = {_STRINGS, *(sheet.part for sheet in sheets)}
    read = [info.file_size for info in book.infolist() if info.filename in parts]
    if sum(read) > MAX_PART:
        raise UserError(f"{path}: larger than {MAX_PART >> 20} MB unpacked", "split it")
    strings = _shared_strings(book, path)
    chosen = [one for one in sheets if one.name == wanted] if wanted else sheets
    if not sheets:
        raise UserError(f"{path}: a spreadsheet without a sheet", _AS_CSV)
    if not chosen:
        names = ", ".join(one.name for one in sheets)
        raise UserError(f"{path}: no sheet is called {wanted}", f"take one of {names}")
    for sheet in chosen:
        rows = _rows(book, sheet, strings, path)
        _, header = next(rows, ("", []))
        if not has_questions(header) or (sheet.is_hidden and not wanted):
            told.left_out.append(sheet.name)
            continue
        told.rows[sheet.name] = 0
        for place, row in named_rows(header, rows):
            told.rows[sheet.name] += 1
            yield place, sheet.name, row
    if not told.rows:
        raise UserError(
            f"{path}: no sheet has a column of questions",
            "begin one with a row of names, one of them question (or query, prompt, text, 题目, "
            "问题)",
        )


def _sheets(book: zipfile.ZipFile, path: Path) -> list[Sheet]:
    """The sheets in the order in which they are shown; where the book does not list them, its
    parts by their own names."""
    names = set(book.namelist())
    found: list[Sheet] = []
    if {_BOOK, _RELATIONS} <= names:
        with _part(book, _RELATIONS, path) as part:
            targets = {e.get("Id", ""): e.get("Target", "") for e in _elements(part, path)}
        with _part(book, _BOOK, path) as part:
            listed = [e.attrib for e in _elements(part, path) if _local(e) == "sheet"]
        for one in listed:
            id_ = next((v for k, v in one.items() if k.endswith("}id")), "")
            part_name = posixpath.normpath(posixpath.join("/xl", targets.get(id_, ""))).lstrip("/")
            is_hidden = one.get("state", "visible") != "visible"
            if part_name in names:
                found.append(Sheet(collapse_line(one.get("name", "")), part_name, is_hidden))
    parts = (name for name in names if _SHEET.fullmatch(name))
    ordered = sorted(parts, key=lambda name: (len(name), name))
    return found or [Sheet(name.rpartition("/")[2].removesuffix(".xml"), name) for name in ordered]


def _rows(
    book: zipfile.ZipFile, sheet: Sheet, strings: list[str], path: Path
) -> Iterator[tuple[str, list[str]]]:
    """The rows that are not empty, with their places."""
    with _part(book, sheet.part, path) as part:
        number = 0
        for element in _elements(part, path):
            if _local(element) != "row":
                continue
            number = int(element.get("r") or number + 1)
            cells: list[str] = []
            for cell in element:
                at = _column(cell.get("r", ""), len(cells))
                cells += [""] * (at - len(cells))
                cells.append(_text(cell, strings))
            element.clear()
            if any(cell.strip() for cell in cells):
                yield f"{path}: {sheet.name}, row {number}", cells


def _elements(part: IO[bytes], path: Path) -> Iterator[ElementTree.Element]:
    """The elements of a part, as each of them ends.

    Raises:
        UserError: there are too many.
    """
    for number, (_, element) in enumerate(ElementTree.iterparse(part)):
        if number >= _MOST_ELEMENTS:
            raise UserError(f"{path}: more than {_MOST_ELEMENTS:,} cells", "split it")
        yield element


def _text(cell: ElementTree.Element, strings: list[str]) -> str:
    kind = cell.get("t", "n")
    if kind == "inlineStr":
        return _joined(cell)
    value = next((one.text or "" for one in cell if _local(one) == "v"), "")
    if kind == "s":
        return strings[int(value)] if value else ""
    if kind == "b":
        return "true" if value == "1" else "false"
    if kind == "e":
        return ""  # a formula that failed
    return _unescaped(value)


def _shared_strings(book: zipfile.ZipFile, path: Path) -> list[str]:
    if _STRINGS not in book.namelist():
        return []
    found: list[str] = []
    with _part(book, _STRINGS, path) as part:
        for element in _elements(part, path):
            if _local(element) == "si":
                found.append(_joined(element))
                element.clear()
    return found


def _joined(element: ElementTree.Element) -> str:
    """The text of a string and of its formatted pieces, without the reading aids of Japanese."""
    texts: list[str] = []
    for one in element:
        name = _local(one)
        if name == "t":
            texts.append(one.text or "")
        elif name in ("r", "is"):
            texts.append(_joined(one))
    return _unescaped("".join(texts))


def _unescaped(text: str) -> str:
    """``_x000D_`` stands for a character that XML cannot hold."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text).replace("\r\n", "\n")


def _column(reference: str, otherwise: int) -> int:
    """The number of a cell's column, from 0."""
    found = _COLUMN.fullmatch(reference)
    if not found:
        return otherwise
    number = 0
    for letter in found[1]:
        number = number * 26 + ord(letter) - 64
    return max(number - 1, otherwise)


def _local(element: ElementTree.Element) -> str:
    return element.tag.removeprefix(_MAIN).removeprefix(_STRICT)


def _part(book: zipfile.ZipFile, name: str, path: Path) -> IO[bytes]:
    """A part of the file as XML that defines nothing of its own.

    Raises:
        UserError: it has definitions, which can stand for more than memory holds.
    """
    with book.open(name) as packed:
        data = packed.read(MAX_PART + 1)
    # In UTF-16 there are zeros between the letters.
    if len(data) > MAX_PART:
        raise UserError(f"{path}: larger than {MAX_PART >> 20} MB unpacked", "split it")
    if b"<!DOCTYPE" in data.replace(b"\0", b""):
        raise UserError(f"{path}: not a spreadsheet: it has a DOCTYPE, as none has", _AS_CSV)
    return io.BytesIO(data)
