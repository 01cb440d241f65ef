"""``duibi run``: the same run without a screen, for the night and for scripts."""

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from tui import questions as question_sets
from tui.board import Board
from tui.cli.support import options, settings_in_force
from tui.cli.support.headless import HeadlessRun
from tui.cli.support.out_file import check_out
from tui.cli.support.printing import about, load_line, print_json, tables, tell, told_stage
from tui.cli.support.resume_run import read_begun, resume_run
from tui.cli.support.run_progress import RunProgress
from tui.events import Answered, Cancelled, Event, Failed, Load, Loaded, Note, answer_of
from tui.host.errors import UserError
from tui.host.save_file import replace_file
from tui.models import column
from tui.run import result_notes, results, setup
from tui.run.conductor import Run
from tui.settings import Settings
from tui.text.sanitise import one_line
from tui.text.translation import tr
from tui.text.width import clip

app = typer.Typer(add_completion=False)


@app.command(help="Ask every question of every model, without a screen.")
@options.with_settings(
    *("questions", "system", "max_new_tokens", "context", "sampling", "temperature", "top_p"),
    *(
        "seed",
        "vary",
        "logprobs",
        "schedule",
        "measure",
        "repeat",
        "batch",
        "resume",
        "out",
        "as_json",
        "lookup",
        "think",
        "think_tokens",
        "loop_stop",
        "chat_template",
        "remote_code",
    ),
    *("concurrency", "budget", "pasted", "title", "sessions", "yes"),
)
def run(
    flags: dict[str, object],
    models: options.Models = None,
    vary: options.Vary = None,
    resume: options.Resume = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the JSON document there as well.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON document on stdout, not the table.")
    ] = False,
    yes: options.Yes = False,
) -> int:
    if out is not None:
        check_out(out, (flags.get("questions"), flags.get("pasted")))
    if resume:
        begun = read_begun(resume, models or vary, flags)
        if begun.is_complete:
            tell(f"duibi: {begun.nothing_to_do}")
            _print_results(begun.board, begun.reading.path, True, as_json, out)
            return 0
        started, settings, past = resume_run(begun, yes=yes)
    else:
        started, settings, past = _begin(column.vary(models or (), vary or ()), flags, yes)
    with _progress_printer() as show:
        headless = HeadlessRun(started, show, past)
        code = headless.run_to_end(settings.run.repeat)
    is_saved = started.save_state.saved
    _print_results(headless.board, started.path, is_saved, as_json, out)
    return code


def _print_results(
    board: Board, path: Path, is_saved: bool, as_json: bool, out: Path | None
) -> None:
    made = results.json_document(board, str(path), is_saved)
    if as_json:
        print_json(made)
    else:
        print(tables(results.figure_tables(board)))
    _print_footnotes(board, path)
    if out is not None:  # last: its folder may be gone by now
        replace_file(out, json.dumps(made, ensure_ascii=False, indent=1) + "\n")


def _begin(
    models: Sequence[str], flags: Mapping[str, object], yes: bool
) -> tuple[Run, Settings, int]:
    if not models:
        raise UserError("which models?", "e.g. `duibi run demo --questions tongji`")
    settings = settings_in_force.load(flags, models)
    source = options.question_set_name(models, settings)
    chosen = question_sets.load(source)
    found = options.resolve_models(models, settings, yes)
    started = setup.begin(found, chosen, settings.run, settings.recording_dir, source=source)
    return started, settings, 0


@contextlib.contextmanager
def _progress_printer() -> Iterator[Any]:
    line = _ProgressPrinter()
    try:
        yield line
    finally:
        line.finish()


class _ProgressPrinter:
    """How far it is, on stderr: one line redrawn on a terminal, else a line an answer."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._shown = ""
        self._progress = RunProgress()

    def __call__(self, events: Sequence[Event], board: Board) -> None:
        for event in events:
            self._progress.feed((event,))
            ends = isinstance(event.body, Answered | Failed | Cancelled) and not self._live
            lines = [_end_line(board, event, self._progress)] if ends else _note_lines(board, event)
            for line in lines:
                self._print(one_line(line))
        if self._live:
            self._redraw(one_line(f"{tr(str(self._progress))}  {_state_text(board)}"))

    def _print(self, line: str) -> None:
        """A line that stays."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            self._shown = ""
        print(line, file=sys.stderr, flush=True)

    def finish(self) -> None:
        """End the line."""
        if self._shown:
            print(file=sys.stderr)

    def _redraw(self, text: str) -> None:
        width = 80
        with contextlib.suppress(OSError):  # the terminal may have gone meanwhile
            width = os.get_terminal_size(sys.stderr.fileno()).columns or width
        text = clip(text, width - 1)
        if text != self._shown:
            sys.stderr.write(f"\r{text}\x1b[K")
            sys.stderr.flush()
            self._shown = text


def _state_text(board: Board) -> str:
    parts = []
    for model in board.models:
        answer = board.current_answer(model.index)
        if answer and answer.is_open:
            batch = answer.started.batch if answer.started else 1
            rate = answer.decode_tok_s
            speed = f" {rate:.1f}{'+' * (batch > 1)} tok/s" if rate else ""
            said = f"{answer.question} {tr(f'{answer.tokens} tokens')}{speed}"
            parts.append(about(model.label, said))
        else:
            parts.append(about(model.label, model.load.stage if model.load else model.state))
    return " | ".join(parts)


def _label(board: Board, event: Event) -> str:
    return board.models[event.model].label if 0 <= event.model < len(board.models) else ""


def _note_lines(board: Board, event: Event) -> list[str]:
    """What the program has to say of a model or of an answer under way: a repetition, a key
    that goes unencrypted."""
    label = _label(board, event)
    match event.body:
        case Load() as load if told_stage(load):
            return [about(label, told_stage(load))]
        case Loaded() as loaded:
            return [about(label, text) for text in (load_line(loaded), *loaded.notes) if text]
        case Note(text=text, source="program", answer=id_):
            answer = board.answers.get(id_)
            whose = " ".join(part for part in (label, answer.question if answer else "") if part)
            return [about(whose, text)]
    return []


def _end_line(board: Board, event: Event, progress: RunProgress) -> str:
    label = _label(board, event)
    answer = board.answers.get(answer_of(event.body))
    # What fails with the model itself is no end of an answer, and counts as none.
    what = f"{progress.done}/{progress.total} {label} {answer.question}" if answer else label
    match event.body:
        case Answered() as figures:
            guess = "~" if figures.token_source == "estimate" else ""
            marks = "*" * figures.contended + "+" * (figures.batch > 1)
            rate = figures.decode_tok_s
            speed = f", {guess}{rate:.1f}{marks} tok/s" if rate else ""
            return about(what, f"{figures.finish}, {guess}{figures.output_tokens} tokens{speed}")
        case Failed(message=message, next_step=next_step):
            said = about(about(what, "failed"), message)
            return said + (f" -> {tr(next_step)}" if next_step else "")
    return about(what, "cancelled")


def _print_footnotes(board: Board, path: Path) -> None:
    for model in board.models:
        if model.failure:
            tell(f"duibi: {about(model.label, model.failure.message)}")
            if model.failure.next_step:
                tell(f"  -> {model.failure.next_step}")
    for note in result_notes.table_notes(board):
        tell(note)
    tell(f"recorded in {path}")


command = typer.main.get_command(app)
