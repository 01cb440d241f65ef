"""What is published of well-known chat models; the list itself is data (`families.toml`)."""

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
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
    """The family of a model by what it is called: a reference, a label, a file's name."""
    called = [name.lower() for name in names if name]
    return next((f for f in _families() if any(re.search(f.names, name) for name in called)), None)


@cache
def _families() -> list[KnownFamily]:
    text = Path(__file__).with_name("families.toml").read_text("utf-8")
    return [KnownFamily(**entry) for entry in tomllib.loads(text)["family"]]
