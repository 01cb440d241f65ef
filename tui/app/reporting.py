"""A report of what is on the screen, written next to its session; and the screen's pictures."""

import asyncio
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui.host import save_file
from tui.host.errors import UserError
from tui.sessions import reader
from tui.settings import Settings

if TYPE_CHECKING:
    from tui.app.screens.base import BaseScreen
    from tui.app.screens.board_screen import BoardScreen

_PICTURE_ROWS = 36
_PICTURE_COLUMNS = {1: 100, 2: 120, 3: 150}
"""Of the screen that is drawn for a report, by how many models stand side by side."""
_MAX_POLLS = 100
"""Looks at whether all is drawn; a run that goes on is taken as it stands after them."""


def question_pictures(screen: "BoardScreen") -> dict[str, str]:
    """A picture (SVG) of the screen at each question that was asked; it stays where it is."""
    from tui.app.terminal.svg_picture import repair_svg

    was, taken = screen.question, {}
    asked = {question for _, question in screen.board.answer_ids}
    for question in [q.id for q in screen.board.questions if q.id in asked]:
        screen.go_to(question)
        taken[question] = repair_svg(screen.app.export_screenshot(title="duibi"))
    screen.go_to(was)
    return taken


def session_pictures(paths: Sequence[Path], settings: Settings) -> dict[str, str]:
    """As `question_pictures`, of sessions as they ended, on a screen that no terminal shows.

    Raises:
        UserError: one cannot be read, they asked different questions, or the theme is unknown.
    """
    from tui.app.main import make_app

    models = sum(len(reader.read(path).header.models) for path in paths)

    def first(appearance: Any) -> Any:
        from tui.app.open_session import joined_replay_screen, replay_screen

        if len(paths) > 1:
            return joined_replay_screen(appearance, paths, settings.sessions_dir)
        return replay_screen(appearance, paths[0], settings.sessions_dir, at_once=True)

    app = make_app(settings, first)
    taken: dict[str, str] = {}

    async def look_on(pilot: Any) -> None:
        from tui.app.screens.replay import ReplayScreen

        for _ in range(_MAX_POLLS):
            await pilot.pause(0.05)
            screen = app.screen
            if isinstance(screen, ReplayScreen) and screen.board.header and screen.player.has_ended:
                break
        if isinstance(screen, ReplayScreen):
            taken.update(question_pictures(screen))
        app.exit(0)

    columns = _PICTURE_COLUMNS.get(models, 120 if models == 4 else 150)
    rows = _PICTURE_ROWS if models < 4 else _PICTURE_ROWS + 12
    asyncio.run(app.run_async(headless=True, size=(columns, rows), auto_pilot=look_on))
    return taken


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
    from tui.reports import html, markdown
    from tui.reports.report import build_report

    read = [reader.read(path) for path in paths]
    stem = paths[0].stem + ("-and-more" if len(paths) > 1 else "")
    pngs, beside = {}, {}
    if as_png:
        from tui.app.terminal.png_picture import svg_to_png

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


def report_in_background(
    screen: "BaseScreen", paths: Sequence[Path], folder: Path, pictures: Mapping[str, str]
) -> None:
    """Write the reports in a thread; the screen tells where they are, or why they are not."""
    say, app = screen.appearance.say, screen.app
    as_png = screen.appearance.pictures == "png"

    def work() -> None:
        try:
            written = write_reports(paths, folder, say.language, pictures, as_png)
        except UserError as error:
            app.call_from_thread(screen.show_error, error)
        else:
            names = "\n".join(map(str, written))
            app.call_from_thread(screen.show_notice, say("export.done", path=names))

    screen.show_notice(say("export.begun"))
    screen.run_worker(work, thread=True, exit_on_error=False)
