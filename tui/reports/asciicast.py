"""A session as an asciicast v3, for asciinema's players.

Format: https://docs.asciinema.org/manual/asciicast/v3/ - a header object, then one
``[interval, code, data]`` a line, the interval in seconds since the event before. Every
model has a column; a token is written into it at the time it had in the session.
"""

import contextlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from tui import events as ev
from tui.events import RUN, Event
from tui.events.waits import LONGEST_WAIT_S
from tui.reports.transcript import figures_line
from tui.text.sanitise import clean, collapse_line
from tui.text.width import char_width

BODY_ROW = 5
"""The first row of the answers, counted from 1: above it title, labels, question, rule."""
_TAB = 4
_GAP = 3


@dataclass(slots=True)
class _PaneColumn:
    """Where one model's answers are written; rows and columns of the terminal from 1."""

    left: int
    width: int
    row: int = BODY_ROW
    used: int = 0
    answer: int | None = None


class AsciicastPainter:
    """Turns events into what a terminal of a given size is sent for them."""

    def __init__(self, header: ev.Session, cols: int, rows: int) -> None:
        self._cols, self._rows = cols, rows
        count = max(1, len(header.models))
        width = max(1, (cols - _GAP * (count - 1)) // count)
        self._columns = [_PaneColumn(1 + i * (width + _GAP), width) for i in range(count)]
        self._labels, self._title = header.labels, header.title
        self._asked: dict[int, ev.Asked] = {}

    def first_frame(self) -> str:
        """The empty picture: title, labels and a rule."""
        text = "\x1b[2J" + self._at(1, 1) + self._fit(self._title, self._cols)
        for column, label in zip(self._columns, self._labels, strict=False):
            text += f"{self._at(2, column.left)}\x1b[1m{self._fit(label, column.width)}\x1b[0m"
            text += self._at(4, column.left) + "─" * column.width
        return text

    def paint(self, event: Event) -> str:
        """What this event changes in the picture; nothing for most kinds."""
        if not 0 <= event.model < len(self._columns):
            return ""
        column = self._columns[event.model]
        match event.body:
            case ev.Asked() as asked:
                self._asked[asked.answer] = asked
            case ev.Started(answer=id_) if id_ in self._asked:
                return self._begin(column, self._asked[id_])
            case ev.Delta(answer=id_, recast=True) if id_ == column.answer:
                return self._begin(column, self._asked[id_])
            case ev.Delta(answer=id_, text=text, reasoning=False) if id_ == column.answer:
                return self._write(column, clean(text))
            case ev.Answered(answer=id_) as figures if id_ == column.answer:
                return self._status(column, figures_line(figures))
            case ev.Cancelled(answer=id_) if id_ == column.answer:
                return self._status(column, "cancelled")
            case ev.Failed(answer=id_) as failed if id_ in (-1, column.answer):
                return self._status(column, f"failed: {failed.message}")
            case ev.Load() as load:
                return self._status(column, f"loading: {load.stage}")
            case ev.Loaded() as loaded:
                return self._status(column, f"loaded in {loaded.load_s:.1f} s")
        return ""

    def _begin(self, column: _PaneColumn, asked: ev.Asked) -> str:
        column.answer, column.row, column.used = asked.answer, BODY_ROW, 0
        question = self._fit(f"{asked.question} · {asked.text}", column.width)
        return (
            f"{self._at(3, column.left)}\x1b[2m{question}\x1b[0m"
            + self._wipe(column)
            + self._status(column, "")
        )

    def _write(self, column: _PaneColumn, text: str) -> str:
        """``text`` wrapped into the column; when the column is full, it is cleared and continued at
        its first row."""
        out: list[str] = []
        run: list[str] = []
        start = (column.row, column.left + column.used)

        for char in text:
            space = _TAB - column.used % _TAB if char == "\t" else char_width(char)
            if char == "\n" or column.used + space > column.width:
                out += [self._at(*start), *run] if run else []
                run, column.used = [], 0
                column.row += 1
                if column.row >= self._rows:
                    column.row = BODY_ROW
                    out.append(self._wipe(column))
                start = (column.row, column.left)
            if char != "\n" and space <= column.width:
                run.append(" " * space if char == "\t" else char)
                column.used += space
        return "".join([*out, self._at(*start), *run] if run else out)

    def _status(self, column: _PaneColumn, text: str) -> str:
        return self._at(self._rows, column.left) + self._fit(text, column.width)

    def _wipe(self, column: _PaneColumn) -> str:
        blank = " " * column.width
        return "".join(self._at(row, column.left) + blank for row in range(BODY_ROW, self._rows))

    def _fit(self, text: str, width: int) -> str:
        """One line of exactly ``width`` cells."""
        used, kept = 0, ""
        for char in collapse_line(text):
            if used + char_width(char) > width:
                break
            used, kept = used + char_width(char), kept + char
        return kept + " " * (width - used)

    @staticmethod
    def _at(row: int, column: int) -> str:
        return f"\x1b[{row};{column}H"


def asciicast_lines(
    events: Sequence[Event],
    cols: int = 120,
    rows: int = 36,
    max_gap: float = LONGEST_WAIT_S,
) -> Iterator[str]:
    """The lines of the asciicast, without newlines.

    ``events`` begins with the header's; ``max_gap`` (seconds) is the longest pause that a
    player shall keep. Questions become markers, at which a player can stop.
    """
    header = events[0].body
    assert isinstance(header, ev.Session)
    painter = AsciicastPainter(header, cols, rows)
    yield _json(_head(header, cols, rows, max_gap))
    yield _json([0.0, "o", painter.first_frame()])
    now, begun = 0, set[str]()
    asked: dict[int, str] = {}
    for event in sorted(events, key=lambda event: event.t_us):
        match event.body:
            case ev.Asked(answer=id_, question=question):
                asked[id_] = question
            case ev.Started(answer=id_) if asked.get(id_, "") not in {*begun, ""}:
                begun.add(asked[id_])
                yield _json([(event.t_us - now) / 1e6, "m", clean(asked[id_])])
                now = event.t_us
        if event.model != RUN and (text := painter.paint(event)):
            yield _json([(event.t_us - now) / 1e6, "o", text])
            now = event.t_us
    last = max(event.t_us for event in events)
    yield _json([(last - now) / 1e6, "x", "0"])


def _head(header: ev.Session, cols: int, rows: int, max_gap: float) -> dict[str, object]:
    head: dict[str, object] = {
        "version": 3,
        "term": {"cols": cols, "rows": rows, "type": "xterm-256color"},
        "idle_time_limit": max_gap,
        "title": clean(header.title),
    }
    # The time is optional, and the session's may not be valid.
    with contextlib.suppress(ValueError, OverflowError):
        head["timestamp"] = math.floor(datetime.fromisoformat(header.started).timestamp())
    return head


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
