"""Text of an answer as it grows, id by id."""

from collections.abc import Callable, Sequence

Split = Callable[[str], tuple[str, str]]
"""Decoded answer to (reasoning, text)."""

UNFINISHED = "�"
_KEPT = 8
"""Ids that stay in the window as context: more than one character is ever spread over."""
_WINDOW = 24
_LONGEST = 64
_HELD = 8
"""Ids without a whole character after which they are known not to become one: a UTF-8
sequence has four bytes."""


class TextStream:
    """Cumulative decoding over a bounded window of ids, so that n ids cost O(n).

    A token's text depends on the ids before it (a leading space, the first bytes of a
    character), so the window is decoded as a whole and only what is new is given out.
    U+FFFD at the end is held back: more ids may complete the character.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str]) -> None:
        self._decode = decode
        self._ids: list[int] = []
        self._given = 0
        self._held = 0

    def push(self, token: int) -> str:
        """The text that this id made certain; may be empty."""
        self._ids.append(token)
        text = self._decode(self._ids)
        whole = text.rstrip(UNFINISHED)
        self._held = self._held + 1 if len(whole) < len(text) else 0
        if self._held >= _HELD:
            whole, self._held = text, 0
        fresh = whole[self._given :]
        self._given = max(self._given, len(whole))
        if not self._held and len(self._ids) >= _WINDOW:
            self._shrink(text)
        return fresh

    def finish(self) -> str:
        """What was held back, once no more ids will come."""
        text = self._decode(self._ids) if self._held else ""
        fresh = text[self._given :]
        self._given, self._held = max(self._given, len(text)), 0
        return fresh

    def _shrink(self, text: str) -> None:
        # A cut inside a character, whose bytes are four tokens at most, changes what
        # follows: a run of byte tokens that begins in the middle decodes to nothing but
        # U+FFFD.
        for count in range(_KEPT, _KEPT + 4):
            kept = self._ids[-count:]
            tail = self._decode(kept)
            if tail and text.endswith(tail):
                break
        else:
            if len(self._ids) < _LONGEST:
                return
        self._ids, self._given = kept, len(tail)


class Visible:
    """Splits what is streamed into reasoning and answer, giving out only what is new."""

    def __init__(self, split: Split, finished: Split) -> None:
        self._split, self._finished = split, finished
        self._raw = ""
        self._reasoning = 0
        self._text = 0

    def push(self, piece: str, last: bool = False) -> tuple[str, str]:
        """New (reasoning, text) after ``piece`` was decoded; ``last`` gives out what was
        held back in doubt."""
        if not piece and not last:
            return "", ""
        self._raw += piece
        reasoning, text = (self._finished if last else self._split)(self._raw)
        fresh = reasoning[self._reasoning :], text[self._text :]
        self._reasoning = max(self._reasoning, len(reasoning))
        self._text = max(self._text, len(text))
        return fresh

    @property
    def characters(self) -> int:
        """Code points of the visible answer given so far, without the reasoning."""
        return self._text
