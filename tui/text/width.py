"""How long a text is, in cells of a terminal, from the standard library's tables alone.

East Asian wide and fullwidth characters take two (Unicode Standard Annex 11).
"""

import unicodedata

_JOINING = "\u200c\u200d\ufe0e\ufe0f"


def char_width(char: str) -> int:
    """Cells of a character: 0 for one that joins the one before, 2 for a wide one."""
    if unicodedata.combining(char) or char in _JOINING:
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def text_width(text: str) -> int:
    """Cells of a text on one line."""
    return len(text) if text.isascii() else sum(map(char_width, text))


def clip(text: str, cells: int) -> str:
    """The beginning of a text that takes at most so many cells."""
    while text_width(text) > cells:
        text = text[: max(0, len(text) - max(1, (text_width(text) - cells) // 2))]
    return text


def shorten(text: str, limit: int) -> str:
    """At most ``limit`` code points of a text; where it is cut the last one is ``…``."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
