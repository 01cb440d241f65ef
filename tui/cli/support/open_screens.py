"""Opens the screens as the settings say, and what a person chooses on them."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tui.app.main import show_models, show_replay, show_start
from tui.host import paths
from tui.sessions import library
from tui.sessions.lines import SUFFIX
from tui.settings import Settings

if TYPE_CHECKING:
    from tui.models.discover import FoundModel
    from tui.sessions.player import Player


def open_start(settings: Settings) -> int:
    """The start screen; the exit code.

    Raises:
        UserError: as `tui.app.main.show_start`, or what is chosen cannot be opened.
    """
    return show_start(
        settings.screen,
        settings.sessions_dir,
        partial(_find_models, settings),
        settings.questions,
        partial(_compare_models, settings),
        partial(_resume_session, settings),
        partial(_check_reference, settings),
        first_recording=_first_recording(settings),
    )


def _first_recording(settings: Settings) -> Path | None:
    """What a first start plays, where nothing was recorded yet: a recording in the language of
    the screen."""
    if library.session_files(settings.sessions_dir):
        return None
    name = {"zh": "tongji"}.get(settings.screen.lang, "english")
    return paths.bundled("sessions") / f"{name}{SUFFIX}"


def open_models(settings: Settings) -> int:
    """The models screen alone; the exit code.

    Raises:
        UserError: as `tui.app.main.show_models`, or what is chosen cannot be opened.
    """
    return show_models(
        settings.screen,
        partial(_find_models, settings),
        settings.questions,
        partial(_compare_models, settings),
        partial(_check_reference, settings),
    )


def open_replay(player: "Player", path: Path, settings: Settings) -> int:
    """The session of ``path``, played by ``player``; the exit code.

    Raises:
        UserError: as `tui.app.main.show_replay`, or what is chosen cannot be opened.
    """
    resume = partial(_resume_session, settings)
    return show_replay(settings.screen, player, path, settings.sessions_dir, resume)


def _find_models(settings: Settings) -> "list[FoundModel]":
    from tui.models.inventory import find_models

    return find_models(settings.aliases, settings.model_folders, settings.run.services)


def _check_reference(settings: Settings, text: str) -> None:
    from tui.cli.support import options

    options.check_typed_reference(text, settings)


def _compare_models(settings: Settings, models: list[str], questions: str) -> int:
    from tui.cli.support import live_run

    return live_run.compare_models(models, replace(settings, questions=questions))


def _resume_session(settings: Settings, session: str) -> int:
    from tui.cli.support import live_run

    return live_run.resume_session(session, settings)
