"""A model's thoughts apart from its answer: what stands between ``<think>`` and ``</think>``."""

from collections.abc import Callable

OPEN, CLOSE = "<think>", "</think>"

Visible = Callable[[str], tuple[str, str]]


def plain(answer: str) -> tuple[str, str]:
    """The answer of a model that does not think aloud."""
    return "", answer


def divider(begins_open: bool, *, complete: bool) -> Visible:
    """A function from a decoded answer to (reasoning, text).

    ``begins_open``: the prompt itself ended in ``<think>``, the answer starts in thought.
    Unless ``complete``, what may still turn out to be part of a tag is held back, so that
    more of an answer never takes back what less of it gave.
    """

    def divided(answer: str) -> tuple[str, str]:
        body = answer.lstrip()
        if body.startswith(OPEN):
            body = body[len(OPEN) :]
        elif not begins_open:
            unsure = not complete and OPEN.startswith(body)
            return "", "" if unsure else answer
        thought, closed, text = body.partition(CLOSE)
        if closed:
            return thought.strip(), text.lstrip()
        if not complete:
            if begins_open and OPEN.startswith(body):
                return "", ""
            thought = _without_start_of(CLOSE, thought)
        return thought.strip(), ""

    return divided


def _without_start_of(tag: str, text: str) -> str:
    """``text`` without a tail that is the beginning of ``tag``."""
    for length in range(min(len(tag) - 1, len(text)), 0, -1):
        if text.endswith(tag[:length]):
            return text[:-length]
    return text
