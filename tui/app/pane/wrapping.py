"""Text into rows of a given width, at constant cost per piece appended.

Widths are terminal cells (East Asian wide characters and emoji take two), as
`rich.cells` measures them. Breaks come after spaces and between wide characters, never
before closing nor after opening punctuation (the basic rules of JIS X 4051, which GB/T
15834 shares).
"""

from rich.cells import cell_len, set_cell_size, split_graphemes

TAB = "    "
NO_LINE_START = frozenset("，。、；：？！）》」』】〉〕％…—～·,.;:?!)]}%”’")
NO_LINE_END = frozenset("（《「『【〈〔“‘([{")


class WrappedText:
    """Text that grows at its end, as rows. Only the last row ever changes."""

    __slots__ = ("_last", "rows", "width")

    def __init__(self, width: int, text: str = "") -> None:
        self.width = max(2, width)
        self.rows: list[str] = []
        self._last = ""
        if text:
            self.append(text)

    def append(self, text: str) -> int:
        """Add text; returns the index of the first row that changed."""
        changed = max(0, len(self.rows) - 1)
        if self.rows:
            self.rows.pop()
        first, *others = (self._last + text.replace("\t", TAB)).split("\n")
        self.rows += wrap_line(first, self.width)
        for line in others:
            self.rows += wrap_line(line, self.width)
        self._last = self.rows[-1]
        return changed


def wrap_line(line: str, width: int) -> list[str]:
    """The rows of one line without newlines; at least one, an empty line is one row."""
    return [line[start:end] for start, end in wrap_spans(line, width)]


def wrap_spans(line: str, width: int, is_whole: bool = False) -> list[tuple[int, int]]:
    """Where the rows of one line begin and end in it; spaces at a break are in none. Where
    nothing will follow (``is_whole``), no single character stands alone in the last row."""
    spans = []
    start, reach, is_ascii = 0, _reach(width), line.isascii()
    # Of the rest only as much is looked at as a row may take: to copy it for each row would take
    # hours for a line of megabytes.
    while start + (cut := _break_position(line[start : start + reach + 1], width, is_ascii)) < len(
        line
    ):
        row = line[start : start + cut]
        spans.append((start, start + len(row.rstrip(" ") or row)))
        start += cut
    spans.append((start, len(line)))
    if is_whole and len(spans) > 1 and _is_single(line[start:]):
        above = spans[-2][0]
        if cut := _earlier_break(line[above:start], width - cell_len(line[start:])):
            spans[-2:] = [(above, above + len(line[above : above + cut].rstrip(" "))),
                          (above + cut, len(line))]  # fmt: skip
    return spans


def _is_single(row: str) -> bool:
    """Whether a row has only one character, beside punctuation that closes."""
    spans, _ = split_graphemes(row.strip())
    return sum(row.strip()[start] not in NO_LINE_START for start, _, _ in spans) <= 1


def _earlier_break(row: str, room: int) -> int:
    """The last place in a row, before its end, where it may be broken so that what follows fits
    into ``room`` cells; 0 where there is none."""
    spans, _ = split_graphemes(row)
    for index in range(len(spans) - 1, 0, -1):
        at = spans[index][0]
        if cell_len(row[at:]) > room:
            return 0
        if _may_break(row, spans[index - 1], spans[index]):
            return at
    return 0


def _reach(width: int) -> int:
    """Characters that are measured for a row: rows are short, also where some have no width."""
    return width * 4 + 16


def _break_position(line: str, width: int, is_ascii: bool) -> int:
    """Where the first row of a line ends, of which more than `_reach` stands for all; a space at
    the break goes with the row."""
    if is_ascii:
        if len(line) <= width:
            return len(line)
        space = line.rfind(" ", 0, width + 1)
        return space + 1 if space > 0 and line[:space].strip() else width
    head = line[: _reach(width)]
    if len(head) == len(line) and cell_len(line) <= width:
        return len(line)
    spans, _ = split_graphemes(head)
    used = best = best_used = 0
    for index, (start, end, cells) in enumerate(spans):
        if used + cells > width and start > 0:
            if head[start:end] == " " and head[:start].strip():
                return end
            # A run of punctuation that fills rows may begin one: else a row stays almost empty.
            is_run = head[start:end] in NO_LINE_START and best_used < width // 2
            return start if is_run else best or start
        used += cells
        following = spans[index + 1] if index + 1 < len(spans) else None
        if following and _may_break(head, (start, end, cells), following):
            best, best_used = end, used
    return len(line) if len(head) == len(line) else best or len(head)


def _may_break(text: str, left: tuple[int, int, int], right: tuple[int, int, int]) -> bool:
    before, after = text[left[0]], text[right[0]]
    if after == " " or after in NO_LINE_START or before in NO_LINE_END:
        return False
    if before == " ":
        return bool(text[: left[0]].strip())
    return left[2] > 1 or right[2] > 1


def clip_middle(text: str, width: int) -> str:
    """One line cut to ``width`` cells in its middle: what names differ in stands at their ends."""
    if width < 5 or cell_len(text) <= width:
        return clip(text, width)
    left = set_cell_size(text, (width - 1) // 2).rstrip(" ")
    right = text[-4 * width :]  # each step measures all that is left; some take no cell
    while cell_len(right) > width - 1 - cell_len(left):
        right = right[1:]
    return f"{left}…{right}"


def clip(text: str, width: int) -> str:
    """One line cut to ``width`` cells, with an ellipsis where something was cut."""
    if width <= 0:
        return ""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1).rstrip(" ") + "…"
