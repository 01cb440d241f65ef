"""Every word that a report says by itself, in English and Chinese: ``words.toml``."""

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tui.host.errors import UserError

LANGUAGES = ("en", "zh")


@cache
def catalogue() -> dict[str, dict[str, str]]:
    """The words of each key by language."""
    return tomllib.loads(Path(__file__).with_name("words.toml").read_text("utf-8"))


@dataclass(frozen=True, slots=True)
class Voice:
    """A language, and what makes foreign text harmless (`tui.text.sanitise.clean`)."""

    lang: str
    clean: Callable[[str], str]

    def __call__(self, key: str, **values: object) -> str:
        """The words of ``key`` with its values filled in."""
        return catalogue()[key][self.lang].format(**values)

    def line(self, text: object) -> str:
        """Foreign text on one line, harmless."""
        return " ".join(self.clean(str(text)).split())


def voice(lang: str, clean: Callable[[str], str]) -> Voice:
    """The voice of a language code.

    Raises:
        UserError: there is no such language.
    """
    if lang not in LANGUAGES:
        raise UserError(f"no reports in {lang!r}", f"use --lang {' or '.join(LANGUAGES)}")
    return Voice(lang, clean)
