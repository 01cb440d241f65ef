"""Judging without names: another order in each question, letters in place of names."""

import hashlib
import random
import re
from collections.abc import Iterable

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
REDACTED = "▒▒▒"


def shuffled_order(models: int, question: str, seed: str) -> list[int]:
    """The models' indices in the order they are shown in for a question.

    The same seed gives the same order again, so that judging can be interrupted and resumed.
    The orders of different questions are independent of each other.
    """
    digest = hashlib.sha256(f"{seed}\0{question}".encode()).digest()
    shuffled = list(range(models))
    random.Random(digest).shuffle(shuffled)
    return shuffled


def letter_of(place: int) -> str:
    """What the pane at ``place`` is headed with: A, B, ..., Z, A2, ..."""
    round_, index = divmod(place, len(LETTERS))
    return LETTERS[index] + (str(round_ + 1) if round_ else "")


def identifying_names(texts: Iterable[str]) -> tuple[str, ...]:
    """The words in labels, references and families that identify a model.

    A name is hidden with and without its dtype and version: ``Qwen-7B-Chat@int4`` also as
    ``Qwen-7B-Chat`` and ``Qwen``.
    """
    found: set[str] = set()
    for text in texts:
        bare = text.rsplit("/", 1)[-1]
        stem = bare.split("@")[0].split(" #")[0]
        word = re.match(r"[^\W\d_]+", stem.split(":")[-1])
        found.update((text, bare, stem, word[0] if word else ""))
    return tuple(sorted((n for n in found if len(n) > 2), key=lambda n: (-len(n), n)))


def redact(text: str, names: Iterable[str]) -> str:
    """``text`` with every name hidden, in any case: models often name themselves."""
    pattern = "|".join(re.escape(name) for name in names)
    return re.sub(pattern, REDACTED, text, flags=re.IGNORECASE) if pattern else text


class Redactor:
    """`redact` for text that comes in pieces: a name is hidden however it was cut up.

    What may be the beginning of a name is held back until it is known to be none.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = sorted({name.lower() for name in names}, key=len, reverse=True)
        self._first = {name[0] for name in self._names}
        self._held = ""

    def feed(self, text: str) -> str:
        """What can be shown after some more text."""
        return self._release(self._held + text, final=False)

    def finish(self) -> str:
        """What was still held back."""
        return self._release(self._held, final=True)

    def _release(self, text: str, final: bool) -> str:
        out: list[str] = []
        low = text.lower()
        if len(low) != len(text):  # some letters have a longer lower case: compare one by one
            low = "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
        at = 0
        while at < len(text):
            if low[at] not in self._first:
                out.append(text[at])
                at += 1
                continue
            rest = low[at:]
            if not final and any(len(n) > len(rest) and n.startswith(rest) for n in self._names):
                break
            name = next((n for n in self._names if rest.startswith(n)), "")
            out.append(REDACTED if name else text[at])
            at += len(name) or 1
        self._held = text[at:]
        return "".join(out)
