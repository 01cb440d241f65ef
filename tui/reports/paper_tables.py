"""Tables for paper, which is narrow."""

from rich.cells import cell_len

from tui.reports.document import Cell, Table

MAX_COLUMNS = 7
_LEAST, _MOST = 6, 60
"""Cells of a terminal between which a column's longest text counts: a longer one is wrapped."""


def narrow(table: Table) -> Table:
    """A table of more columns than a page has room for, with its rows as columns, where these are
    fewer."""
    if len(table.head) <= MAX_COLUMNS or len(table.rows) + 1 >= len(table.head):
        return table
    names = (table.head[0], *(row[0].text for row in table.rows))
    rows = tuple(
        (Cell(table.head[i]), *(row[i] for row in table.rows)) for i in range(1, len(table.head))
    )
    return Table(table.title, names, rows, 1, table.notes)


def column_shares(table: Table) -> list[float]:
    """The part of the width that each column gets, by its longest text; 1 together."""
    longest = [cell_len(name) for name in table.head]
    for row in table.rows:
        for i, cell in enumerate(row):
            # A detail is printed smaller.
            longest[i] = max(longest[i], cell_len(cell.text), cell_len(cell.detail) * 4 // 5)
    bounded = [min(max(length, _LEAST), _MOST) for length in longest]
    return [length / sum(bounded) for length in bounded]
