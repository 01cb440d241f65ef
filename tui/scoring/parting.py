"""The first token at which two answers part, and what each could have said there."""

import math
from collections.abc import Sequence

from tui.events import Logprobs
from tui.text.sanitise import collapse_line

SHOWN_TOKENS = 5


def find_parting(left: Sequence[Logprobs], right: Sequence[Logprobs]) -> int | None:
    """The place (from 0) of the first token that is another one; None where all that both have
    are the same."""
    pairs = zip(left, right, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a.token != b.token), None)


def describe_top(said: Logprobs) -> str:
    """The likeliest tokens with their probabilities, the likeliest first."""
    found = []
    for item in said.top[:SHOWN_TOKENS]:
        # A session file may hold anything.
        if isinstance(item, list) and len(item) == 2 and isinstance(item[0], str):
            log = item[1]
            if type(log) in (int, float) and log <= 0:
                token = collapse_line(item[0]) or "␣"
                found.append(f"“{token}” {math.exp(log):.1%}")
    return ", ".join(found)
