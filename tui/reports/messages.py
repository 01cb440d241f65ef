"""Every text that a report says by itself, in English and Chinese: ``messages.toml``."""

from functools import cache
from pathlib import Path

from tui.host.errors import UserError
from tui.text.messages import Catalogue, Texts, read_texts
from tui.text.translation import LANGUAGES


class ReportMessages(Catalogue):
    """The texts of a report in one language."""


@cache
def catalogue() -> Texts:
    """All texts of reports by key and language."""
    return read_texts(Path(__file__).with_name("messages.toml"))


def report_messages(lang: str) -> ReportMessages:
    """The texts of a report in the language of a code.

    Raises:
        UserError: there is no such language.
    """
    if lang not in LANGUAGES:
        raise UserError(f"no reports in {lang!r}", f"use --lang {' or '.join(LANGUAGES)}")
    return ReportMessages(catalogue(), lang)
