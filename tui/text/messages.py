"""Texts in several languages, from a TOML file."""

import string
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Texts = dict[str, dict[str, str]]
"""Key -> language -> text."""


class _Filling(string.Formatter):
    """Fills in placeholders, and chooses between the singular and the plural of a word."""

    def format_field(self, value: Any, format_spec: str) -> str:
        """The value; of ``one|many`` the word that goes with it."""
        one, bar, many = format_spec.partition("|")
        if not bar:
            return str(super().format_field(value, format_spec))
        return one if str(value) == "1" else many


_FILLING = _Filling()


class Catalogue:
    """Looks up and fills in texts of one language."""

    def __init__(self, texts: Texts, language: str) -> None:
        """``language`` is one of `LANGUAGES`."""
        self.language = language
        self._texts = {key: by_language[language] for key, by_language in texts.items()}

    def __call__(self, key: str, /, **values: object) -> str:
        """The text of a key with its ``{placeholders}`` filled in, where ``{n:answer|answers}`` is
        the first word for 1 and the second for all else; KeyError if there is none."""
        text = self._texts[key]
        return _FILLING.vformat(text, (), values) if values else text

    def knows(self, key: str) -> bool:
        """Whether there is a text of that key."""
        return key in self._texts


def read_texts(path: Path) -> Texts:
    """All texts of a file. A key is the names of the tables around a text joined by dots
    (``state.prefill``); the innermost table holds the text by language."""
    return dict(_texts_in(tomllib.loads(path.read_text("utf-8")), ""))


def read_pairs(path: Path) -> dict[str, str]:
    """All texts of a file of one table: an English text and the one in another language."""
    pairs: dict[str, str] = tomllib.loads(path.read_text("utf-8"))
    return pairs


def _texts_in(table: Mapping[str, Any], prefix: str) -> list[tuple[str, dict[str, str]]]:
    found: list[tuple[str, dict[str, str]]] = []
    for name, value in table.items():
        if all(isinstance(text, str) for text in value.values()):
            found.append((prefix + name, value))
        else:
            found += _texts_in(value, f"{prefix}{name}.")
    return found
