"""Text of an answer as it grows, id by id."""

from collections.abc import Callable, Sequence

REPLACEMENT_CHARACTER = "�"
_CONTEXT_IDS = 8
"""Ids kept as context for the next decode; no character needs more."""
_WINDOW = 24
_MAX_WINDOW = 64
_MAX_INCOMPLETE = 8
"""Ids without a whole character after which they are known not to become one: a UTF-8
sequence has four bytes."""


class Detokeniser:
    """Cumulative decoding over a bounded window of ids, so that n ids cost O(n).

    A token's text depends on the ids before it (a leading space, the first bytes of a
    character), so the window is decoded as a whole and only what is new is given out.
    U+FFFD at the end is held back: more ids may complete the character.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str]) -> None:
        self._decode = decode
        self._ids: list[int] = []
        self._emitted = 0
        self._incomplete = 0

    def push(self, token: int) -> str:
        """The text that this id made certain; may be empty."""
        self._ids.append(token)
        text = self._decode(self._ids)
        whole = text.rstrip(REPLACEMENT_CHARACTER)
        self._incomplete = self._incomplete + 1 if len(whole) < len(text) else 0
        if self._incomplete >= _MAX_INCOMPLETE:
            whole, self._incomplete = text, 0
        fresh = whole[self._emitted :]
        self._emitted = max(self._emitted, len(whole))
        if not self._incomplete and len(self._ids) >= _WINDOW:
            self._shrink(text)
        return fresh

    def finish(self) -> str:
        """What was held back, once no more ids will come."""
        text = self._decode(self._ids) if self._incomplete else ""
        fresh = text[self._emitted :]
        self._emitted, self._incomplete = max(self._emitted, len(text)), 0
        return fresh

    def _shrink(self, text: str) -> None:
        # A cut inside a character, whose bytes are four tokens at most, changes what
        # follows: a run of byte tokens that begins in the middle decodes to nothing but
        # U+FFFD.
        for count in range(_CONTEXT_IDS, _CONTEXT_IDS + 4):
            kept = self._ids[-count:]
            tail = self._decode(kept)
            if tail and text.endswith(tail):
                break
        else:
            if len(self._ids) < _MAX_WINDOW:
                return
        self._ids, self._emitted = kept, len(tail)
