"""Two texts in rows beside each other, what differs marked, what is common level.

Lines that both texts have stand in the same row: the differences are cut at the line ends
they share, and the shorter side of each piece is filled with empty rows.
"""

from dataclasses import dataclass

from tui.app.pane.wrapping import TAB, wrap_spans
from tui.app.style.appearance import StyledText
from tui.scoring.differences import CHANGED, SAME, DiffSpan, diff_texts
from tui.text.sanitise import clean

STYLES = {"same": "", "changed": "warn", "inner": "warn reverse", "only": "good reverse"}
"""By what a stretch is: marked also without colours."""


@dataclass(frozen=True, slots=True)
class SideBySide:
    """``rows`` of (left, right) pieces; ``similarity`` is the share of characters in common."""

    rows: list[tuple[list[StyledText], list[StyledText]]]
    similarity: float


def side_by_side(left: str, right: str, width: int) -> SideBySide:
    """The rows of two untrusted texts in two columns of ``width`` cells."""
    a, b = (clean(text).replace("\t", TAB).strip("\n") for text in (left, right))
    spans_a, spans_b = diff_texts(a, b)
    common = sum(span.end - span.start for span in spans_a if span.kind == SAME)
    rows: list[tuple[list[StyledText], list[StyledText]]] = []
    at_a = at_b = 0
    for end_a, end_b in _shared_ends(a, spans_a, spans_b, (len(a), len(b))):
        one = _rows(a, at_a, end_a, spans_a, width)
        two = _rows(b, at_b, end_b, spans_b, width)
        height = max(len(one), len(two))
        rows += zip(one + [[]] * (height - len(one)), two + [[]] * (height - len(two)), strict=True)
        at_a, at_b = end_a + 1, end_b + 1
    return SideBySide(rows, 2 * common / (len(a) + len(b)) if a or b else 1.0)


def _shared_ends(
    text: str, left: list[DiffSpan], right: list[DiffSpan], ends: tuple[int, int]
) -> list[tuple[int, int]]:
    """The newlines that both texts have in common, and their ends."""
    shared = []
    same_left = [span for span in left if span.kind == SAME]
    same_right = [span for span in right if span.kind == SAME]
    for one, two in zip(same_left, same_right, strict=True):
        at = text.find("\n", one.start, one.end)
        while at >= 0:
            shared.append((at, two.start + at - one.start))
            at = text.find("\n", at + 1, one.end)
    return [*shared, ends]


def _rows(
    text: str, start: int, end: int, spans: list[DiffSpan], width: int
) -> list[list[StyledText]]:
    """The rows of a stretch of lines with their styles."""
    rows: list[list[StyledText]] = []
    for line in text[start:end].split("\n"):
        for first, last in wrap_spans(line, width):
            rows.append(_pieces(text, start + first, start + last, spans))
        start += len(line) + 1
    return rows


def _pieces(text: str, start: int, end: int, spans: list[DiffSpan]) -> list[StyledText]:
    pieces: list[StyledText] = []
    for span in spans:
        if span.end <= start or span.start >= end:
            continue
        at, last = max(start, span.start), min(end, span.end)
        inner = span.changed_parts if span.kind == CHANGED else ()
        for inner_start, inner_end in inner:
            if inner_end <= at or inner_start >= last:
                continue
            if inner_start > at:
                pieces.append((text[at:inner_start], STYLES[CHANGED]))
            at = max(at, inner_start)
            pieces.append((text[at : min(inner_end, last)], STYLES["inner"]))
            at = min(inner_end, last)
        if at < last:
            pieces.append((text[at:last], STYLES[span.kind]))
    return pieces
