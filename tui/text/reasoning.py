"""Splits reasoning (``<think>...</think>``) from the answer that a service streams."""

THINK_OPEN, THINK_CLOSE = "<think>", "</think>"
_MARKS = {
    THINK_OPEN: THINK_CLOSE,
    "<thinking>": "</thinking>",
    "<thought>": "</thought>",
    "<seed:think>": "</seed:think>",
    "[THINK]": "[/THINK]",
}
"""What services write around the thoughts that they leave in the answer."""
_MAX_LEADING = 256


def without_start_of(tag: str, text: str) -> str:
    """``text`` without a tail that is the beginning of ``tag``."""
    for length in range(min(len(tag) - 1, len(text)), 0, -1):
        if text.endswith(tag[:length]):
            return text[:-length]
    return text


class ReasoningParser:
    """Splits text that arrives in pieces, in one pass, without knowing the prompt. Text that
    was given is never taken back."""

    turned: bool
    """Whether what `feed` gave last began with the end of a thought that nothing had opened: all
    text before it is reasoning too."""

    def __init__(self) -> None:
        self.turned = False
        self._before = ""
        self.may_turn = True
        """Whether such an end is looked for."""
        self._mentions_mark = False
        self._held = ""
        self._state = self._at_start
        self._close = THINK_CLOSE

    def feed(self, text: str) -> list[tuple[str, bool]]:
        """The pieces that are certain after ``text``, each with whether it is reasoning."""
        self._held, self.turned = self._held + text, False
        return [piece for piece in self._state() if piece[0]]

    def finish(self) -> list[tuple[str, bool]]:
        """The piece that was held back, at the end of the text."""
        held, self._held = self._held, ""
        return [(held, self._state == self._in_thought)] if held.strip() else []

    def _at_start(self) -> list[tuple[str, bool]]:
        body = self._held.lstrip()
        for mark, close in _MARKS.items():
            if body.startswith(mark):
                self._held, self._close = body[len(mark) :], close
                self._state, self.may_turn = self._before_thought, False
                return self._state()
        could_be = any(mark.startswith(body) for mark in _MARKS)
        if could_be and len(self._held) < _MAX_LEADING:
            return []
        self._state = self._in_answer
        return self._state()

    def _before_thought(self) -> list[tuple[str, bool]]:
        self._held = self._held.lstrip()
        if self._held:
            self._state = self._in_thought
            return self._state()
        return []

    def _in_thought(self) -> list[tuple[str, bool]]:
        thought, closed, rest = self._held.partition(self._close)
        if closed:
            self._held, self._state = rest, self._before_answer
            return [(thought, True), *self._state()]
        sure = without_start_of(self._close, thought)
        self._held = thought[len(sure) :]
        return [(sure, True)]

    def _before_answer(self) -> list[tuple[str, bool]]:
        self._held = self._held.lstrip()
        if self._held:
            self._state = self._in_answer
        return self._in_answer()

    def _in_answer(self) -> list[tuple[str, bool]]:
        if not self.may_turn:
            text, self._held = self._held, ""
            return [(text, False)]
        text, closed, rest = self._held.partition(THINK_CLOSE)
        self._mentions_mark |= THINK_OPEN in self._before + text
        if closed or self._mentions_mark:
            self.may_turn = False
            if self._mentions_mark:  # who writes about the marks writes the opening one first
                return self._in_answer()
            self.turned, self._held, self._state = True, rest, self._before_answer
            return [(text, True), *self._state()]
        sure = without_start_of(THINK_CLOSE, text)
        self._held = text[len(sure) :]
        self._before = (self._before + sure)[-len(THINK_OPEN) :]
        return [(sure, False)]
