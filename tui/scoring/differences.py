"""Differences of two texts by word, and by character inside changed words.

Words are runs of letters and digits, each Chinese, Japanese or Korean character by itself,
and every other sign by itself; so a changed Chinese character is as narrow as a changed
English word.
"""

import re
from dataclasses import dataclass
from difflib import SequenceMatcher

SAME, CHANGED, ONLY = "same", "changed", "only"

_TOKEN = re.compile(
    r"[぀-ヿ㐀-䶿一-鿿豈-﫿가-힣\U00020000-\U0003ffff]"
    r"|[^\W぀-ヿ㐀-䶿一-鿿豈-﫿가-힣\U00020000-\U0003ffff]+|\s+|[^\w\s]|_"
)
MAX_PRODUCT = 4_000_000
"""Matching is quadratic: above this many pairs of words whole lines are compared, and
above this many pairs of lines nothing but the two texts as such."""


@dataclass(frozen=True, slots=True)
class DiffSpan:
    """A stretch of a text, ``start`` to ``end`` in code points. ``kind`` is ``same``,
    ``changed`` (the other text has something else there) or ``only`` (it has nothing);
    ``changed_parts`` are the stretches within a change that truly differ, by character."""

    start: int
    end: int
    kind: str
    changed_parts: tuple[tuple[int, int], ...] = ()


def diff_texts(left: str, right: str) -> tuple[list[DiffSpan], list[DiffSpan]]:
    """The spans of both texts; each list covers its text from end to end."""
    a, b = _split(left), _split(right)
    if len(a) * len(b) > MAX_PRODUCT:
        a, b = left.splitlines(keepends=True), right.splitlines(keepends=True)
    if len(a) * len(b) > MAX_PRODUCT:
        a, b = [left], [right]
    starts_a, starts_b = _starts(a), _starts(b)
    spans_a: list[DiffSpan] = []
    spans_b: list[DiffSpan] = []
    for tag, a0, a1, b0, b1 in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        at_a, at_b = (starts_a[a0], starts_a[a1]), (starts_b[b0], starts_b[b1])
        if tag == "equal":
            spans_a.append(DiffSpan(*at_a, SAME))
            spans_b.append(DiffSpan(*at_b, SAME))
        elif tag == "replace":
            inner_a, inner_b = _changed_parts(left[slice(*at_a)], right[slice(*at_b)])
            spans_a.append(DiffSpan(*at_a, CHANGED, _shifted(inner_a, at_a[0])))
            spans_b.append(DiffSpan(*at_b, CHANGED, _shifted(inner_b, at_b[0])))
        elif tag == "delete":
            spans_a.append(DiffSpan(*at_a, ONLY))
        else:
            spans_b.append(DiffSpan(*at_b, ONLY))
    return spans_a, spans_b


def similarity(left: str, right: str) -> float:
    """Share of the characters of both texts that lie in common spans, 0 to 1."""
    if not left and not right:
        return 1.0
    spans, _ = diff_texts(left, right)
    common = sum(span.end - span.start for span in spans if span.kind == SAME)
    return 2 * common / (len(left) + len(right))


Ranges = list[tuple[int, int]]


def _changed_parts(left: str, right: str) -> tuple[Ranges, Ranges]:
    if len(left) * len(right) > 40_000:
        return [(0, len(left))], [(0, len(right))]
    found: tuple[Ranges, Ranges] = ([], [])
    for tag, a0, a1, b0, b1 in SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        if tag != "equal":
            for stretches, start, end in ((found[0], a0, a1), (found[1], b0, b1)):
                if end > start:
                    stretches.append((start, end))
    return found


def _shifted(stretches: Ranges, by: int) -> tuple[tuple[int, int], ...]:
    return tuple((start + by, end + by) for start, end in stretches)


def _split(text: str) -> list[str]:
    return _TOKEN.findall(text)


def _starts(tokens: list[str]) -> list[int]:
    starts = [0]
    for token in tokens:
        starts.append(starts[-1] + len(token))
    return starts
