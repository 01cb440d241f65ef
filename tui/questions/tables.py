"""Tables of questions: CSV and TSV with a header line."""

import csv
import io
from collections.abc import Iterator

from tui.host.errors import UserError
from tui.questions.foreign_rows import is_question_name
from tui.text.unused_name import unused_name

DELIMITERS = ",;\t|"
_MMLU = ("question", "A", "B", "C", "D", "answer")
"""The columns of MMLU's files, which have no header."""


def table_rows(
    text: str, where: str, delimiters: str = DELIMITERS
) -> Iterator[tuple[str, dict[str, str]]]:
    """The rows of a table by the names of its header, each with its place (``file:line``).

    Raises:
        UserError: it has no column of questions, or a row does not fit the header.
    """
    delimiter, header = _header(text, where, delimiters)
    rows = _rows(text, where, delimiter)
    if _is_mmlu(header):
        header = list(_MMLU)
    else:
        next(rows)
    yield from named_rows(header, rows)


def named_rows(
    header: list[str], rows: Iterator[tuple[str, list[str]]]
) -> Iterator[tuple[str, dict[str, str]]]:
    """Rows, each with its place, by the names of a header; empty cells are left out. Of columns of
    one name the later ones are numbered: none is lost without a word.

    Raises:
        UserError: a row has more cells than the header.
    """
    names: list[str] = []
    for name in map(str.strip, header):
        names.append(unused_name(name, names, "{} ({})") if name else name)
    for place, cells in rows:
        while len(cells) > len(names) and not cells[-1].strip():
            cells.pop()
        if len(cells) > len(names):
            raise UserError(
                f"{place}: {len(cells)} cells, {len(names)} in the header",
                'put a cell that holds the separator in "quotes"',
            )
        filled = zip(names, cells, strict=False)
        yield place, {name: cell.strip() for name, cell in filled if cell.strip()}


def has_questions(header: list[str]) -> bool:
    """Whether one of these names is that of a column of questions."""
    return any(map(is_question_name, header))


def has_header(line: str, delimiter: str) -> bool:
    """Whether a line is the header of a table of questions."""
    cells = line.split(delimiter)
    return len(cells) > 1 and any(is_question_name(cell.strip(' "')) for cell in cells)


def _header(text: str, where: str, delimiters: str) -> tuple[str, list[str]]:
    first: list[str] = []
    for delimiter in delimiters:
        _, header = next(_rows(text, where, delimiter), ("", []))
        if has_questions(header) or _is_mmlu(header):
            return delimiter, header
        first = first or header
    seen = ", ".join(repr(name[:40]) for name in first[:8])
    raise UserError(
        f"{where}: no column holds the question: {seen}" if first else f"{where}: no questions",
        "begin with a line of names, one of them question (or query, prompt, text, 题目, 问题)",
    )


def _is_mmlu(header: list[str]) -> bool:
    return len(header) == len(_MMLU) and header[-1].strip() in tuple("ABCD")


def _rows(text: str, where: str, delimiter: str) -> Iterator[tuple[str, list[str]]]:
    """The rows that are not empty, each with the line where it begins."""
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    begins = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield f"{where}:{begins}", cells
            begins = reader.line_num + 1
    except csv.Error:
        raise UserError(
            f"{where}:{begins}: a cell that has no end, or is too long",
            'close its "quotes", and write a quote in it twice',
        ) from None
