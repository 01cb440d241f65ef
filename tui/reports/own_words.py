"""What a person wrote into the marked places of a report, kept from one report to the next.

In Markdown and LaTeX two comments stand around a place, in Word a content control that carries the
first of them. A mark holds a checksum of what the program put there, so that what a person changed
is known from what was only written again. ``NAME.words.md`` beside the report holds all words in
the form of a Markdown report: there they can be written for formats that nobody edits (HTML, PDF),
and there they stay for the report's other formats, with what was answered for the title page. Its
lines stand between two marks as well (`tui.reports.title_facts`).
"""

import json
import re
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from tui.host import foreign_files
from tui.host.errors import UserError
from tui.host.save_file import replace_file
from tui.reports import title_facts
from tui.reports.document import Document, Place, TitlePage
from tui.reports.messages import ReportMessages
from tui.text.sanitise import clean

_PREFIX = "duibi:"
_ID = r"[A-Za-z0-9][A-Za-z0-9.-]{0,35}"
_BEGIN = rf"{_PREFIX}begin ({_ID}) ([0-9a-f]{{8}})( empty)?"
_END = f"{_PREFIX}end"
# A mark that is never closed is not looked for beyond the next one: of a million of them each would
# be looked for to the end of the file.
_IN_MARKDOWN = re.compile(
    rf"<!-- {_BEGIN} -->((?:(?!<!-- {_PREFIX}begin ).)*?)<!-- {_END} -->", re.DOTALL
)
_IN_LATEX = re.compile(
    rf"^% {_BEGIN}$((?:(?!^% {_PREFIX}begin ).)*?)^% {_END}$", re.DOTALL | re.MULTILINE
)
_IN_WORD = re.compile(_BEGIN)
_STATE = re.compile(rf"<!-- {_PREFIX}state (\{{.*?\}}) -->")
_FACTS = re.compile(rf"<!-- {_PREFIX}facts (\{{.*?\}}) -->")
_MOST_BYTES = 1 << 28
_MOST_MARKS = 16_000_000
"""``<`` in the XML of a Word file: each element of it takes a hundred bytes of memory."""
_NO_WORD_FILE = (
    *(OSError, KeyError, ValueError, EOFError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error, ElementTree.ParseError),
)
BODY = "word/document.xml"
"""Where the text is in a Word file."""
_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_NEXT_STEP = "move the file away, or name another one with --out"

OF_LATEX = ".tex"
"""Behind the id of words that were written into a LaTeX report: they are LaTeX, for it alone."""


@dataclass(frozen=True, slots=True)
class OwnWords:
    """What a person wrote, by the id of its place, and the counts (answers, models ...) of the
    report that it was written into; None where there was none. ``facts`` were answered for its
    title page or written there, by the names of `tui.setting_kinds.REPORT_FACTS` or by what a
    person calls them."""

    texts: Mapping[str, str]
    counts: Mapping[str, int] | None = None
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def written(self) -> int:
        """In how many places something was written."""
        return sum(1 for text in self.texts.values() if text)


@dataclass(frozen=True, slots=True)
class _Found:
    """What stands in a place; ``is_empty``: the program had only a hint to put there."""

    text: str
    checksum: str
    is_empty: bool

    @property
    def is_changed(self) -> bool:
        return _checksum(self.text) != self.checksum

    @property
    def words(self) -> str:
        """What a person wrote, at any time."""
        return "" if self.is_empty and not self.is_changed else self.text


def marks(place: Place, shown: str) -> tuple[str, str]:
    """What stands before and behind a place that shows this text."""
    empty = "" if place.text else " empty"
    return f"{_PREFIX}begin {place.id} {_checksum(shown)}{empty}", _END


def marks_of_title(shown: str) -> tuple[str, str]:
    """As `marks`, of the lines on the title page."""
    return marks(Place(title_facts.PLACE, "", shown), shown)


