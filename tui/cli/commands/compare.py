"""``duibi [MODEL...]``: models side by side in the screen, or as text on a pipe."""

import os
import sys

import typer

from tui import questions as question_sets
from tui.cli.support import live_run, options, settings_in_force
from tui.cli.support.headless import HeadlessRun
from tui.cli.support.open_screens import open_start
from tui.host.errors import UserError
from tui.host.terminal import is_dumb
from tui.models import column
from tui.reports.transcript import Transcript
from tui.run.setup import begin
from tui.settings import Settings

app = typer.Typer(add_completion=False)


@app.command(help="Compare chat models side by side. Without a model: the start screen.")
@options.with_settings(
    *("questions", "system", "max_new_tokens", "context", "sampling", "temperature", "top_p"),
    *(
        "seed",
        "vary",
        "logprobs",
        "schedule",
        "measure",
        "blind",
        "resume",
        "theme",
        "lang",
        "batch",
        "lookup",
        "think",
        "think_tokens",
        "loop_stop",
        "chat_template",
        "remote_code",
    ),
    *("concurrency", "budget", "pasted", "title", "sessions", "mouse", "plain", "yes"),
)
def compare(
    flags: dict[str, object],
    models: options.Models = None,
    vary: options.Vary = None,
    resume: options.Resume = None,
    yes: options.Yes = False,
) -> int:
    if resume:
        return live_run.resume(resume, models or vary, flags, yes)
    models = column.vary(models or (), vary or ())
    settings = settings_in_force.load(flags, models)
    on_pipe = settings.plain or not sys.stdout.isatty() or is_dumb(os.environ)
    if models and on_pipe:
        return _run_plain(models, settings, yes)
    if models:
        return live_run.compare_models(models, settings, yes)
    if on_pipe:
        raise UserError("which models?", "e.g. `duibi demo@bf16 demo@fp32`; `duibi --help`")
    return open_start(settings)


def _run_plain(models: list[str], settings: Settings, yes: bool) -> int:
    source = options.question_set_name(models, settings)
    chosen = question_sets.load(source)
    found = options.resolve_models(models, settings, yes)
    run = begin(found, chosen, settings.run, settings.recording_dir, source=source)
    transcript = Transcript()

    def show(text: str) -> None:
        if text:
            sys.stdout.write(text)
            sys.stdout.flush()

    headless = HeadlessRun(run, lambda events, _: show("".join(map(transcript.feed, events))))
    code = headless.run_to_end(settings.run.repeat)
    show(transcript.finish())
    return code


command = typer.main.get_command(app)
