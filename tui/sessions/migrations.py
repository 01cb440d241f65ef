"""Old session formats: one pure function a version, from its rows to the next version's.

Rows are the parsed JSON arrays ``[seq, t_us, model, kind, payload]`` of the file, the
header first. A migration keeps the number of rows, so that positions in the file and
numbers of events go on agreeing, and sets the header's ``v``.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tui.host.errors import UserError
from tui.sessions.lines import LineError

Row = list[Any]
Upcaster = Callable[[Row], Row]

UPCASTERS: dict[int, Upcaster] = {}
"""From the version it reads; the first format (1) is the present one."""


def migrate(
    rows: Iterator[Row], version: int, wanted: int, upcasters: Mapping[int, Upcaster], name: str
) -> Iterator[Row]:
    """Rows of ``version`` as rows of ``wanted``.

    Raises:
        UserError: no chain of migrations leads there.
    """
    chain = range(version, wanted)
    # One by one: a file may say that it is of any version, however far from the next.
    missing = next((v for v in chain if v not in upcasters), None)
    if missing is not None:
        raise UserError(
            f"{name} has the session format {missing}, which this duibi does not read",
            "check that it is a session file",
        )
    steps = [upcasters[v] for v in chain]
    return _through(rows, steps)


def _through(rows: Iterator[Row], steps: list[Upcaster]) -> Iterator[Row]:
    for row in rows:
        try:
            for step in steps:
                row = step(row)
        except (LookupError, TypeError, ValueError, AttributeError):
            raise LineError("not of its format") from None
        yield row
