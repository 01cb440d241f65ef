"""``duibi report``: sessions as a document to hand in, or as data."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tui.cli.support import settings_in_force
from tui.cli.support.bertscore_process import EncoderFolder, EncoderLayer, scorer
from tui.cli.support.out_file import check_out
from tui.cli.support.printing import tell
from tui.cli.support.session_files import read_sessions
from tui.events import Asked
from tui.host.errors import UserError
from tui.host.save_file import replace_file
from tui.host.secrets import redact_secrets
from tui.host.terminal import write_utf8
from tui.sessions.reader import RecordedSession
from tui.text.sanitise import one_line

if TYPE_CHECKING:
    from tui.reports.layout import Template

app = typer.Typer(add_completion=False)


class Format(StrEnum):
    """What a report can be written as."""

    md = "md"
    html = "html"
    docx = "docx"
    pdf = "pdf"
    tex = "tex"
    csv = "csv"
    jsonl = "jsonl"
    cast = "cast"


DOCUMENTS = (Format.md, Format.html, Format.docx, Format.pdf, Format.tex)
"""Formats to be read, which a template lays out; the others are data."""
MAX_PICTURES = 40
PRINT_THEME = "duibi-light"
"""The theme of pictures, unless one is chosen: a report is printed."""
_SUFFIXES = {".htm": "html", ".markdown": "md", ".txt": "md", ".json": "jsonl"}


@app.command(
    help="One or several sessions of the same questions as a report: every answer side by "
    "side, tables of stars and costs, charts, what failed, and a conclusion from the figures."
)
def report(
    session: Annotated[
        list[str],
        typer.Argument(
            metavar="SESSION", help="Files, names, beginnings of one, samples, or `last`."
        ),
    ],
    format: Annotated[
        Format | None,
        typer.Option(
            metavar="|".join(Format), help="By default as the name of --out ends, else md."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The file to write; else stdout.")
    ] = None,
    lang: Annotated[
        str | None, typer.Option(metavar="en|zh", help="en or zh; by default the settings'.")
    ] = None,
    pictures: Annotated[
        bool | None,
        typer.Option(
            "--pictures/--no-pictures",
            help=f"The panes at each question, drawn as on the screen; by default up to "
            f"{MAX_PICTURES} questions.",
        ),
    ] = None,
    png: Annotated[bool, typer.Option("--png", help="Pictures as PNG, not SVG.")] = False,
    template: Annotated[
        str | None,
        typer.Option(
            metavar="course|brief|data|FILE",
            help="course (the whole, to hand in), brief (one page), data (tables and charts), or a "
            "Jinja file of yours.",
        ),
    ] = None,
    ask: Annotated[
        bool,
        typer.Option("--ask", help="Ask for title, author, course and date of the title page."),
    ] = False,
    theme: Annotated[str | None, typer.Option(metavar="THEME", help="Of the pictures.")] = None,
    encoder: EncoderFolder = None,
    encoder_layer: EncoderLayer = 0,
    sessions: Annotated[Path | None, typer.Option(metavar="DIR", help="Look there.")] = None,
) -> int:
    settings = settings_in_force.load(
        {"sessions": sessions, "lang": lang, "theme": theme or PRINT_THEME}
    )
    chosen = format or _format_of(out)
    laid_out = _find_template(template) if template else None
    if out is not None:
        check_out(out, [template])
    elif chosen in (Format.docx, Format.pdf):
        raise UserError(f"a report as {chosen} is written to a file", "name it with --out")
    bert = scorer(encoder, encoder_layer) if encoder else None
    found = read_sessions(session, settings.sessions_dir)
    if chosen not in DOCUMENTS:
        return _write_data(_data(found, chosen, settings.screen.lang), chosen, out)
    svgs: dict[str, str] = {}
    if _wants_pictures(found, pictures, png):
        from tui.app.session_pictures import session_pictures

        svgs = session_pictures(settings.screen, [one.path for one in found], settings.sessions_dir)
    from tui.reports import own_words, writing
    from tui.reports.messages import report_messages
    from tui.reports.report import build_report

    words = own_words.gather(out) if out else own_words.OwnWords({})
    options = settings.screen
    if ask:
        from tui.cli.support.title_page_facts import ask_facts

        asked = ask_facts({**options.report, **words.facts}, report_messages(options.lang))
        words = replace(words, facts={**words.facts, **asked})
    facts = {**options.report, **words.facts}
    document = build_report(found, options.lang, svgs, bert, laid_out, words.texts, facts)
    if out and not facts and document.has_cover:
        tell("the title page has blanks: --ask asks for them, [report] in duibi.toml keeps them")
    as_png = png or settings.screen.pictures == "png"
    if writing.has_missing_letters(document, chosen, as_png):
        tell("letters are missing: install fonts-dejavu and fonts-noto-cjk")
    if out is None:
        if chosen is Format.md and png:
            raise UserError("pictures lie beside a Markdown report", "say where with --out")
        return _print(str(writing.render(document, chosen, as_png=as_png).content))
    writing.write_report(document, chosen, out, as_png)
    own_words.keep(out, document, words)
    for sentence in own_words.describe(words, document, report_messages(options.lang)):
        tell(sentence)
    print(one_line(str(out)), file=sys.stderr)
    return 0


def _find_template(wanted: str) -> "Template":
    from tui.reports.layout import find_template

    return find_template(wanted)


def _wants_pictures(found: Sequence[RecordedSession], pictures: bool | None, png: bool) -> bool:
    """Whether the panes are to be drawn: by default no pictures above MAX_PICTURES questions."""
    if pictures is not None or png:
        return pictures is not False
    questions = len({e.body.question for r in found for e in r.events if type(e.body) is Asked})
    if questions > MAX_PICTURES:
        tell(f"no pictures of {questions} questions; --pictures draws them")
    return 0 < questions <= MAX_PICTURES


def _data(found: Sequence[RecordedSession], format: Format, lang: str) -> str:
    """What was read as rows or as a recording.

    Raises:
        UserError: the sessions asked different questions, or several are to be one recording.
    """
    if format is Format.cast:
        return _cast(found)
    from tui.reports import rows
    from tui.reports.merge import merge_sessions

    merged = merge_sessions(found)
    return rows.to_csv(merged, lang) if format is Format.csv else rows.to_jsonl(merged)


def _write_data(text: str, format: Format, out: Path | None) -> int:
    if out is None:
        return _print(text)
    # Spreadsheets take a file for UTF-8 only with a byte order mark.
    replace_file(out, text, "utf-8-sig" if format is Format.csv else "utf-8")
    print(one_line(str(out)), file=sys.stderr)
    return 0


def _print(text: str) -> int:
    write_utf8()
    sys.stdout.write(redact_secrets(text))
    return 0


def _cast(found: Sequence[RecordedSession]) -> str:
    if len(found) > 1:
        raise UserError(
            "a cast plays one session", "call `duibi report SESSION --format cast` for each"
        )
    from tui.reports.asciicast import asciicast_lines

    return "".join(f"{line}\n" for line in asciicast_lines(found[0].events))


def _format_of(out: Path | None) -> Format:
    suffix = out.suffix.lower() if out else ""
    name = _SUFFIXES.get(suffix, suffix.lstrip(".") or "md")
    if name not in Format.__members__:
        known = ", ".join(f".{one}" for one in Format)
        raise UserError(f"a report is not written as {suffix}", f"name it {known}; or --format md")
    return Format(name)


command = typer.main.get_command(app)
