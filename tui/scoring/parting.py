"""The first token at which two answers part, and what each could have said there."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from tui.events import Logprobs
from tui.text.sanitise import clean
from tui.text.width import shorten

SHOWN_TOKENS = 5
_LONGEST = 24
"""Code points of a token that are shown."""
_LEAST_LOG = -9999.0
_BLANKS = re.compile(r"  +|^ $")
_SIGNS = {0x09: "⇥", 0x0A: "↵"}


@dataclass(frozen=True, slots=True)
class Step:
    """A token of an answer in words: the ``chosen`` one, and the ``likeliest`` with their
    probabilities, the likeliest first. ``is_first``: that was the chosen one."""

    chosen: str
    likeliest: str
    is_first: bool


def find_parting(left: Sequence[Logprobs], right: Sequence[Logprobs]) -> int | None:
    """The place (from 0) of the first token that is another one; None where all that both have
    are the same, or the same text was only cut into other tokens."""
    pairs = zip(left, right, strict=False)
    at = next((i for i, (a, b) in enumerate(pairs) if a.token != b.token), None)
    if at is None:
        return None
    one, other = ("".join(said.token for said in side[at:]) for side in (left, right))
    is_same_text = one.startswith(right[at].token) and other.startswith(left[at].token)
    return None if is_same_text and _is_told(left[at]) and _is_told(right[at]) else at


def _is_told(said: Logprobs) -> bool:
    """Whether a token has a text, or is known to have none alone: a part of a character. What ends
    an answer has none either, and a probability."""
    return bool(said.token) or said.logprob is None


def describe_step(said: Logprobs, nothing: str) -> Step:
    """What was chosen, and out of what; ``nothing`` is written for a token without a text, as that
    at the end is."""
    top = _likely(said)
    chosen = _shown(said.token, nothing) + _share(said.logprob)
    told = ", ".join(_shown(token, nothing) + _share(log) for token, log in top[:SHOWN_TOKENS])
    return Step(chosen, told, bool(top) and top[0][0] == said.token)


def _likely(said: Logprobs) -> list[tuple[str, float]]:
    """The likeliest tokens; a session file may hold anything in their place."""
    found = [
        (item[0], max(_LEAST_LOG, item[1]))
        for item in said.top
        if isinstance(item, list) and len(item) == 2 and isinstance(item[0], str)
        if type(item[1]) in (int, float) and item[1] <= 0
    ]
    return sorted(found, key=lambda one: -one[1])


def _share(log: float | None) -> str:
    return "" if log is None or log > 0 else f" {math.exp(max(_LEAST_LOG, log)):.1%}"


def _shown(token: str, nothing: str) -> str:
    """A token in quotes, on one line, its blanks to be seen where they would not be."""
    text = _BLANKS.sub(lambda found: "␣" * len(found[0]), clean(token).translate(_SIGNS))
    return f"“{shorten(text, _LONGEST)}”" if text else nothing
