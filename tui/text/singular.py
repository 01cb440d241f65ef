"""English texts of one thing, which the program writes as of several."""

import re

_COUNTED = "|".join(
    (
        *("answer", "byte", "column", "core", "event", "file", "key", "layer", "model", "pair"),
        "part",
        *("question", "session", "tensor", "thread", "token", "turn"),
    )
)
"""What the program counts in its texts."""


def in_singular(text: str) -> str:
    """An English text in which one thing is not told as several."""
    numbers = {"are": "is", "were": "was"}
    return re.sub(
        rf"(?<![\w.,:/'-])1 ((?:more |open |changed |whole )?(?:{_COUNTED}))s\b(?: (are|were)\b)?",
        lambda match: f"1 {match[1]}" + (f" {numbers[match[2]]}" if match[2] else ""),
        text,
    )
