"""Every word that a report says by itself, in English and Chinese: ``messages.toml``."""

import tomllib
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
    """The report's words in one language."""

    lang: str

    def __call__(self, key: str, **values: object) -> str:
        """The words of ``key`` with its values filled in."""
        return catalogue()[key][self.lang].format(**values)


def report_messages(lang: str) -> ReportMessages:
    """The report's words of a language code.

    Raises:
        UserError: there is no such language.
    """
    if lang not in LANGUAGES:
        raise UserError(f"no reports in {lang!r}", f"use --lang {' or '.join(LANGUAGES)}")
    return ReportMessages(lang)
