"""``duibi report``: sessions as a document to hand in, or as data."""

import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

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
from tui.scoring.overlap import Scorer
from tui.sessions.reader import RecordedSession
from tui.text.sanitise import one_line

app = typer.Typer(add_completion=False)


class Format(StrEnum):
    """What a report can be written as."""

    md = "md"
    html = "html"
    csv = "csv"
    jsonl = "jsonl"
    cast = "cast"


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
        typer.Argument(help="Files, names, beginnings of one, samples, or `last`."),
    ],
    format: Annotated[
        Format | None, typer.Option(help="By default as the name of --out ends, else md.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The file to write; else stdout.")] = None,
    lang: Annotated[str | None, typer.Option(help="en or zh; by default the settings'.")] = None,
    pictures: Annotated[
        bool | None,
        typer.Option(
            "--pictures/--no-pictures",
            help=f"The panes at each question, drawn as on the screen; by default up to "
            f"{MAX_PICTURES} questions.",
        ),
    ] = None,
    png: Annotated[bool, typer.Option("--png", help="These pictures as PNG, not SVG.")] = False,
    theme: Annotated[str | None, typer.Option(help="Of the pictures.")] = None,
    encoder: EncoderFolder = None,
    encoder_layer: EncoderLayer = 0,
    sessions: Annotated[Path | None, typer.Option(metavar="DIR", help="Look there.")] = None,
) -> int:
    settings = settings_in_force.load(
        {"sessions": sessions, "lang": lang, "theme": theme or PRINT_THEME}
    )
    chosen = format or _format_of(out)
    if out is not None:
        check_out(out)
    bert = scorer(encoder, encoder_layer) if encoder else None
    found = read_sessions(session, settings.sessions_dir)
    svgs: dict[str, str] = {}
    if chosen in (Format.md, Format.html) and _wants_pictures(found, pictures, png):
        from tui.app.session_pictures import session_pictures

        svgs = session_pictures(settings.screen, [one.path for one in found], settings.sessions_dir)
    images = _png_addresses(svgs, chosen, out) if png or settings.screen.pictures == "png" else {}
    text = render(found, chosen, settings.screen.lang, svgs, images, bert)
    if out is None:
        write_utf8()
        sys.stdout.write(redact_secrets(text))
        return 0
    # Spreadsheets take a file for UTF-8 only with a byte order mark.
    replace_file(out, text, "utf-8-sig" if chosen is Format.csv else "utf-8")
    print(one_line(str(out)), file=sys.stderr)
    return 0


def _wants_pictures(found: Sequence[RecordedSession], pictures: bool | None, png: bool) -> bool:
    """Whether the panes are to be drawn: by default no pictures above MAX_PICTURES questions."""
    if pictures is not None or png:
        return pictures is not False
    questions = sum(isinstance(e.body, Asked) and e.model == 0 for r in found for e in r.events)
    if questions > MAX_PICTURES:
        tell(f"no pictures of {questions} questions; --pictures draws them")
    return 0 < questions <= MAX_PICTURES


def _png_addresses(svgs: Mapping[str, str], format: Format, out: Path | None) -> dict[str, str]:
    """Addresses of the pictures as PNG: within an HTML file, in a folder beside a Markdown one.

    Raises:
        UserError: they cannot be drawn or written.
    """
    from tui.app.reporting import data_uris
    from tui.app.terminal.png_picture import lacks_glyphs, svg_to_png

    drawn = {question: svg_to_png(svg) for question, svg in svgs.items()}
    if any(map(lacks_glyphs, svgs.values())):
        tell("letters are missing: install fonts-dejavu and fonts-noto-cjk")
    if format is Format.html or not drawn:
        return data_uris(drawn)
    if out is None:
        raise UserError("PNG pictures lie beside a Markdown report", "say where with --out")
    folder = out.with_name(f"{out.stem}-pictures")
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make {folder}: {error.strerror}", "choose another --out") from None
    addresses = {}
    for number, (question, data) in enumerate(drawn.items(), 1):
        replace_file(folder / f"{number}.png", data)
        addresses[question] = quote(f"{folder.name}/{number}.png")
    return addresses


def render(
    found: Sequence[RecordedSession],
    format: Format,
    lang: str,
    pictures: Mapping[str, str] | None = None,
    images: Mapping[str, str] | None = None,
    bert: Scorer | None = None,
) -> str:
    """The report of what was read, as the text of one file; for ``pictures``, ``images`` and
    ``bert`` see `tui.reports.report.build_report`.

    Raises:
        UserError: the sessions asked different questions, or there is no such language.
    """
    if format is Format.cast:
        return _cast(found)
    if format is Format.csv or format is Format.jsonl:
        from tui.reports import rows
        from tui.reports.merge import merge_sessions

        merged = merge_sessions(found)
        return rows.to_csv(merged, lang) if format is Format.csv else rows.to_jsonl(merged)
    from tui.reports.report import build_report

    document = build_report(found, lang, pictures, images, bert)
    if format is Format.html:
        from tui.reports import html

        return html.render(document)
    from tui.reports import markdown

    return markdown.render(document)


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
