"""Wanted and shown contents of the terminal, and the escape sequences between them.

A cell is the text of one grapheme with its SGR parameters; the second cell of a wide
character has no text. Widths are those of `rich.cells`, as everywhere in Textual. Sequences
used are ECMA-48's that every terminal since the VT220 knows: CUP, CUF, EL, ECH and SGR.
"""

import re
from functools import lru_cache

from rich.cells import cell_len, split_graphemes

TerminalCell = tuple[str, str]
BLANK: TerminalCell = (" ", "")
_UNKNOWN: TerminalCell = ("\0", "")
"""What a terminal shows of which nothing is known: equal to no cell that is wanted."""
_STRIDE = 16
"""Cells that are compared at once."""
_MIN_ERASE = 6
"""Blank cells from which erasing is shorter than writing them."""

_CERTAIN = (
    " -~\u00a1-\u00ac\u00ae-\u02ff\u0370-\u052f\u2010-\u2027\u2030-\u205e\u2190-\u21ff"
    "\u2500-\u25ff\u2713\u2717\u270e\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff"
    "\ufe30-\ufe4f\uff01-\uff60\uffe0-\uffe6\U00020000-\U0003fffd"
)
"""Characters whose width all terminals agree upon; after others (emoji, sequences with joiners
or selectors, combining marks) the cursor may be anywhere, and a cell may keep what it showed."""
_CERTAIN_WIDTH = re.compile(f"[{_CERTAIN}]")
_UNCERTAIN = re.compile(f"[^{_CERTAIN}]")


def split_cells(text: str, sgr: str) -> list[TerminalCell]:
    """The cells of a text without control characters, in one style."""
    if text.isspace():
        return [(" ", sgr)] * len(text)
    if text.isascii():
        return [(character, sgr) for character in text]
    cells: list[TerminalCell] = []
    for start, end, width in split_graphemes(text)[0]:
        if width:
            cells.append((text[start:end], sgr))
            cells += [("", sgr)] * (width - 1)
        elif cells:
            # A mark that stands alone belongs to the character before it.
            at = len(cells) - 1
            while at and not cells[at][0]:
                at -= 1
            cells[at] = (cells[at][0] + text[start:end], sgr)
    return cells


@lru_cache(512)
def _has_certain_width(text: str) -> bool:
    return _CERTAIN_WIDTH.fullmatch(text) is not None


def _is_uncertain(row: list[TerminalCell]) -> bool:
    """Whether a terminal may show a row in other cells than was counted."""
    text = "".join(text for text, _ in row)
    return not text.isascii() and _UNCERTAIN.search(text) is not None


def _blank_half_characters(row: list[TerminalCell], at: int) -> None:
    """Put blanks for the halves of a wide character that was cut before column ``at``."""
    before = row[at - 1] if at else BLANK
    is_wide = not before[0].isascii() and cell_len(before[0]) > 1
    if at < len(row) and not row[at][0]:
        if not is_wide:
            row[at] = (" ", row[at][1])
    elif is_wide:
        row[at - 1] = (" ", before[1])


