"""Tables for paper, which is narrow."""

from tui.reports.document import Cell, Table

MAX_COLUMNS = 7


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
