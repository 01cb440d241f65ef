"""Judging without names: another order in each question, letters in place of names."""

import hashlib
import random
import re
from collections.abc import Iterable

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
HIDDEN = "▒▒▒"


def order(models: int, question: str, seed: str) -> list[int]:
    """The models' indices in the order they are shown in for a question.

    The same seed gives the same order again, so that judging can be broken off and taken
    up; orders of different questions tell nothing about each other.
    """
    digest = hashlib.sha256(f"{seed}\0{question}".encode()).digest()
    shuffled = list(range(models))
    random.Random(digest).shuffle(shuffled)
    return shuffled


def letter(place: int) -> str:
    """What the pane at ``place`` is headed with: A, B, ..., Z, A2, ..."""
    round_, index = divmod(place, len(LETTERS))
    return LETTERS[index] + (str(round_ + 1) if round_ else "")


def names_of(texts: Iterable[str]) -> tuple[str, ...]:
    """The words in labels, references and families that would give a model away.

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
    """``text`` with every name (in any case) hidden: models like to introduce themselves."""
    pattern = "|".join(re.escape(name) for name in names)
    return re.sub(pattern, HIDDEN, text, flags=re.IGNORECASE) if pattern else text
