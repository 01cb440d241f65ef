"""Begins a run, or continues an interrupted one, and shows it on the screen."""

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator, Mapping

from tui import questions as question_sets
from tui.app import main as screens
from tui.cli.support import options
from tui.cli.support.resume_run import read_begun, resume_run
from tui.host.errors import EXIT_INTERRUPTED, UserError
from tui.run.conductor import Run
from tui.run.setup import begin
from tui.settings import DECLARATIONS, Settings


def compare_models(models: list[str], settings: Settings, yes: bool = False) -> int:
    """Open the screen on models: references or aliases, fetched unasked with ``yes``; its exit
    code.

    Raises:
        UserError: a model or the question set cannot be used.
    """
    source = options.question_set_name(models, settings)
    chosen = question_sets.load(source)
    found = options.resolve_models(models, settings, yes)
    run = begin(
        found,
        chosen,
        settings.run,
        settings.recording_dir,
        interactive=True,
        source=source,
    )
    return _show_run(run, settings)


def resume_session(session: str, settings: Settings) -> int:
    """Open the screen on a run that broke off, and ask again what has no answer yet.

    Raises:
        UserError: as `tui.cli.support.resume_run.resume_run`, or nothing of it is missing.
    """
    kept = [name for name, one in DECLARATIONS.items() if one.on_resume == "allowed"]
    return resume(session, None, {name: settings.value_of(name) for name in kept})


def resume(
    session: str, models: list[str] | None, flags: Mapping[str, object], yes: bool = False
) -> int:
    """As `resume_session`, with ``flags`` of the command line in place of settings.

    Raises:
        UserError: there is no terminal, or as `resume_session`.
    """
    if flags.get("plain") or not sys.stdout.isatty():
        raise UserError("--resume needs the screen here", f"`duibi run --resume {session}`")
    begun = read_begun(session, models, flags)
    if begun.is_complete:
        raise UserError(begun.nothing_to_do, f"`duibi replay {session}` shows it")
    run, settings, _ = resume_run(begun, interactive=True, yes=yes)
    return _show_run(run, settings, run.ask_missing)


def _show_run(run: Run, settings: Settings, ask: Callable[[], object] = lambda: None) -> int:
    """Show a run that waits for its person, but for what ``ask`` asks."""
    with _closed_by_signals(run):
        # The workers import their libraries while this process imports Textual.
        run.start()
        ask()

        def add_model(text: str) -> int:
            return run.add_model(options.resolve_present(text, settings))

        return screens.show_run(settings.screen, run, settings.sessions_dir, add_model)


@contextlib.contextmanager
def _closed_by_signals(run: Run) -> Iterator[None]:
    """Close the run whatever happens, also by a signal before the screen listens to them."""
    status = "interrupted"

    def end(number: int, _frame: object) -> None:
        nonlocal status
        status = signal.Signals(number).name.lower()
        raise SystemExit(EXIT_INTERRUPTED)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    try:
        yield
    finally:
        run.close(status)
