"""Every word that a report says by itself, in English and Chinese: ``messages.toml``."""

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
    return tomllib.loads(Path(__file__).with_name("messages.toml").read_text("utf-8"))


@dataclass(frozen=True, slots=True)
class ReportMessages:
    """A language, and what makes foreign text harmless (`tui.text.sanitise.clean`)."""

    lang: str
    clean: Callable[[str], str]

    def __call__(self, key: str, **values: object) -> str:
        """The words of ``key`` with its values filled in."""
        return catalogue()[key][self.lang].format(**values)

    def line(self, text: object) -> str:
        """Foreign text on one line, harmless."""
        return " ".join(self.clean(str(text)).split())


def report_messages(lang: str, clean: Callable[[str], str]) -> ReportMessages:
    """The voice of a language code.

    Raises:
        UserError: there is no such language.
    """
    if lang not in LANGUAGES:
        raise UserError(f"no reports in {lang!r}", f"use --lang {' or '.join(LANGUAGES)}")
    return ReportMessages(lang, clean)
