"""Entry points of the commands: run a screen and return the exit code."""

import gc
import os
import shlex
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui.app.screens.results import ModelSelection, SessionToResume
from tui.host import paths
from tui.host.errors import EXIT_INTERRUPTED, UserError
from tui.host.terminal import is_interactive
from tui.options import ScreenOptions
from tui.text.sanitise import clean

if TYPE_CHECKING:
    from textual.dom import DOMNode
    from textual.screen import Screen

    from tui.app.app import DuibiApp
    from tui.app.screens.compare import CompareScreen, LiveRun
    from tui.app.screens.model_rows import ModelSurvey
    from tui.app.screens.navigation import FirstModel
    from tui.app.screens.start import ModelOffer, StartScreen
    from tui.app.style.appearance import Appearance
    from tui.app.style.messages import Messages
    from tui.app.style.theme_folder import ThemeFolders
    from tui.app.style.themes import Theme
    from tui.models.discover import FoundModel
    from tui.sessions.player import Player

FindModels = Callable[[], "list[FoundModel]"]
"""Looks for the models that can be used here; takes up to seconds."""

CompareModels = Callable[[list[str], str], int]
"""Opens a comparison of model references over a question set: fetches, begins a run, shows it."""

CheckReference = Callable[[str], object]
"""Raises `UserError` where a text that was typed names no model."""

AddModel = Callable[[str], int]
"""Adds the model of a text that was typed to a run; raises `UserError`. Takes up to seconds."""

ResumeSession = Callable[[str], int]
"""Resumes an interrupted session."""


def show_start(
    options: ScreenOptions,
    sessions_dir: Path,
    find_models: FindModels,
    questions: str,
    compare_models: CompareModels,
    resume_session: ResumeSession,
    check_reference: CheckReference,
    *,
    first_recording: Path | None = None,
) -> int:
    """The start screen over the recordings of ``sessions_dir``.

    ``find_models`` gives the models to offer, once the screen stands;
    ``compare_models`` opens what is chosen under models, with the set ``questions`` if no other
    is chosen; ``resume_session`` goes on with what is chosen in the library;
    ``check_reference`` looks at models that are typed; ``first_recording`` is played at once, as a
    first start does.

    Raises:
        UserError: there is no terminal, or the theme is not known.
    """
    _prepare_textual()

    def first(appearance: "Appearance") -> "Screen[Any]":
        return start_screen(
            *(appearance, sessions_dir, find_models, questions, check_reference, first_recording)
        )

    return _after_screen(_run(make_app(options, first), options), compare_models, resume_session)


def show_models(
    options: ScreenOptions,
    find_models: FindModels,
    questions: str,
    compare_models: CompareModels,
    check_reference: CheckReference,
) -> int:
    """The models screen alone; ``compare_models`` opens what is chosen there, with ``questions``;
    ``check_reference`` looks at models that are typed.

    Raises:
        UserError: there is no terminal, or the theme is not known.
    """
    _prepare_textual()
    from tui.app.screens.models import ModelsScreen

    def first(appearance: "Appearance") -> "Screen[Any]":
        survey = partial(_survey_models, find_models)
        return ModelsScreen(appearance, survey, questions, check_reference=check_reference)

    return _after_screen(_run(make_app(options, first), options), compare_models)


def show_run(
    options: ScreenOptions, run: "LiveRun", sessions_dir: Path, add_model: AddModel | None = None
) -> int:
    """A live run that was started: shows it, and closes it however the screen ends. ``add_model``
    adds a model that was typed to the run.

    Returns 0, 1 if an answer failed, or 130 if a signal ended it.

    Raises:
        UserError: there is no terminal, or the theme is not known.
    """
    _prepare_textual()
    from tui.app.screens.compare import CompareScreen

    screens: list[CompareScreen] = []

    def first(appearance: "Appearance") -> "Screen[Any]":
        screens.append(CompareScreen(appearance, run, sessions_dir, add_model))
        return screens[0]

    status = "interrupted"
    try:
        app = make_app(options, first)
        result = _run(app, options)
        if app.ended_by is not None:
            status = app.ended_by.name.lower()
        else:
            status = "closed" if app.return_code == 0 else "crashed"
            status = "interrupted" if result == EXIT_INTERRUPTED else status
    finally:
        run.close(status)
        from tui.sessions.save_fallback import ensure_saved

        if words := ensure_saved(run):
            print(clean(f"duibi: {words}"), file=sys.stderr)
        elif screens:
            _tell_what_is_saved(run.path, screens[0])
    if result or not screens:
        return result if isinstance(result, int) else app.return_code or 0
    return int(any(a.state == "failed" for a in screens[0].board.answers.values()))


def _tell_what_is_saved(path: Path, screen: "CompareScreen") -> None:
    """Say which session was recorded, and how to look at it again."""
    say, answers = screen.appearance.say, screen.board.answers.values()
    is_usual = path.parent == paths.sessions_dir()
    name = "last" if is_usual else shlex.quote(str(path))
    count = sum(answer.state == "answered" for answer in answers)
    words = say("leave.saved", file=path.name, count=count, name=name)
    print(clean(words), file=sys.stderr)


