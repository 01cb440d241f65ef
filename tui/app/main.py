"""What the commands call: open a screen, come back with an exit code."""

import gc
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui.host import paths
from tui.host.errors import UserError
from tui.settings import Settings
from tui.text.sanitise import clean

if TYPE_CHECKING:
    from textual.screen import Screen

    from tui.app.app import DuibiApp
    from tui.app.screens.compare import LiveRun
    from tui.app.screens.model_rows import Here
    from tui.app.screens.start import StartScreen
    from tui.app.style.appearance import Look
    from tui.sessions.player import Player

OpenModels = Callable[[list[str], Settings], int]
"""Opens a comparison of model references: fetches, begins a run, shows it."""

OpenSession = Callable[[str, Settings], int]
"""Goes on with an interrupted session."""


def show_start(
    settings: Settings,
    open_models: OpenModels | None = None,
    open_session: OpenSession | None = None,
) -> int:
    """The start screen. ``open_models`` opens what is chosen under models; without it only
    recordings are offered. ``open_session`` goes on with what is chosen in the library.

    Raises:
        UserError: there is no terminal, or the theme is not known.
    """
    _before_textual()

    def first(look: "Look") -> "Screen[Any]":
        offer = open_models is not None
        return start_screen(settings, look, offer)

    result = _run(make_app(settings, first), settings)
    return _ended(result, settings, open_session, open_models)


def show_models(settings: Settings, open_models: OpenModels) -> int:
    """The models screen alone; ``open_models`` opens what is chosen there.

    Raises:
        UserError: there is no terminal, or the theme is not known.
    """
    _before_textual()
    from tui.app.screens.models import ModelsScreen

    def first(look: "Look") -> "Screen[Any]":
        return ModelsScreen(look, lambda: look_around(settings), settings.questions)

    result = _run(make_app(settings, first), settings)
    return _ended(result, settings, None, open_models)


def show_run(run: "LiveRun", settings: Settings) -> int:
    """A live run that was started: shows it, and closes it however the screen ends.

    Returns 0, 1 if an answer failed, or 130 if a signal ended it.

    Raises:
        UserError: there is no terminal, or the theme is not known.
    """
    _before_textual()
    from tui.app.screens.compare import CompareScreen

    screens: list[CompareScreen] = []

    def first(look: "Look") -> "Screen[Any]":
        screens.append(CompareScreen(look, run, settings.sessions_dir))
        return screens[0]

    status = "interrupted"
    try:
        app = make_app(settings, first)
        result = _run(app, settings)
        if app.ended_by is not None:
            status = app.ended_by.name.lower()
        else:
            status = "closed" if app.return_code == 0 else "crashed"
    finally:
        run.close(status)
        from tui.sessions.save_fallback import last_words

        if words := last_words(run):
            print(clean(f"duibi: {words}"), file=sys.stderr)
    if result or not screens:
        return result if isinstance(result, int) else app.return_code or 0
    return int(any(a.state == "failed" for a in screens[0].board.answers.values()))


def show_replay(
    player: "Player", path: Path, settings: Settings, open_session: OpenSession | None = None
) -> int:
    """A recorded session of ``path``, played by ``player``; ``open_session`` as in
    `show_start`.

    Raises:
        UserError: there is no terminal, or the theme is not known.
    """
    _before_textual()
    from tui.app.screens.replay import ReplayScreen

    def first(look: "Look") -> "Screen[Any]":
        return ReplayScreen(look, player, path, settings.sessions_dir)

    return _ended(_run(make_app(settings, first), settings), settings, open_session)


def _ended(
    result: Any,
    settings: Settings,
    open_session: OpenSession | None,
    open_models: OpenModels | None = None,
) -> int:
    """What follows the end of a screen: its exit code, models to open, or a session that
    goes on."""
    from tui.app.screens.base import Choice, Continue

    if isinstance(result, Choice) and open_models is not None:
        return open_models(list(result.references), replace(settings, questions=result.questions))
    if not isinstance(result, Continue):
        return result if isinstance(result, int) else 0
    if open_session is None:
        raise UserError("this command cannot go on with a run", f"`duibi --resume {result.path}`")
    return open_session(str(result.path), settings)


