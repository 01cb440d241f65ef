"""What is published of well-known chat models; the list itself is data (`families.toml`)."""

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path


@dataclass(frozen=True, slots=True)
class KnownFamily:
    """A family of models: who made it, under which licence, in which sizes, for how many tokens of
    ``context``. ``names`` is what its names look like; ``languages`` are ISO 639-1 codes;
    ``source`` is the page that says so."""

    title: str
    names: str
    developer: str
    developer_zh: str
    licence: str
    languages: list[str]
    sizes: str
    context: str
    source: str

    def developer_in(self, language: str) -> str:
        """The developer's name in English or Chinese."""
        return self.developer_zh if language == "zh" else self.developer


def find_family(names: Iterable[str]) -> KnownFamily | None:
    """The family of a model by what it is called: a reference, a label, a file's name; where that
    tells its size, with the licence and the context of this size alone."""
    called = [name.lower() for name in names if name]
    found = next((f for f in _families() if any(re.search(f.names, name) for name in called)), None)
    size = _size_in(called, found) if found else ""
    if found is None or not size:
        return found
    return replace(
        found, licence=_of_size(found.licence, size), context=_of_size(found.context, size)
    )


def _size_in(called: Iterable[str], family: KnownFamily) -> str:
    """Which of a family's sizes a name tells; the longest, as 1.5B holds 5B."""
    for size in sorted(family.sizes.split(", "), key=len, reverse=True):
        written = re.escape(size.lower()).replace(r"\.", "[._]")
        if any(re.search(rf"(?<![\d._]){written}(?![a-z\d])", name) for name in called):
            return size
    return ""


def _of_size(text: str, size: str) -> str:
    """What ``A (3B: B; 72B: C)`` or ``A (0.5B, 1.5B), B (7B)`` says of a size."""
    parts = re.findall(r"([^(),]+) \(([^)]*)\)", text)
    for told, inner in parts:
        if ": " in inner:
            other = dict(one.split(": ", 1) for one in inner.split("; ")).get(size)
            return str(other or told).strip()
        if size in inner.split(", "):
            return str(told).strip()
    return text


@cache
def _families() -> list[KnownFamily]:
    text = Path(__file__).with_name("families.toml").read_text("utf-8")
    return [KnownFamily(**entry) for entry in tomllib.loads(text)["family"]]
