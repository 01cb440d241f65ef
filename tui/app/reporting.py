"""A report of what is on the screen, written next to its session."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tui.app import keep
from tui.app.safe_text import clean
from tui.host.errors import UserError
from tui.sessions import reader

if TYPE_CHECKING:
    from tui.app.screens.base import BaseScreen
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


def report_in_background(
    screen: "BaseScreen", paths: Sequence[Path], folder: Path, pictures: Mapping[str, str]
) -> None:
    """Write the reports in a thread; the screen tells where they are, or why they are not."""
    say, app = screen.look.say, screen.app

    def work() -> None:
        try:
            written = write_reports(paths, folder, say.language, pictures)
        except UserError as error:
            app.call_from_thread(screen.tell_error, error)
        else:
            names = "\n".join(map(str, written))
            app.call_from_thread(screen.tell, say("export.done", path=names))

    screen.tell(say("export.begun"))
    screen.run_worker(work, thread=True, exit_on_error=False)
