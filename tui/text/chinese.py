"""The Chinese for what the program says in English (`tui.text.translation`).

The keys of ``chinese.toml`` are the English texts. A key with
``{placeholders}`` stands for all texts of that form; in the Chinese text ``{name}`` is what stood
there, and ``{name:text}`` is that translated in turn.
"""

import re
import string
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

from tui.text.messages import read_pairs

_JOINTS = ((" -> ", " -> "), ("; ", "；"), (": ", "："), (", ", "，"))
"""What stands between texts that were put together, and what stands there in Chinese."""
_WIDE_JOINTS = (" -> ", "; ")
"""Those that stand between whole sentences."""
_NARROW = {"number": r"[^\s:]*?", "count": r"[^\s:]*?", "word": r"\S+"}
"""Placeholders that do not stand for just anything."""
_QUOTED = re.compile(r"(?<!\w)'[^']*'(?!\w)|`[^`]*`")
_ANYTHING = f"(?:{_QUOTED.pattern}|(?!{_QUOTED.pattern}).)*?"
"""What is within quotes stays together."""
_MOST_KEPT = 4096
_DEEPEST = 4
_TELLING = 24
"""Characters of its own from which on a form is surely meant, also where its parts are texts."""
_PROSE = re.compile(r"(?<![\w.'-])[A-Za-z][a-z]+ [a-z]{2,}(?!\w|[.'-]\w)")
"""Two English words in a row: a part of a sentence, not a name."""
_NO_PROSE = frozenset(
    ("command", "error", "example", "message", "one", "other", "said", "text", "title", "why")
)
"""Placeholders of commands, and of what others say in whatever words."""


@lru_cache(_MOST_KEPT)
def find_chinese(text: str, deep: int = 0) -> str | None:
    """The Chinese for an English text of the program, also for several that were put together
    with ``; `` or `` -> ``, or put behind a name with ``: ``; None if there is none."""
    found = _catalogue()
    if (whole := found.texts.get(text)) is not None:
        return whole
    if deep > _DEEPEST:
        return None
    counts = [len(_split(text, joint)) - 1 for joint in _WIDE_JOINTS]
    for form in found.telling:
        # A text that others follow is not swallowed with them.
        if form.joint_counts == counts and (said := form.fill(text, deep)) is not None:
            return said
    if (said := _joined(text, deep, all)) is not None:
        return said
    name, rest = _split(text, ": ")[0], ": ".join(_split(text, ": ")[1:])
    if len(rest) >= _TELLING and rest in found.texts:
        return f"{_find_part(name, deep) or name}：{found.texts[rest]}"
    for form in found.forms:
        if (said := form.fill(text, deep)) is not None:
            return said
    return _behind_a_name(text, deep) or _joined(text, deep, any)


def _joined(text: str, deep: int, enough: Callable[[Iterable[str | None]], bool]) -> str | None:
    """Several texts that were put together, if ``enough`` of them are known. What stands between
    two that are not stays, too: they may be a name of both."""
    for joint, chinese_joint in _JOINTS:
        parts = _split(text, joint)
        is_whole = enough is all and joint in _WIDE_JOINTS
        known = [_find_part(part, deep, is_whole) for part in parts] if len(parts) > 1 else []
        if joint == ", " and any(
            said is None and _is_prose(part) for said, part in zip(known, parts, strict=False)
        ):
            continue  # A comma within a sentence joins nothing.
        if known and enough(known):
            made = known[0] or parts[0]
            for before, said, part in zip(known, known[1:], parts[1:], strict=False):
                made += (chinese_joint if before or said else joint) + (said or part)
            return made
    return None


def _split(text: str, joint: str) -> list[str]:
    """The parts between the joints, but for those within quotes: these hold words of others."""
    covered = [match.span() for match in _QUOTED.finditer(text)]
    parts, start, at = [], 0, text.find(joint)
    while at >= 0:
        if not any(low < at < high for low, high in covered):
            parts.append(text[start:at])
            start = at + len(joint)
        at = text.find(joint, at + len(joint))
    return [*parts, text[start:]]


