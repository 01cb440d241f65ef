"""A report of what is on the screen, written next to its session."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tui.app import keep
from tui.app.safe_text import clean
from tui.sessions import reader

if TYPE_CHECKING:
    from tui.app.screens.board_screen import BoardScreen


def pictures(screen: "BoardScreen") -> dict[str, str]:
    """A picture (SVG) of the screen at each question that was asked; it stays where it is."""
    from tui.app.picture import mended

    was, taken = screen.question, {}
    asked = {question for _, question in screen.board.by_cell}
    for question in [q.id for q in screen.board.questions if q.id in asked]:
        screen.go_to(question)
        taken[question] = mended(screen.app.export_screenshot(title="duibi"))
    screen.go_to(was)
    return taken


def write_reports(
    paths: Sequence[Path], folder: Path, lang: str, pictures: Mapping[str, str]
) -> list[Path]:
    """The report of sessions as Markdown and as HTML; where they are.

    Raises:
        UserError: a session cannot be read, they asked different questions, or the folder
            cannot be written.
    """
    from tui.sessions.export import html, markdown
    from tui.sessions.export.report import build

    document = build([reader.read(path) for path in paths], lang, clean, pictures)
    stem = paths[0].stem + ("-and-more" if len(paths) > 1 else "")
    return [
        keep.write(folder, f"{stem}-report.md", markdown.render(document)),
        keep.write(folder, f"{stem}-report.html", html.render(document)),
    ]
