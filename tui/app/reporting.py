"""Writes the report of sessions into a folder: Markdown, HTML and pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tui.host import save_file
from tui.reports import writing
from tui.reports.report import build_report
from tui.sessions import reader


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
    stem = paths[0].stem + ("-and-more" if len(paths) > 1 else "")
    document = build_report([reader.read(path) for path in paths], lang, pictures)
    written = []
    for format in ("md", "html"):
        out = save_file.write_new_file(folder, f"{stem}-report.{format}", "")
        writing.write_report(document, format, out, as_png)
        written.append(out)
    return written
