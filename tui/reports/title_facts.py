"""What a person wrote by hand into the lines of a title page: author, course, number and the like.

A line is a name, a colon and a value, or a row of a LaTeX table; a value of blanks alone is a line
that is still to be filled in.
"""

import re
from collections.abc import Mapping

from tui.reports.document import TitlePage
from tui.reports.messages import report_messages
from tui.setting_kinds import REPORT_FACTS
from tui.text.sanitise import collapse_line
from tui.text.translation import LANGUAGES

PLACE = "title-page"
"""The id of the lines where they stand between two marks (`tui.reports.own_words`)."""
MOST_FACTS = 40
_LINE = re.compile(r"[-*•]?\s*([^:：&]{1,40}?)\s*(?:[:：]|&)(.*)", re.DOTALL)
_ROW_END = re.compile(r"\\\\(\[[^\]]*\])?$")
_BLANK = re.compile(r"[\s_]*|\\(?:underline|rule)\b.*")
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")
"""Signs that Markdown and LaTeX take as text behind a backslash."""


def shown(page: TitlePage, colon: str) -> str:
    """The lines as text, for the checksum of a mark around them."""
    return "\n".join(f"{name}{colon}{value}" for name, value in page.facts)


def read(text: str, known: Mapping[str, str]) -> dict[str, str]:
    """The facts of these lines over those that were ``known``: by their names in `REPORT_FACTS`,
    or by what a person calls them. One that was known and is blank by now is empty."""
    names = {report_messages(lang)(name): name for lang in LANGUAGES for name in _LISTED}
    found, last = dict(known), ""
    for line in filter(None, map(str.strip, text.split("\n"))):
        match = _LINE.fullmatch(_ROW_END.sub("", line).strip().removeprefix("{}"))
        if match is None:
            # What wraps belongs to the line before it.
            if last and found.get(last):
                found[last] = collapse_line(f"{found[last]} {_plain(line)}")
            continue
        label = _plain(match[1])
        last = names.get(label, label)
        value = match[2].strip()
        if not _BLANK.fullmatch(_plain(value)):
            if last in found or len(found) < MOST_FACTS:
                found[last] = _plain(value)
        elif last in known:
            found[last] = ""
    return found


_LISTED = tuple(name for name in REPORT_FACTS if name not in ("title", "abstract"))


def _plain(text: str) -> str:
    return collapse_line(_ESCAPED.sub(r"\1", text)).strip()