def show_replay(
    options: ScreenOptions,
    player: "Player",
    path: Path,
    sessions_dir: Path,
    resume_session: ResumeSession,
) -> int:
    """A recorded session of ``path``, played by ``player``; ``resume_session`` as in
    `show_start`.

    Raises:
        UserError: there is no terminal, or the theme is not known.
    """
    _prepare_textual()
    from tui.app.screens.replay import ReplayScreen

    def first(appearance: "Appearance") -> "Screen[Any]":
        return ReplayScreen(appearance, player, path, sessions_dir)

    return _after_screen(_run(make_app(options, first), options), resume_session=resume_session)


def _after_screen(
    result: Any,
    compare_models: CompareModels | None = None,
    resume_session: ResumeSession | None = None,
) -> int:
    """What follows the end of a screen: its exit code, models to open, or a session that
    goes on."""
    match result:
        case ModelSelection(references, questions) if compare_models is not None:
            return compare_models(list(references), questions)
        case SessionToResume(path) if resume_session is not None:
            return resume_session(str(path))
        case int(code):
            return code
    return 0


def _prepare_textual() -> None:
    """Set the environment that Textual reads at import, and switch the collector off."""
    # With kitty's keys some terminals lose the input method. Frames are triggered by the tick
    # and by keys; TEXTUAL_FPS only bounds their delay.
    os.environ.setdefault("TEXTUAL_DISABLE_KITTY_KEY", "1")
    os.environ.setdefault("TEXTUAL_FPS", "250")
    # Imports create no garbage; collecting meanwhile takes 10 % of the start-up.
    gc.disable()


def make_app(
    options: ScreenOptions, first_screen: Callable[["Appearance"], "Screen[Any]"]
) -> "DuibiApp":
    """The application around a first screen, in the theme, language and keys of ``options``.

    Raises:
        UserError: the theme is not known.
    """
    _prepare_textual()
    from tui.app.app import DuibiApp
    from tui.app.style.appearance import Appearance
    from tui.app.style.messages import Messages

    say, themes = Messages(options.lang, options.keys), _theme_folders()
    appearance = Appearance(_choose_theme(options.theme, themes, say), say, options.pictures)
    return DuibiApp(
        appearance,
        themes,
        lambda: first_screen(appearance),
        options.keys,
        options.output == "stock",
        options.report,
    )


def check_screen_settings(options: ScreenOptions) -> list[str]:
    """What is wrong with the theme, the user's own themes and ``[keys]``, a line each."""
    _prepare_textual()
    from tui.app import bindings, keymap
    from tui.app.app import DuibiApp
    from tui.app.style.appearance import Appearance
    from tui.app.style.messages import Messages

    say, themes = Messages(options.lang, options.keys), _theme_folders()
    found = [error.message for error in themes.errors]
    try:
        theme = _choose_theme(options.theme, themes, say)
    except UserError as error:
        found.append(error.message)
        theme = next(iter(themes.themes.values()))
    holders: tuple[type[DOMNode], ...] = (DuibiApp, *bindings.holders())
    return found + keymap.problems(options.keys, holders, Appearance(theme, say))


def _theme_folders() -> "ThemeFolders":
    from tui.app.style.theme_folder import ThemeFolders

    return ThemeFolders(paths.bundled("themes"), paths.config_dir() / "themes")


def _choose_theme(name: str, themes: "ThemeFolders", say: "Messages") -> "Theme":
    named = themes.themes
    if chosen := named.get(name) or named.get(f"duibi-{name}"):
        return chosen
    words = say("theme.unknown", name=name, known=", ".join(sorted(named)))
    raise UserError(words, "choose one with --theme")


def _require_terminal() -> None:
    if not is_interactive():
        raise UserError(
            "the screen needs a terminal", "use `duibi run`, or `--plain` with replay, on a pipe"
        )


def _run(app: "DuibiApp", options: ScreenOptions) -> Any:
    _require_terminal()
    result = app.run(mouse=options.mouse)
    for path in app.reports:
        print(clean(app.appearance.say("leave.report", path=str(path))), file=sys.stderr)
    if app.user_error is not None:
        raise app.user_error
    return app.return_code if result is None else result


def start_screen(
    appearance: "Appearance",
    sessions_dir: Path,
    find_models: FindModels,
    questions: str,
    check_reference: CheckReference,
    first_recording: Path | None = None,
) -> "StartScreen":
    """The start screen over this machine's recordings, models and question sets, with a recording
    that is played at once above it."""
    from tui.app.screens.start import StartScreen
    from tui.app.start_contents import load_contents

    def load_offers() -> "list[ModelOffer]":
        from tui.app import model_survey

        return model_survey.make_offers(find_models(), appearance.say)

    return StartScreen(
        appearance,
        sessions_dir,
        lambda: load_contents(sessions_dir),
        load_offers,
        questions,
        partial(_survey_models, find_models),
        check_reference,
        first_recording,
        _find_first_model,
    )


def _find_first_model() -> "FirstModel | None":
    from tui.app import model_survey

    return model_survey.find_first_model()


def _survey_models(find_models: FindModels) -> "ModelSurvey":
    from tui.app import model_survey

    return model_survey.survey_models(find_models())
