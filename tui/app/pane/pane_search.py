"""Search in the rows of a pane, kept up to date while they grow at their end.

Case, spaces, line breaks and the lines drawn beside text do not count, so that words are found
wherever the pane's width has broken them. Only new rows are searched: the cost per token does
not grow with the answer.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable

from tui.app.style.appearance import StyledText

CharRange = tuple[int, int]
"""Characters of a row, from and to."""

_IGNORED = frozenset("›┊│┃─━┏┓┗┛┡┩├┤└┘┌┐┬┴┼╇╋┳┻╷╵╶╴ \t\n\u3000\xa0")
_MATCH_STYLE = "reverse"
_CURRENT_STYLE = "cursor bold underline"


def normalised(text: str) -> tuple[str, list[int]]:
    """The text that counts, and of each of its characters the place in ``text``."""
    kept: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        if character not in _IGNORED:
            for one in character.casefold():
                kept.append(one)
                places.append(place)
    return "".join(kept), places


class PaneSearch:
    """Where a text stands in rows; ``current`` is the match a person is at (-1: none)."""

    def __init__(self, query: str) -> None:
        self.query = query
        self._needle = normalised(query)[0] or query.strip()
        self._texts: list[str] = []
        self._places: list[list[int]] = []
        self._starts: list[int] = []
        """Where each row begins in the text of all rows."""
        self._matches: list[int] = []
        """Where each match begins in it."""
        self.current = -1

    def __len__(self) -> int:
        return len(self._matches)

    def update(self, first: int, count: int, row: Callable[[int], str]) -> int:
        """Rows from ``first`` on are others now, and there are ``count``; the first row in
        which a match may have come or gone."""
        first = min(first, len(self._texts))
        begin = self._starts[first] if first < len(self._starts) else self._end
        del self._texts[first:], self._places[first:], self._starts[first:]
        end = begin
        for index in range(first, count):
            text, places = normalised(row(index))
            self._texts.append(text)
            self._places.append(places)
            self._starts.append(end)
            end += len(text)
        return self._search(max(0, begin - len(self._needle) + 1), first)

    @property
    def _end(self) -> int:
        return self._starts[-1] + len(self._texts[-1]) if self._texts else 0

    def _search(self, begin: int, first: int) -> int:
        """Find anew from a place on; the first row with a match from there, or ``first``."""
        del self._matches[bisect_left(self._matches, begin) :]
        if not self._needle or not self._texts:
            self.current = -1
            return first
        top = max(0, bisect_right(self._starts, begin) - 1)
        tail, offset = "".join(self._texts[top:]), self._starts[top]
        after = self._matches[-1] + len(self._needle) if self._matches else 0
        at = tail.find(self._needle, max(begin, after) - offset)
        while at >= 0:
            self._matches.append(offset + at)
            at = tail.find(self._needle, at + len(self._needle))
        self.current = min(self.current, len(self._matches) - 1)
        return min(first, top)

    def row_of(self, match: int) -> int:
        """The row in which a match begins."""
        return bisect_right(self._starts, self._matches[match]) - 1

    def move_to_match(self, step: int, row: int) -> int | None:
        """To the next (1) or previous (-1) match, round and round; its row, None where there
        is none. The first is the one from ``row`` on."""
        if not self._matches:
            return None
        if self.current < 0:
            begin = self._starts[min(row, len(self._starts) - 1)]
            self.current = bisect_left(self._matches, begin) - (step < 0)
            self.current %= len(self._matches)
        else:
            self.current = (self.current + step) % len(self._matches)
        return self.row_of(self.current)

    def match_ranges(self, row: int) -> list[tuple[CharRange, bool]]:
        """What of a row is in a match, and whether that is the one a person is at."""
        if row >= len(self._texts) or not self._texts[row]:
            return []
        start, size = self._starts[row], len(self._needle)
        end, places = start + len(self._texts[row]), self._places[row]
        found = []
        match = bisect_right(self._matches, start - size)
        while match < len(self._matches) and self._matches[match] < end:
            left = max(self._matches[match], start) - start
            right = min(self._matches[match] + size, end) - start
            found.append(((places[left], places[right - 1] + 1), match == self.current))
            match += 1
        return found


def highlight_matches(
    pieces: list[StyledText], spans: list[tuple[CharRange, bool]]
) -> list[StyledText]:
    """The pieces of a row with its matches in styles of their own."""
    made: list[StyledText] = []
    at = 0
    for text, style in pieces:
        end, cut = at + len(text), at
        for (left, right), current in spans:
            left, right = max(left, cut), min(right, end)
            if left < right:
                made.append((text[cut - at : left - at], style))
                made.append(
                    (text[left - at : right - at], _CURRENT_STYLE if current else _MATCH_STYLE)
                )
                cut = right
        made.append((text[cut - at :], style))
        at = end
    return [piece for piece in made if piece[0]]
