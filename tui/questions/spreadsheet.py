"""The rows of a spreadsheet in Office Open XML (ECMA-376, part 1, "SpreadsheetML"): .xlsx."""

import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from xml.etree import ElementTree

from tui.host import foreign_files
from tui.host.errors import UserError
from tui.questions.tables import has_questions, named_rows

MAX_BYTES = 16 << 20
MAX_PART = 64 << 20
"""Bytes of all parts of the file that are read, unpacked."""
_MOST_ELEMENTS = 2_000_000
"""Elements of one part: each takes more memory than the three bytes that it may be written in."""
_STRINGS = "xl/sharedStrings.xml"
_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_STRICT = "{http://purl.oclc.org/ooxml/spreadsheetml/main}"
_COLUMN = re.compile(r"([A-Z]{1,3})\d+")
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
_OLE = b"\xd0\xcf\x11\xe0"
"""What an old .xls begins with, and an .xlsx that a password protects."""
_AS_CSV = "save the sheet as CSV (UTF-8) and name that file"


def spreadsheet_rows(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """The rows of the first sheet that has a column of questions, by the names in its first row,
    each with its place (``file: row 7``).

    Raises:
        UserError: it is no such file, no sheet has questions, or a part is larger than `MAX_PART`.
    """
    try:
        data = foreign_files.read_bytes(path, MAX_BYTES)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}", _AS_CSV) from None
    if data.startswith(_OLE):
        raise UserError(f"{path}: an old or protected spreadsheet is not read", _AS_CSV)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as book:
            yield from _rows_with_questions(book, path)
    except (zipfile.BadZipFile, zlib.error, ElementTree.ParseError, NotImplementedError, OSError):
        raise UserError(f"{path}: not a spreadsheet of Office Open XML", _AS_CSV) from None
    except (RuntimeError, LookupError, ValueError, EOFError):
        raise UserError(f"{path}: a damaged or encrypted spreadsheet", _AS_CSV) from None


def _rows_with_questions(book: zipfile.ZipFile, path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    sheets = sorted(
        (name for name in book.namelist() if re.fullmatch(r"xl/worksheets/[^/]+\.xml", name)),
        key=lambda name: (len(name), name),
    )
    read = [info.file_size for info in book.infolist() if info.filename in {_STRINGS, *sheets}]
    if sum(read) > MAX_PART:
        raise UserError(f"{path}: larger than {MAX_PART >> 20} MB unpacked", "split it")
    strings = _shared_strings(book, path)
    for sheet in sheets:
        rows = _rows(book, sheet, strings, path)
        _, header = next(rows, ("", []))
        if has_questions(header):
            yield from named_rows(header, rows)
            return
    raise UserError(
        f"{path}: no sheet has a column of questions",
        "begin one with a row of names, one of them question (or query, prompt, text, 题目, 问题)",
    )


def _rows(
    book: zipfile.ZipFile, sheet: str, strings: list[str], path: Path
) -> Iterator[tuple[str, list[str]]]:
    """The rows that are not empty, with their places."""
    with _part(book, sheet, path) as part:
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
                yield f"{path}: row {number}", cells


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
    if len(data) > MAX_PART or b"<!DOCTYPE" in data.replace(b"\0", b""):
        raise UserError(f"{path}: not a spreadsheet of Office Open XML", _AS_CSV)
    return io.BytesIO(data)
