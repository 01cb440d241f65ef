"""The one sanitiser for foreign text: model output, names, errors, files.

A terminal acts on control characters; other characters reorder or hide text. Each such
character is replaced by a visible sign or removed, so that the result can be printed
anywhere. Newline and tab stay.
"""

_REPLACEMENT = "�"

_BIDI = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
"""Marks, embeddings, overrides and isolates: text must be shown in its stored order
(CVE-2021-42574, "Trojan Source")."""

_HIDDEN = (
    0x00AD,  # soft hyphen
    0x115F,  # fillers of Hangul
    0x1160,
    0x3164,
    0xFFA0,
    *range(0x17B4, 0x17B6),  # inherent vowels of Khmer
    *range(0x180B, 0x1810),  # Mongolian selectors and vowel separator
    0x200B,  # zero width space
    *range(0x2060, 0x2066),  # word joiner, invisible operators
    *range(0x206A, 0x2070),  # deprecated format characters
    0xFEFF,  # byte order mark
    *range(0xFFF9, 0xFFFC),  # interlinear annotation
    *range(0x1BCA0, 0x1BCA4),  # shorthand format controls
    *range(0x1D173, 0x1D17B),  # spans of musical notation
    *range(0xE0000, 0xE0080),  # tags: an invisible alphabet
    *range(0xE0100, 0xE01F0),  # variation selectors, 17 to 256
)
"""Characters without a shape that can carry or split text unseen. The joiners U+200C and
U+200D and the selectors U+FE00 to U+FE0F stay: Persian, Indic scripts and emoji need them."""


def _table() -> dict[int, str]:
    table = {code: chr(0x2400 + code) for code in range(0x20)}  # ␀ to ␟
    table[0x0D] = ""  # of CR LF; alone it would overwrite the line
    del table[0x09], table[0x0A]
    table[0x7F] = "␡"
    table |= dict.fromkeys(range(0x80, 0xA0), _REPLACEMENT)
    table |= dict.fromkeys(_BIDI, _REPLACEMENT)
    table |= dict.fromkeys(_HIDDEN, "")
    table |= dict.fromkeys((0x0B, 0x0C, 0x2028, 0x2029), "\n")
    table |= dict.fromkeys(range(0xD800, 0xE000), _REPLACEMENT)
    return table


_SAFE = _table()
_ONE_LINE = _SAFE | {0x09: " ", 0x0A: " ", 0x0B: " ", 0x0C: " ", 0x2028: " ", 0x2029: " "}


def clean(text: str) -> str:
    """``text`` without anything a terminal would act on or that hides or reorders text.

    Control characters become their pictures (``␛``), C1 controls, bidirectional controls
    and lone surrogates ``�``; invisible characters are dropped; line and paragraph
    separators become newlines. Cleaning twice changes nothing.
    """
    return text.translate(_SAFE)


def one_line(text: str) -> str:
    """`clean` for a place that has one line: newlines and tabs become spaces."""
    return text.translate(_ONE_LINE)


def collapse_line(text: object) -> str:
    """`clean` on one line, with each run of white space as one blank."""
    return " ".join(clean(str(text)).split())
