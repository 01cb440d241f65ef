"""``duibi [MODEL...]``: models side by side in the screen, or as text on a pipe."""

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from tui import questions as question_sets
from tui import settings as settings_of
from tui.cli import INTERRUPTED
from tui.cli.support import options
from tui.host.errors import UserError
from tui.settings import Settings

if TYPE_CHECKING:
    from tui.run.conductor import Run

app = typer.Typer(add_completion=False)


@app.command(help="Compare chat models side by side. Without a model: the start screen.")
def compare(
    models: options.Models = None,
    questions: options.Questions = None,
    system: options.System = None,
    max_new_tokens: options.MaxNewTokens = None,
    context: options.Context = None,
    sample: options.Sample = False,
    greedy: options.Greedy = False,
    temperature: options.Temperature = None,
    top_p: options.TopP = None,
    seed: options.Seed = None,
    together: options.Together = False,
    one_at_a_time: options.OneAtATime = False,
    blind: options.Blind = False,
    resume: options.Resume = None,
    theme: Annotated[str | None, typer.Option(metavar="NAME", help="Colours.")] = None,
    lang: Annotated[str | None, typer.Option(metavar="en|zh", help="Of the screen.")] = None,
    batch: options.Batch = None,
    lookup: options.Lookup = False,
    remote_code: options.RemoteCode = False,
    pasted: options.Pasted = None,
    sessions: options.Sessions = None,
    mouse: Annotated[
        bool | None, typer.Option("--mouse/--no-mouse", help="Off by default.", show_default=False)
    ] = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="Text on stdout; so also where it is no terminal.")
    ] = False,
) -> int:
    flags = {
        "questions": questions,
        "system": system,
        "max_new_tokens": max_new_tokens,
        "context": context,
        "sampling": options.sampling(sample, greedy),
        "temperature": temperature,
        "top_p": top_p,
        "seed": seed,
        "schedule": options.schedule(together, one_at_a_time),
        "blind": blind or None,
        "theme": theme,
        "lang": lang,
        "batch": batch,
        "lookup": lookup or None,
        "remote_code": remote_code or None,
        "pasted": pasted,
        "sessions": sessions,
        "mouse": mouse,
        "plain": plain or None,
    }
    if resume:
        return _resume(resume, models, flags)
    settings = settings_of.load(flags)
    on_pipe = settings.plain or not sys.stdout.isatty()
    if models:
        return _run_plain(models, settings) if on_pipe else compare_models(models, settings)
    if on_pipe:
        raise UserError("which models?", "e.g. `duibi demo@bf16 demo@fp32`; `duibi --help`")
    from tui.app.main import show_start

    return show_start(settings, compare_models, resume_session)


def compare_models(models: list[str], settings: Settings) -> int:
    """Open the screen on models: references or aliases; its exit code.

    Raises:
        UserError: a model or the question set cannot be used.
    """
    from tui.run.setup import begin

    chosen = question_sets.load(settings.questions)
    found = options.resolve_models(models, settings)
    run = begin(found, chosen, settings, settings.sessions_dir, interactive=True)
    return _show_run(run, settings, lambda: run.ask(chosen.questions[0].id))


def resume_session(session: str, settings: Settings) -> int:
    """Open the screen on a run that broke off, and ask again what has no answer yet.

    Raises:
        UserError: as `tui.cli.support.resume_run.resume_run`.
    """
    kept = ("theme", "lang", "mouse", "sessions")
    return _resume(session, None, {name: getattr(settings, name) for name in kept})


def _resume(session: str, models: list[str] | None, flags: Mapping[str, object]) -> int:
    from tui.cli.support.resume_run import resume_run

    if flags.get("plain") or not sys.stdout.isatty():
        raise UserError("--resume needs the screen here", f"`duibi run --resume {session}`")
    run, settings, _ = resume_run(session, models, flags, interactive=True)
    return _show_run(run, settings, run.ask_missing)


def _show_run(run: "Run", settings: Settings, ask: Callable[[], object]) -> int:
    with _closed_by_signals(run):
        # The workers import their libraries while this process imports its own.
        run.start()
        ask()
        from tui.app.main import show_run

        return show_run(run, settings)


@contextlib.contextmanager
def _closed_by_signals(run: "Run") -> Iterator[None]:
    """Close the run whatever happens, also by a signal before the screen listens to them."""

    status = "interrupted"

    def end(number: int, _frame: object) -> None:
        nonlocal status
        status = signal.Signals(number).name.lower()
        raise SystemExit(INTERRUPTED)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    try:
        yield
    finally:
        run.close(status)


def _run_plain(models: list[str], settings: Settings) -> int:
    from tui.cli.support.headless import HeadlessRun
    from tui.reports.transcript import Transcript
    from tui.run.setup import begin

    chosen = question_sets.load(settings.questions)
    run = begin(options.resolve_models(models, settings), chosen, settings, settings.sessions_dir)
    transcript = Transcript()

    def show(text: str) -> None:
        if text:
            sys.stdout.write(text)
            sys.stdout.flush()

    headless = HeadlessRun(run, lambda events, _: show("".join(map(transcript.feed, events))))
    code = headless.run_to_end(settings.repeat)
    show(transcript.finish())
    return code


command = typer.main.get_command(app)