class CellBuffer:
    """What is wanted on a terminal of ``width`` x ``height`` cells and what it shows."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._wanted = [[BLANK] * width for _ in range(height)]
        self._shown = [[_UNKNOWN] * width for _ in range(height)]
        self._dirty = set(range(height))
        self._clear = True
        self._sgr = ""
        self._cursor: tuple[int, int] | None = None
        self._out: list[str] = []

    def invalidate(self) -> None:
        """Nothing is known of the terminal any more: the next frame begins with a clear one."""
        self._clear, self._dirty = True, set(range(self.height))

    def set_cells(self, x: int, y: int, cells: list[TerminalCell]) -> None:
        """Want ``cells`` from a place to the right; what does not fit in the row is cut. Of a
        wide character that is cut in two (by the edge of a notice) a blank is left."""
        if 0 <= y < self.height and 0 <= x < self.width:
            row, end = self._wanted[y], min(self.width, x + len(cells))
            row[x:end] = cells[: end - x]
            _blank_half_characters(row, x)
            _blank_half_characters(row, end)
            self._dirty.add(y)

    @property
    def has_changes(self) -> bool:
        """Whether there may be something to write."""
        return bool(self._dirty)

    def render_frame(self, cursor: tuple[int, int] | None = None) -> str:
        """What to write so that the terminal shows what is wanted, the cursor (column, row
        from 0) at a place where that matters. Empty: it shows that already."""
        self._out = []
        if self._clear:
            self._out.append("\x1b[m\x1b[2J")
            self._clear, self._sgr, self._cursor = False, "", None
            self._shown = [[BLANK] * self.width for _ in range(self.height)]
        for y in sorted(self._dirty):
            wanted = self._wanted[y]
            if wanted != self._shown[y]:
                self._row(y, wanted, self._shown[y])
                self._shown[y] = wanted.copy()
        self._dirty.clear()
        if cursor is not None and cursor != self._cursor:
            self._move(*cursor)
        return "".join(self._out)

    def _row(self, y: int, wanted: list[TerminalCell], shown: list[TerminalCell]) -> None:
        end = self.width
        while end and wanted[end - 1] == BLANK:
            end -= 1
        is_drawn = any(cell != BLANK for cell in shown)
        if is_drawn and (_is_uncertain(wanted) or _is_uncertain(shown)):
            # A terminal that draws one of its characters narrower or wider than was counted
            # shows other cells than is believed: the row begins from nothing.
            self._move(0, y)
            self._style("")
            self._out.append("\x1b[2K")
            shown = [BLANK] * self.width
        x = 0
        while x < end:
            if wanted[x : x + _STRIDE] == shown[x : x + _STRIDE]:
                x += _STRIDE
                continue
            if wanted[x] == shown[x]:
                x += 1
                continue
            if wanted[x] == BLANK and (blanks := self._blanks(wanted, x, end)) >= _MIN_ERASE:
                self._move(x, y)
                self._style("")
                self._out.append(f"\x1b[{blanks}X")
                x += blanks
                continue
            self._move(x, y)
            x = self._write(x, y, wanted[x])
        while end < self.width and shown[end] == BLANK:
            end += 1
        if end < self.width:
            self._move(end, y)
            self._style("")
            self._out.append("\x1b[K")

    @staticmethod
    def _blanks(row: list[TerminalCell], x: int, end: int) -> int:
        at = x
        while at < end and row[at] == BLANK:
            at += 1
        return at - x

    def _write(self, x: int, y: int, cell: TerminalCell) -> int:
        """Write one cell; returns the column after it."""
        text, sgr = cell
        after = x + 1
        row = self._wanted[y]
        while after < self.width and not row[after][0]:
            after += 1
        self._style(sgr)
        self._out.append(text or " ")
        # In the last column terminals differ in where the cursor is afterwards.
        known = after < self.width and _has_certain_width(text)
        self._cursor = (after, y) if known else None
        return after

    def _style(self, sgr: str) -> None:
        if sgr != self._sgr:
            reset = "0;" if self._sgr and sgr else ""
            self._out.append(f"\x1b[{reset}{sgr}m")
            self._sgr = sgr

    def _move(self, x: int, y: int) -> None:
        """Bring the cursor to a place, the shortest way."""
        at, self._cursor = self._cursor, (x, y)
        if at == (x, y):
            return
        if at is not None and at[1] == y and at[0] < x:
            between = self._wanted[y][at[0] : x]
            same = all(text.isascii() and text and sgr == self._sgr for text, sgr in between)
            if same and len(between) <= 4:
                self._out.append("".join(text for text, _ in between))
            else:
                steps = x - at[0]
                self._out.append(f"\x1b[{steps if steps > 1 else ''}C")
        elif at is not None and x == 0 and at[1] + 1 == y:
            self._out.append("\r\n")
        elif at == (x, y - 1):
            self._out.append("\x1b[B")
        else:
            self._out.append(f"\x1b[{y + 1};{x + 1}H" if x else f"\x1b[{y + 1}H")