def without_hint(text: str, hint: str) -> str:
    """What a person wrote before or behind a hint that was left standing."""
    for shown in (f"*{hint}*", hint):
        text = text.removeprefix(shown).removesuffix(shown).strip()
    return text


def words_file(out: Path) -> Path:
    """The file beside a report that keeps the words."""
    return out.with_name(f"{out.stem}.words.md")


def gather(out: Path, older: Path | None = None) -> OwnWords:
    """The words in the file beside a report and in the report itself; what was changed in one of
    them since the program wrote it counts, and if it was changed in both it is joined. ``older``
    is read instead of ``out`` where the report is to be a new file.

    Raises:
        UserError: one of the files cannot be read.
    """
    kept: dict[str, _Found] = {}
    counts: Mapping[str, int] | None = None
    facts: Mapping[str, str] = {}
    beside, report = words_file(out), older or out
    if beside.exists():
        text = foreign_files.read_text(beside, _MOST_BYTES, _NEXT_STEP)
        kept, counts, facts = _in_text(_IN_MARKDOWN, text), _counts(text), _facts(text)
        if text.strip() and not kept and counts is None:
            raise UserError(f"{beside} holds no words of a report", "move it away")
    found = _in_report(report) if report.is_file() else {}
    for place in (title_facts.PLACE, f"{title_facts.PLACE}{OF_LATEX}"):
        for lines in (kept.pop(place, None), found.pop(place, None)):
            if lines and lines.is_changed:
                facts = title_facts.read(lines.text, facts)
    texts = {id_: _joined(kept.get(id_), found.get(id_)) for id_ in {**kept, **found}}
    return OwnWords(texts, counts, facts)


def describe(words: OwnWords, document: Document, say: ReportMessages) -> list[str]:
    """In sentences what was kept, and what the report has more or less than the last one."""
    found = []
    if words.written:
        found.append(say("w_kept", n=words.written))
    if gone := _without_place(words, document):
        found.append(say("w_gone", places=", ".join(gone)))
    if words.counts is not None:
        gaps = {name: n - words.counts.get(name, 0) for name, n in document.counts.items()}
        changed = [f"{say(f'w_{name}')} {gap:+}" for name, gap in gaps.items() if gap]
        found.append(say("w_since", what=say("sep").join(changed) or say("w_same")))
    return found


def _without_place(words: OwnWords, document: Document) -> dict[str, str]:
    known = {block.id for block in document.blocks if isinstance(block, Place)}
    return {
        id_: text
        for id_, text in words.texts.items()
        if text and id_.removesuffix(OF_LATEX) not in known
    }


def keep(out: Path, document: Document, words: OwnWords) -> None:
    """Write the file beside a report: every place of it, and words whose place is gone.

    Raises:
        UserError: it cannot be written.
    """
    places = [block for block in document.blocks if isinstance(block, Place)]
    if not (places or words.written or words.facts):
        return
    rest = _without_place(words, document)
    rest |= {f"{place.id}{OF_LATEX}": place.latex for place in places if place.latex}
    state = json.dumps(document.counts)
    parts = [document.words["own_words"], f"<!-- {_PREFIX}state {state} -->"]
    if words.facts:
        # Nothing in it may end the comment.
        told = json.dumps(dict(words.facts), ensure_ascii=False).replace(">", "\\u003e")
        parts.append(f"<!-- {_PREFIX}facts {told} -->")
    for page in (block for block in document.blocks if isinstance(block, TitlePage)):
        told = title_facts.shown(page, document.words["colon"]).replace("<", "\\<")
        lines = "\n".join(f"- {line}" for line in told.split("\n") if line)
        begin, end = marks_of_title(lines)
        parts.append(f"## {title_facts.PLACE}\n\n<!-- {begin} -->\n\n{lines}\n\n<!-- {end} -->")
    for place in places:
        shown = place.text or f"*{place.hint}*"
        begin, end = marks(place, shown)
        parts.append(f"## {place.id}\n\n<!-- {begin} -->\n\n{shown}\n\n<!-- {end} -->")
    for id_, text in rest.items():
        begin, end = marks(Place(id_, "", text), text)
        parts.append(f"## {id_}\n\n<!-- {begin} -->\n\n{text}\n\n<!-- {end} -->")
    replace_file(words_file(out), "\n\n".join(parts) + "\n")


