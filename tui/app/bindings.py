"""Lists every class with key bindings that `[keys]` in duibi.toml may change."""

from textual.dom import DOMNode

from tui.app.screens.compare import CompareScreen
from tui.app.screens.differences import DifferencesScreen, DiffView
from tui.app.screens.help import HelpScreen, Page
from tui.app.screens.library import LibraryScreen, SearchLine
from tui.app.screens.models import ModelsScreen
from tui.app.screens.replay import ReplayScreen
from tui.app.screens.report_choice import ReportChoice
from tui.app.screens.start import StartScreen
from tui.app.widgets.answer_pane import AnswerPane
from tui.app.widgets.confirm import Confirm
from tui.app.widgets.menu import Menu
from tui.app.widgets.prompt import PromptInput
from tui.app.widgets.stars_bar import StarsBar
from tui.app.widgets.votes_bar import VotesBar


def holders() -> tuple[type[DOMNode], ...]:
    """The screens and widgets that have bindings of their own or of a base class."""
    return (
        CompareScreen,
        ReplayScreen,
        DifferencesScreen,
        StartScreen,
        LibraryScreen,
        ModelsScreen,
        HelpScreen,
        ReportChoice,
        AnswerPane,
        PromptInput,
        SearchLine,
        Menu,
        StarsBar,
        VotesBar,
        DiffView,
        Page,
        Confirm,
    )
