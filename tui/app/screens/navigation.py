"""Messages by which a screen asks the application to open another screen or write a report.

Screens do not import each other: the application handles these messages.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:
    from tui.app.screens.board_screen import BoardScreen
    from tui.app.screens.model_rows import ModelSurvey
    from tui.models.downloads import Downloads


@dataclass
class OpenLibrary(Message):
    """Show the sessions of a folder; go back to the library if it is already open."""

    sessions_dir: Path


@dataclass
class OpenReplay(Message):
    """Play the session of a file, or with ``at_once`` show it as it ended."""

    path: Path
    sessions_dir: Path
    at_once: bool = False


@dataclass
class OpenJoinedReplay(Message):
    """Show several sessions of the same questions in one screen, as they ended."""

    paths: tuple[Path, ...]
    sessions_dir: Path


@dataclass
class OpenModels(Message):
    """Show the models; ``questions`` is the question set that chosen models are opened with."""

    survey_models: Callable[[], "ModelSurvey"]
    questions: str
    downloads: "Downloads"
    check_reference: Callable[[str], object]


@dataclass
class OpenDifferences(Message):
    """Compare the answer of the pane ``chosen`` with the other panes of a screen."""

    board_screen: "BoardScreen"
    chosen: int


@dataclass
class ExportReport(Message):
    """Write the report of sessions into the current folder, or into ``folder`` where that cannot be
    written; ``pictures``: question id -> SVG."""

    paths: tuple[Path, ...]
    folder: Path
    pictures: Mapping[str, str]
