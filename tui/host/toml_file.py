"""TOML files that others wrote, with the line where each key stands."""

import re
import tomllib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tui.host import foreign_files
from tui.host.errors import UserError

MAX_KEY_PARTS = 64
"""Parts of a dotted key. The parser's memory grows with their square: 40 kB of one key took
1.6 GB."""

_PART = r"""(?:[A-Za-z0-9_-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')"""
_DOTTED = rf"{_PART}(?:[ \t]*+\.[ \t]*+{_PART})*+"
_LONG_KEY = re.compile(
    rf"(?:^[ \t]*+\[{{0,2}}|[{{,])[ \t]*+{_PART}"
    rf"(?:[ \t]*+\.[ \t]*+{_PART}){{{MAX_KEY_PARTS},}}+[ \t]*+[=\]]",
    re.MULTILINE,
)
_HEADER = re.compile(rf"[ \t]*(\[\[?)[ \t]*({_DOTTED})[ \t]*\]")
_PAIR = re.compile(rf"[ \t]*({_DOTTED})[ \t]*=")
_PARTS = re.compile(_PART)
_TOKEN = re.compile(r"""#|\"\"\"|'''|"(?:[^"\\]|\\.)*+"|'[^']*+'|[\[\]{}]""")
_WHERE = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)")

Keys = tuple[str | int, ...]
"""A way into a table: names of keys, and the number of a table in an array of tables."""


@dataclass(frozen=True)
class TomlFile:
    """A parsed file: its ``text`` and what it says."""

    path: Path
    text: str
    table: dict[str, Any] = field(repr=False)

    def place(self, *keys: str | int) -> str:
        """``file:line`` of a key, or of the nearest table around it; the file alone where there
        is none."""
        known = self._lines
        found = next((n for i in range(len(keys), 0, -1) if (n := known.get(keys[:i]))), 0)
        return f"{self.path}:{found}" if found else str(self.path)

    @cached_property
    def _lines(self) -> dict[Keys, int]:
        return _key_lines(self.text)


def read_toml(path: Path, most: int, next_step: str) -> TomlFile:
    """The TOML file of ``path``, of at most ``most`` bytes.

    Raises:
        UserError: it cannot be read or is no TOML; names file and line.
    """
    text = foreign_files.read_text(path, most, next_step)
    if found := _LONG_KEY.search(text):
        line = text.count("\n", 0, found.end()) + 1
        what = f"a key of more than {MAX_KEY_PARTS} parts"
        raise UserError(f"{path}:{line}: {what}", next_step)
    try:
        return TomlFile(path, text, tomllib.loads(text))
    except RecursionError:
        raise UserError(f"{path}: not TOML: nested too deep", next_step) from None
    except ValueError as error:  # also a number of too many digits
        reason = str(error)
        where = _WHERE.search(reason)
        line = int(where[1]) if where and where[1] else text.count("\n") + 1 if where else 0
        shown = _WHERE.sub("", reason) if where else "a number of too many digits"
        place = f"{path}:{line}" if line else str(path)
        raise UserError(f"{place}: not TOML: {shown}", next_step) from None


def _key_lines(text: str) -> dict[Keys, int]:
    """The line (from 1) in which each key and each table's heading stands; of what is written
    within braces, the line of the key before them."""
    found: dict[Keys, int] = {}
    counts: dict[Keys, int] = {}
    table: Keys = ()
    string, depth = "", 0
    for number, line in enumerate(text.split("\n"), 1):
        at = 0
        if not string and not depth:
            if header := _HEADER.match(line):
                table = _numbered(_names(header[2]), counts, header[1] == "[[")
                found.setdefault(table, number)
                continue
            if pair := _PAIR.match(line):
                at = pair.end()
                names = _names(pair[1])
                for i in range(1, len(names) + 1):
                    found.setdefault((*table, *names[:i]), number)
        string, depth = _state_after(line, at, string, depth)
    return found


def _state_after(line: str, at: int, string: str, depth: int) -> tuple[str, int]:
    """The quotes of a text that goes on in the next line ("" if none does), and how many
    brackets are open."""
    while True:
        if string:
            end = line.find(string, at)
            if end < 0:
                return string, depth
            string, at = "", end + 3
        token = _TOKEN.search(line, at)
        if token is None or token[0] == "#":
            return "", depth
        at = token.end()
        if token[0] in ('"""', "'''"):
            string = token[0]
        elif token[0] in "[{":
            depth += 1
        elif token[0] in "]}":
            depth = max(0, depth - 1)


def _numbered(names: Keys, counts: dict[Keys, int], is_array: bool) -> Keys:
    """The way to a heading's table; a table of an array is named by its number."""
    way: Keys = ()
    for i, name in enumerate(names):
        way = (*way, name)
        if is_array and i == len(names) - 1:
            counts[way] = counts.get(way, -1) + 1
        if way in counts:
            way = (*way, counts[way])
    return way


def _names(dotted: str) -> Keys:
    return tuple(
        next(iter(tomllib.loads(f"{part}=0"))) if part[0] in "\"'" else part
        for part in _PARTS.findall(dotted)
    )