def _find_part(text: str, deep: int, is_whole: bool = False) -> str | None:
    """The Chinese for a part of a text. One word alone may be a name that a person gave, but
    where it is one of several sentences (``is_whole``)."""
    return find_chinese(text, deep + 1) if is_whole or " " in text else None


def _behind_a_name(text: str, deep: int) -> str | None:
    parts = _split(text, ": ")
    for number in range(1, len(parts)):
        name, said = (": ".join(some) for some in (parts[:number], parts[number:]))
        if (chinese := find_chinese(said, deep + 1)) is not None:
            return f"{_find_part(name, deep) or name}：{chinese}"
    return None


@dataclass(slots=True)
class _Form:
    """Texts of one form: ``{count} sessions``. Its pattern is compiled when it is first needed."""

    english: str
    chinese: str
    pieces: tuple[str, ...] = ()
    _pattern: re.Pattern[str] | None = field(default=None, repr=False)

    @property
    def joint_counts(self) -> list[int]:
        """How many of each of `_WIDE_JOINTS` it has itself."""
        return [self.english.count(joint) for joint in _WIDE_JOINTS]

    def fill(self, text: str, deep: int) -> str | None:
        """The Chinese for a text of this form; None for another text."""
        if not all(piece in text for piece in self.pieces):
            return None
        if self._pattern is None:
            self._pattern = re.compile(_pattern_of(self.english), re.DOTALL)
        match = self._pattern.fullmatch(text)
        if match is None:
            return None
        values = match.groupdict()
        if not self.is_telling and any(self._is_half(*one, deep) for one in values.items()):
            return None
        return _Filling(deep).vformat(self.chinese, (), values)

    @property
    def is_telling(self) -> bool:
        """Whether it has so many words of its own that it is surely meant."""
        return sum(map(len, self.pieces)) >= _TELLING

    def _is_half(self, name: str, value: str, deep: int) -> bool:
        """Whether a placeholder would put English words of the program into the Chinese: then
        the text is of another form, which only looks like this one."""
        if name in _NO_PROSE or not _is_prose(value):
            return False
        return f"{{{name}:text}}" not in self.chinese or find_chinese(value, deep + 1) is None


def _is_prose(text: str) -> bool:
    return _PROSE.search(_QUOTED.sub("qq", text)) is not None


class _Filling(string.Formatter):
    """Fills in what stood in a text; ``{name:text}`` is translated."""

    def __init__(self, deep: int) -> None:
        self._deep = deep

    def format_field(self, value: Any, format_spec: str) -> str:
        """The value, translated where the placeholder says so."""
        return str(value) if not format_spec else find_chinese(value, self._deep + 1) or value


@dataclass(frozen=True)
class _Catalogue:
    texts: Mapping[str, str]
    forms: tuple[_Form, ...]

    @cached_property
    def telling(self) -> tuple[_Form, ...]:
        """The forms of many words that hold a joint themselves."""
        joints = [joint for joint, _ in _JOINTS]
        return tuple(
            form
            for form in self.forms
            if form.is_telling and any(j in form.english for j in joints)
        )


@cache
def chinese_texts() -> Mapping[str, str]:
    """The Chinese by the English text or form."""
    return read_pairs(Path(__file__).with_name("chinese.toml"))


@cache
def _catalogue() -> _Catalogue:
    texts, forms = {}, []
    for english, chinese in chinese_texts().items():
        pieces = tuple(piece for piece, *_ in string.Formatter().parse(english) if piece)
        if pieces == (english,):
            texts[english] = chinese
        else:
            forms.append(_Form(english, chinese, pieces))
    # The form with most words of its own is the one that is meant.
    forms.sort(key=lambda form: -sum(map(len, form.pieces)))
    return _Catalogue(texts, tuple(forms))


def _pattern_of(english: str) -> str:
    parts = []
    for piece, name, _, _ in string.Formatter().parse(english):
        parts.append(re.escape(piece))
        if name is not None:
            parts.append(f"(?P<{name}>{_NARROW.get(name, _ANYTHING)})")
    return "".join(parts)
