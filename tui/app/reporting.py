"""Writes the report of sessions into a folder: Markdown, HTML and pictures."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path

from tui.app.terminal.png_picture import svg_to_png
from tui.host import save_file
from tui.reports import html, markdown
from tui.reports.report import build_report
from tui.sessions import reader


def data_uris(pngs: Mapping[str, bytes]) -> dict[str, str]:
    """Pictures as addresses that hold them, for one file without others."""
    return {q: "data:image/png;base64," + b64encode(png).decode() for q, png in pngs.items()}


def write_reports(
    paths: Sequence[Path],
    folder: Path,
    lang: str,
    pictures: Mapping[str, str],
    as_png: bool = False,
) -> list[Path]:
    """The report of sessions as Markdown and as HTML, with pictures as SVG or PNG; where they
    are.

    Raises:
        UserError: a session cannot be read, they asked different questions, the folder
            cannot be written, or PNG cannot be drawn.
    """
    read = [reader.read(path) for path in paths]
    stem = paths[0].stem + ("-and-more" if len(paths) > 1 else "")
    pngs: dict[str, bytes] = {}
    beside: dict[str, str] = {}
    if as_png:
        pngs = {question: svg_to_png(svg) for question, svg in pictures.items()}
        for question, data in pngs.items():
            beside[question] = save_file.write_new_file(folder, f"{stem}-{question}.png", data).name
    document = build_report(read, lang, pictures, beside)
    written = [save_file.write_new_file(folder, f"{stem}-report.md", markdown.render(document))]
    if pngs:
        document = build_report(read, lang, pictures, data_uris(pngs))
    return [
        *written,
        save_file.write_new_file(folder, f"{stem}-report.html", html.render(document)),
    ]
