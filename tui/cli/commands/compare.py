"""``duibi [MODEL...]``: models side by side in the screen, or as text on a pipe."""

import sys
from typing import Annotated

import typer

from tui import questions as question_sets
from tui import settings as settings_of
from tui.app.main import show_start
from tui.cli.support import live_run, options
from tui.cli.support.headless import HeadlessRun
from tui.host.errors import UserError
from tui.reports.transcript import Transcript
from tui.run.setup import begin
from tui.settings import Settings

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
        return live_run.resume(resume, models, flags)
    settings = settings_of.load(flags)
    on_pipe = settings.plain or not sys.stdout.isatty()
    if models and on_pipe:
        return _run_plain(models, settings)
    if models:
        return live_run.compare_models(models, settings)
    if on_pipe:
        raise UserError("which models?", "e.g. `duibi demo@bf16 demo@fp32`; `duibi --help`")
    return show_start(settings, live_run.compare_models, live_run.resume_session)


def _run_plain(models: list[str], settings: Settings) -> int:
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
