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


@dataclass(frozen=True)
class FirstModel:
    """A model to begin with: bytes to fetch, and the seconds that takes on a common line."""

    reference: str
    title: str
    download_bytes: int
    seconds: float


@dataclass(frozen=True)
class Introduction:
    """Of the recording that a first start plays: what looks for a model to begin with (for seconds
    where the network is silent), and what fetches it by its reference."""

    find_model: Callable[[], FirstModel | None]
    fetch: Callable[[str], None]


@dataclass
class OpenReplay(Message):
    """Play the session of a file, or with ``at_once`` show it as it ended; below an
    ``introduction`` where it is the first that somebody sees."""

    path: Path
    sessions_dir: Path
    at_once: bool = False
    introduction: "Introduction | None" = None


@dataclass
class OpenJoinedReplay(Message):
    """Show several sessions of the same questions in one screen, as they ended."""

    paths: tuple[Path, ...]
    sessions_dir: Path


@dataclass
class OpenModels(Message):
    """Show the models; ``questions`` is the question set that chosen models are opened with,
    ``fetch`` a model whose download begins at once."""

    survey_models: Callable[[], "ModelSurvey"]
    questions: str
    downloads: "Downloads"
    check_reference: Callable[[str], object]
    fetch: str = ""


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
