"""Which variables of the environment hold secrets, and how their values are made unreadable.

A value is masked wherever text is stored, shown or logged, also where only a part of it is quoted:
a part of `PART` characters or more.
"""

import os
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from urllib.parse import unquote

SECRET_ENDINGS = ("_KEY", "_TOKEN", "_SECRET", "_PASSWORD")
"""What the name of a variable with a service's key ends in, in capitals or not."""
PART = 8
"""Characters of a secret that give it away."""
MASK = "***"

_OTHER_ENDINGS = ("APIKEY", "PASSWORD", "PASSWD", "PASSPHRASE", "_PASS", "_PWD", "_PAT")
_MIN_LENGTH = 6
"""Shorter ones are no secret, and would be found in any text."""
_WORD = re.compile(r"[^\W\d_]{1,15}")
"""A plain word is no key (`EMPTY`, `password`), and stands in honest text."""
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://")
_LOGIN = re.compile(r"://([^\s/@?#]+)@")
_PROBE = 4
_HELD = range(PART - 1, _PROBE - 1, -1)
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e01ef]"
)
"""Characters without a shape: a secret with them between its letters looks as it is."""
_MOST_HELD = 4096
"""Characters that a stream holds back with all of their invisible ones."""


@lru_cache(maxsize=1024)
def is_secret(name: str) -> bool:
    """Whether a variable of this name is kept from child processes and its value masked."""
    return name.upper().endswith((*SECRET_ENDINGS, *_OTHER_ENDINGS))


class Mask:
    """Makes every value, and every part of one of `PART` characters or more, ``***``."""

    def __init__(self, values: Iterable[str]) -> None:
        self._parts: set[str] = set()
        self._whole: set[str] = set()
        for value in values:
            # Of a key with an address or a line break before it, what identifies it is masked.
            for word in _SCHEME.sub("", value.strip()).split():
                if len(word) >= PART and not word.startswith("-----"):
                    self._parts |= _pieces(word, PART)
                elif len(word) >= _MIN_LENGTH and word == value.strip():
                    self._whole.add(word)
        known = self._parts | self._whole
        self._probes = {piece for part in self._parts for piece in _pieces(part, _PROBE)}
        self._beginnings = {n: {p for one in known for p in _pieces(one, n)} for n in _HELD}

    def __bool__(self) -> bool:
        return bool(self._parts or self._whole)

    def redact(self, text: str) -> str:
        """``text`` with every secret, or part of one, made ``***``."""
        found = self.find(text)
        if not found:
            return text
        out: list[str] = []
        at = 0
        for start, end in found:
            out += (text[at:start], MASK)
            at = end
        return "".join((*out, text[at:]))

    def find(self, text: str) -> list[tuple[int, int]]:
        """Where something to mask begins and ends, in order, without overlaps; invisible
        characters within it hide nothing."""
        if (places := _visible_places(text)) is None:
            return self._find(text)
        spans = self._find(_INVISIBLE.sub("", text))
        return [(places[first], places[last - 1] + 1) for first, last in spans]

    def _find(self, text: str) -> list[tuple[int, int]]:
        found = []
        # Every stretch of PART characters holds one of these probes whole.
        for at in range(0, len(text) - _PROBE + 1, PART - _PROBE + 1) if self._parts else ():
            if text[at : at + _PROBE] in self._probes:
                first = max(0, at - (PART - _PROBE))
                found += [
                    (i, i + PART) for i in range(first, at + 1) if text[i : i + PART] in self._parts
                ]
        for word in self._whole:
            at = text.find(word)
            while at >= 0:
                found.append((at, at + len(word)))
                at = text.find(word, at + 1)
        return _joined(sorted(found))

    def length_held(self, text: str) -> int:
        """How many characters at the end of ``text`` may be the beginning of something to
        mask."""
        if (places := _visible_places(text)) is None:
            return self._length_held(text)
        held = self._length_held(_INVISIBLE.sub("", text))
        return len(text) - places[-held] if held else 0

    def _length_held(self, text: str) -> int:
        return next((n for n in _HELD if text[-n:] in self._beginnings[n]), 0)


class StreamMask:
    """`Mask` for text that comes in pieces: a secret is masked however it was cut up, but for at
    most three characters before it.

    What may be the beginning of a secret is held back until it is known to be none.
    """

    def __init__(self, mask: Mask) -> None:
        self._mask = mask
        self._seen = self._held = ""
        self._ends_masked = False

    def feed(self, text: str) -> str:
        """What can be passed on after some more text."""
        return self._release(text, final=False)

    def finish(self) -> str:
        """What was still held back."""
        return self._release("", final=True)

    def _release(self, more: str, final: bool) -> str:
        text, start = self._seen + self._held + more, len(self._seen)
        found = self._mask.find(text)
        held = 0 if final else min(self._mask.length_held(text), len(text) - start)
        if found:
            held = min(held, len(text) - found[-1][1])
        end = len(text) - held
        out, at = [], start
        for first, last in found:
            if last <= start:
                continue
            out.append(text[at : max(first, at)])
            if not (first <= start and self._ends_masked):
                out.append(MASK)
            at = last
        out.append(text[at:end])
        if end > start:
            self._ends_masked = bool(found) and found[-1][1] == end
        self._seen, self._held = _INVISIBLE.sub("", text[:end])[1 - PART :], text[end:]
        if len(self._held) > _MOST_HELD:
            self._held = _INVISIBLE.sub("", self._held)
        return "".join(out)


def environment_mask(environ: Mapping[str, str] | None = None) -> Mask:
    """The mask of what the environment (this program's own by default) keeps secret."""
    given = os.environ if environ is None else environ
    found: list[str] = []
    for name, value in given.items():
        found += [value] if is_secret(name) else _logins(value)
    return _mask(tuple(found))


def redact_secrets(text: str) -> str:
    """``text`` with the secrets of the environment masked."""
    return environment_mask().redact(text)


def _logins(value: str) -> list[str]:
    """The passwords of the addresses in a variable's value, as a proxy's; of one without a user
    name what stands in the place of both. As they are written, and as they are meant."""
    given = [login.rpartition(":")[2] for login in _LOGIN.findall(value)] if "@" in value else []
    return [form for one in given for form in dict.fromkeys((one, unquote(one)))]


@lru_cache(maxsize=8)
def _mask(values: tuple[str, ...]) -> Mask:
    return Mask(value for value in values if not _is_harmless(value.strip()))


def _is_harmless(value: str) -> bool:
    if _WORD.fullmatch(value):
        return True
    # SSL_KEY and its like may hold the path of a key.
    return value.startswith(("/", "~", "./")) and os.path.lexists(
        os.path.expanduser(value)  # noqa: PTH111 - raises nothing
    )


def _visible_places(text: str) -> list[int] | None:
    """Where the visible characters stand; None: all of them are."""
    if text.isascii() or not _INVISIBLE.search(text):
        return None
    return [at for at, char in enumerate(text) if not _INVISIBLE.match(char)]


def _pieces(text: str, length: int) -> set[str]:
    return {text[i : i + length] for i in range(len(text) - length + 1)}


def _joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for first, last in spans:
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return joined
