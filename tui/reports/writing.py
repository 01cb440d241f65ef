"""Writes a laid out report in one of its formats, with its pictures."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tui.host.errors import UserError
from tui.host.save_file import make_real_folder, replace_file
from tui.host.secrets import redact_secrets
from tui.reports import html, latex, markdown, pdf, word
from tui.reports.document import Document
from tui.reports.pictures import draw_png, letters_are_missing, picture_files, with_data_urls

FORMATS = ("md", "html", "docx", "pdf", "tex")
"""What a report can be written as, by the ending of its file."""
TEXT_FORMATS = ("md", "html", "tex")
_DRAWN = ("docx", "tex")
"""Formats that take no SVG."""


@dataclass(frozen=True, slots=True)
class Written:
    """A report in a format: its file's content, and the files of the folder beside it."""

    content: str | bytes
    pictures: Mapping[str, str | bytes]


def pictures_folder(out: Path) -> Path:
    """The folder beside a report that holds its pictures; LaTeX takes plain names only."""
    stem = re.sub(r"[^A-Za-z0-9.+-]", "_", out.stem) if out.suffix == ".tex" else out.stem
    return out.with_name(f"{stem}-pictures")


def has_missing_letters(document: Document, format: str, as_png: bool) -> bool:
    """Whether letters would be missing in pictures, for want of fonts."""
    return (as_png or format in _DRAWN) and letters_are_missing(document)


def render(document: Document, format: str, folder: str = "", as_png: bool = False) -> Written:
    """The report in one of `FORMATS`. ``folder`` is the name of the one for pictures (none:
    Markdown has no pictures); ``as_png``: they are PNG where they could be SVG.

    Raises:
        UserError: pictures cannot be drawn, or what the format takes is not installed.
    """
    if format == "md":
        ending = "png" if as_png else "svg"
        text = markdown.render(document, quote(folder), ending)
        return Written(text, picture_files(document, ending) if folder else {})
    if format == "docx":
        author = dict(document.title_page.facts).get(document.words["author"], "")
        return Written(word.render(document, draw_png, author), {})
    if format == "tex":
        return Written(latex.render(document, folder), picture_files(document, "png"))
    page = html.render(with_data_urls(document) if as_png else document)
    if format == "pdf":
        return Written(pdf.print_page(redact_secrets(page)), {})
    return Written(page, {})


def write_report(document: Document, format: str, out: Path, as_png: bool = False) -> None:
    """Write the report over an older one, whole or not at all, and its pictures beside it.

    Raises:
        UserError: as `render`, or a file or folder cannot be written.
    """
    folder = pictures_folder(out)
    made = render(document, format, folder.name, as_png)
    if made.pictures:
        try:
            make_real_folder(folder)
        except OSError as error:
            raise UserError(
                f"cannot make {folder}: {error.strerror}", "choose another --out"
            ) from None
        for name, data in made.pictures.items():
            replace_file(folder / name, data)
    replace_file(out, made.content)
