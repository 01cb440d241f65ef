"""``duibi report``: sessions as a document to hand in, or as data."""

import gc
import os
import sys
import tempfile
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tui import settings as settings_of
from tui.app.safe_text import clean
from tui.host.errors import UserError
from tui.sessions import library, reader
from tui.sessions.reader import Reading

app = typer.Typer(add_completion=False)


class Format(StrEnum):
    """What a report can be written as."""

    md = "md"
    html = "html"
    csv = "csv"
    jsonl = "jsonl"
    cast = "cast"


_SUFFIXES = {".htm": "html", ".markdown": "md", ".json": "jsonl"}


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
    sessions: Annotated[Path | None, typer.Option(metavar="DIR", help="Look there.")] = None,
) -> int:
    settings = settings_of.load({"sessions": sessions, "lang": lang})
    chosen = format or _by_name(out)
    text = render(readings(session, settings.sessions_dir), chosen, settings.lang)
    if out is None:
        sys.stdout.write(text)
        return 0
    # Spreadsheets take a file for UTF-8 only with a byte order mark.
    save(out, text.encode("utf-8-sig" if chosen is Format.csv else "utf-8"))
    print(out, file=sys.stderr)
    return 0


def readings(names: Sequence[str], folder: Path) -> list[Reading]:
    """The sessions that a person named, each once.

    Raises:
        UserError: one is not there or cannot be read.
    """
    paths = dict.fromkeys(library.find(name, folder).resolve() for name in names)
    found = [reader.read(path) for path in paths]
    # Events live as long as the command: looking through a million of them for garbage again
    # and again would take as long as reading them.
    gc.freeze()
    return found


def render(found: Sequence[Reading], format: Format, lang: str) -> str:
    """The report of what was read, as the text of one file.

    Raises:
        UserError: the sessions asked different questions, or there is no such language.
    """
    if format is Format.cast:
        return _cast(found)
    if format is Format.csv or format is Format.jsonl:
        from tui.sessions.export import rows
        from tui.sessions.export.merge import merge

        to_text = rows.to_csv if format is Format.csv else rows.jsonl
        return to_text(merge(found), clean)
    from tui.sessions.export.report import build

    document = build(found, lang, clean)
    if format is Format.html:
        from tui.sessions.export import html

        return html.render(document)
    from tui.sessions.export import markdown

    return markdown.render(document)


def _cast(found: Sequence[Reading]) -> str:
    if len(found) > 1:
        raise UserError(
            "a cast plays one session", "call `duibi report SESSION --format cast` for each"
        )
    from tui.sessions.export.cast import cast

    return "".join(f"{line}\n" for line in cast(found[0].events, clean))


def save(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, in place of an older one.

    Raises:
        UserError: it cannot be written.
    """
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            Path(name).chmod(0o666 & ~_umask())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror or error}", "choose another place with --out"
        ) from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _by_name(out: Path | None) -> Format:
    suffix = out.suffix.lower() if out else ""
    name = _SUFFIXES.get(suffix, suffix.lstrip("."))
    return Format(name) if name in Format.__members__ else Format.md


command = typer.main.get_command(app)