def _before_textual() -> None:
    """What must be so when Textual is imported, and makes the import short."""
    # Textual reads both when it is imported: with kitty's keys some terminals lose the input
    # method; the frames are those of the tick and the keys, the rate only how late they are.
    os.environ.setdefault("TEXTUAL_DISABLE_KITTY_KEY", "1")
    os.environ.setdefault("TEXTUAL_FPS", "250")
    # Nothing that is imported becomes garbage: looking for it takes a tenth of the start.
    gc.disable()


def make_app(settings: Settings, first: Callable[["Look"], "Screen[Any]"]) -> "DuibiApp":
    """The application around a first screen, in the settings' theme, language and keys.

    Raises:
        UserError: the theme is not known.
    """
    _before_textual()
    from tui.app.app import DuibiApp
    from tui.app.style.appearance import Look
    from tui.app.style.messages import Messages
    from tui.app.style.theme_folder import ThemeFolders

    say = Messages(settings.lang)
    themes = ThemeFolders(paths.bundled("themes"), paths.config_dir() / "themes")
    named = themes.themes
    chosen = named.get(settings.theme) or named.get(f"duibi-{settings.theme}")
    if chosen is None:
        known = ", ".join(sorted(named))
        raise UserError(
            say("theme.unknown", name=settings.theme, known=known), "choose one with --theme"
        )
    look = Look(chosen, say, settings.pictures)
    return DuibiApp(look, themes, lambda: first(look), settings.keys, settings.output == "stock")


def _terminal() -> None:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UserError(
            "the screen needs a terminal", "use `duibi run`, or `--plain` with replay, on a pipe"
        )


def _run(app: "DuibiApp", settings: Settings) -> Any:
    _terminal()
    result = app.run(mouse=settings.mouse)
    return app.return_code if result is None else result


def start_screen(settings: Settings, look: "Look", offer_models: bool) -> "StartScreen":
    """The start screen over this machine's recordings, models and question sets."""
    from tui.app.screens.start import Found, Offer, StartScreen
    from tui.questions import BUILT_IN, load
    from tui.sessions import library

    def found() -> Found:
        return Found(
            sorted(library.entries(paths.bundled("sessions")), key=lambda entry: entry.name),
            library.entries(settings.sessions_dir),
            [(name, load(name).title or name) for name in BUILT_IN] if offer_models else [],
        )

    def models() -> list[Offer]:
        if not offer_models:
            return []
        from tui.app.style.figures import memory
        from tui.models import demo
        from tui.models.inventory import look as look_here

        remark = look.say("start.demo_here" if demo.present() else "start.demo_fetch")
        offers = [Offer(("demo@bf16", "demo@fp32"), look.say("start.demo"), remark)]
        for one in look_here(settings.aliases, settings.model_folders, settings.services):
            if one.reference != "demo" and one.state == "complete":
                words = "  ".join(
                    part for part in (one.family, one.dtype, memory(one.size)) if part
                )
                offers.append(Offer((one.reference,), one.label, words))
        return offers

    around = (lambda: look_around(settings)) if offer_models else None
    return StartScreen(look, settings.sessions_dir, found, models, settings.questions, around)


def look_around(settings: Settings) -> "Here":
    """What the models screen shows; takes up to seconds on a network disk.

    Raises:
        UserError: the memory limit in the environment is no size.
    """
    from tui.app.screens.model_rows import Here
    from tui.host import filesystem, memory
    from tui.models import demo
    from tui.models.caches import modelscope_caches
    from tui.models.catalogue import suggestions
    from tui.models.discover import of_demo
    from tui.models.inventory import look

    found = look(settings.aliases, settings.model_folders, settings.services)
    if not demo.present():
        found.insert(0, of_demo())
    known = {one.reference.lower() for one in found}
    return Here(
        found,
        [one for one in suggestions() if one.reference.lower() not in known],
        memory.reading().free,
        filesystem.free(modelscope_caches()[0]),
    )