def _checksum(text: str) -> str:
    """Of a text without the blanks that programs put around lines and paragraphs."""
    return f"{zlib.crc32(''.join(text.split()).encode('utf-8', 'replace')):08x}"


def _joined(kept: _Found | None, found: _Found | None) -> str:
    if kept is None or found is None:
        one = kept or found
        return one.words if one else ""
    if kept.is_changed and found.is_changed and found.words not in kept.words:
        return "\n\n".join(text for text in (kept.words, found.words) if text)
    return found.words if found.is_changed and not kept.is_changed else kept.words


def _counts(text: str) -> Mapping[str, int] | None:
    told = _json(_STATE, text)
    return None if told is None else {name: n for name, n in told.items() if type(n) is int}


def _facts(text: str) -> Mapping[str, str]:
    told = _json(_FACTS, text) or {}
    kept = {clean(name): clean(fact) for name, fact in told.items() if type(fact) is str}
    return dict(list(kept.items())[: title_facts.MOST_FACTS])


def _json(pattern: re.Pattern[str], text: str) -> dict[str, Any] | None:
    match = pattern.search(text)
    if not match:
        return None
    try:
        return dict(json.loads(match[1]))
    except ValueError:
        return None


def _in_text(pattern: re.Pattern[str], text: str) -> dict[str, _Found]:
    return {
        match[1]: _Found(clean(match[4]).strip(), match[2], bool(match[3]))
        for match in pattern.finditer(text)
    }


def _in_report(report: Path) -> dict[str, _Found]:
    match report.suffix.lower():
        case ".md" | ".markdown":
            text = foreign_files.read_text(report, _MOST_BYTES, _NEXT_STEP)
            return _in_text(_IN_MARKDOWN, text)
        case ".tex":
            text = foreign_files.read_text(report, _MOST_BYTES, _NEXT_STEP)
            return {
                f"{id_}{OF_LATEX}": one
                for id_, one in _in_text(_IN_LATEX, text).items()
                if one.is_changed
            }
        case ".docx":
            return _in_word(report)
    return {}


def _in_word(report: Path) -> dict[str, _Found]:
    try:
        data = foreign_files.read_bytes(report, _MOST_BYTES)
        with zipfile.ZipFile(BytesIO(data)) as package, package.open(BODY) as file:
            xml = file.read(_MOST_BYTES + 1)
        is_whole = len(xml) <= _MOST_BYTES and xml.count(b"<") <= _MOST_MARKS
        # In UTF-16 there are zeros between the letters.
        if not is_whole or b"<!DOCTYPE" in xml.replace(b"\0", b""):
            raise ValueError("no document of a Word file")
        body = ElementTree.fromstring(xml)
    except _NO_WORD_FILE as error:
        reason = getattr(error, "strerror", None) or "it is no Word document"
        raise UserError(f"{report} cannot be read: {reason}", _NEXT_STEP) from None
    found = {}
    for control in body.iter(f"{_W}sdt"):
        tag = control.find(f"{_W}sdtPr/{_W}tag")
        match = _IN_WORD.fullmatch(tag.get(f"{_W}val", "")) if tag is not None else None
        if match:
            text = "\n\n".join(_paragraphs(control.iter(f"{_W}p")))
            found[match[1]] = _Found(clean(text).strip(), match[2], bool(match[3]))
    return found


def _paragraphs(nodes: Iterable[ElementTree.Element]) -> Iterable[str]:
    breaks = {f"{_W}br": "\n", f"{_W}tab": "\t"}
    for node in nodes:
        text = "".join(
            part.text or "" if part.tag == f"{_W}t" else breaks.get(part.tag, "")
            for part in node.iter()
        )
        if text.strip():
            yield text
