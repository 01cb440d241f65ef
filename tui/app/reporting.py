"""Writes the report of sessions into a folder, over no other file."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tui.app.screens.report_choice import ReportKind
from tui.host import save_file
from tui.host.errors import UserError
from tui.reports import own_words, writing
from tui.reports.layout import find_template
from tui.reports.report import build_report
from tui.sessions import reader


def write_reports(
    paths: Sequence[Path],
    folder: Path,
    lang: str,
    pictures: Mapping[str, str],
    kind: ReportKind,
    as_png: bool = False,
    facts: Mapping[str, str] | None = None,
) -> list[Path]:
    """The report of sessions in each format of ``kind``, with pictures as SVG or PNG; where they
    are. What a person wrote into an earlier one is in it; ``facts`` as of
    `tui.reports.report.build_report`.

    Raises:
        UserError: a session cannot be read, they asked different questions, the folder
            cannot be written, or what the format takes is not installed.
    """
    stem = paths[0].stem + ("-and-more" if len(paths) > 1 else "")
    read = [reader.read(path) for path in paths]
    template = find_template(kind.template)
    written = []
    for format in kind.formats:
        first = folder / save_file.safe_name(f"{stem}-report.{format}")
        older = max(folder.glob(f"{first.stem}*.{format}"), key=_written_at, default=None)
        words = own_words.gather(first, older)
        document = build_report(
            read,
            lang,
            pictures,
            template=template,
            own_words=words.texts,
            facts={**(facts or {}), **words.facts},
        )
        out = save_file.write_new_file(folder, first.name, "")
        try:
            writing.write_report(document, format, out, as_png)
        except UserError:
            out.unlink(missing_ok=True)
            raise
        own_words.keep(first, document, words)
        written.append(out)
    return written


def _written_at(path: Path) -> float:
    return path.lstat().st_mtime  # also of a link that leads nowhere
