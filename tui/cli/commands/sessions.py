"""``duibi sessions``: what was recorded, whether it is whole, and what to do with it."""

from pathlib import Path
from typing import Annotated, Any

import typer

from tui import board as board_of
from tui.cli.support import settings_in_force
from tui.cli.support.download_progress import ProgressLine
from tui.cli.support.printing import heads, path_text, print_json, table, tables, tell
from tui.events import json_form
from tui.host import paths
from tui.host.errors import UserError
from tui.run import result_notes, results
from tui.scoring.stars import stars_of
from tui.sessions import library, lines, reader, storage
from tui.sessions.library import SessionEntry
from tui.text.sanitise import clean, one_line
from tui.text.translation import language, tr
from tui.text.units import format_duration, format_size

app = typer.Typer(add_completion=False, help="List, check, repair and delete recorded sessions.")

Name = Annotated[
    str,
    typer.Argument(
        metavar="SESSION", help="A file, a name, the beginning of one, a sample, or `last`."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
Dir = Annotated[Path | None, typer.Option("--sessions", metavar="DIR", help="Look there.")]


@app.command("list", help="All sessions, newest first, from their first and last lines.")
def list_(
    search: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT", help="Only where titles, models, questions or answers have it."
        ),
    ] = None,
    json: Json = False,
    sessions: Dir = None,
) -> int:
    folder = _folder(sessions)
    if search is not None:
        return _search(folder, search, json)
    found = library.entries(folder)
    if json:
        print_json([_entry_json(entry) for entry in found])
        return 0
    samples = library.session_files(paths.bundled("sessions"))
    tell(f"these came with duibi: {', '.join(sorted(path.stem for path in samples))}")
    if not found:
        tell(f"no sessions in {folder}")
        return 0
    head = heads("SESSION", "STARTED", "MODELS", "QUESTIONS", "ANSWERS", "VERDICT", "TIME", "SIZE")
    print(table([head, *map(_row, found)]))
    return 0


@app.command(
    help="What a session holds: the figures of its models as `duibi run` prints them, questions, "
    "answers and their figures."
)
def show(session: Name, json: Json = False, sessions: Dir = None) -> int:
    reading = reader.read(library.find(session, _folder(sessions)))
    board = board_of.fold(reading.events)
    if json:
        print_json(_session_json(reading, board))
        return 0
    header = reading.header
    print(table([(tr(key), tr(str(value))) for key, value in _summary(reading).items()]))
    print(f"\n{tables(results.figure_tables(board))}")
    for question in board.questions:
        print(f"\n{one_line(question.id)}  {one_line(question.category)}")
        print(clean(question.turns[0]))
        rows = [
            (f"  {board.models[model].label}", *_figures(board, board.answers[id_]))
            for model in range(len(header.models))
            for id_ in board.answer_ids.get((model, question.id), ())
        ]
        if rows:
            print(table(rows))
    for note in _notes(board):
        tell(note)
    return 0


def _notes(board: board_of.Board) -> list[str]:
    """What has to be known of the figures: of the models, and of answers that count for none."""
    told = result_notes.table_notes(board)
    figures = [answer.figures for answer in board.answers.values() if answer.figures]
    marks = {
        result_notes.DISTURBED_NOTE: any(one.contended for one in figures),
        result_notes.BATCHED_NOTE: any(one.batch > 1 for one in figures),
    }
    more = [n for n, is_met in marks.items() if is_met and not any(t.startswith(n) for t in told)]
    return told + more


@app.command(
    help="Read every byte and say whether it can be trusted. Exit code 0: every session is "
    "complete, running or interrupted (whole so far); 2: one is torn, damaged, refused, or no "
    "session."
)
def verify(
    sessions_: Annotated[
        list[str],
        typer.Argument(metavar="SESSION", help="Files, names, beginnings of one, or `last`."),
    ],
    json: Json = False,
    sessions: Dir = None,
) -> int:
    folder, worst = _folder(sessions), 0
    for name in sessions_:
        try:
            path = library.find(name, folder)
            scanned = reader.verify(path)
        except UserError as error:
            worst = 2
            _print_refused(name, error, json)
            continue
        state = storage.state_of(path, scanned.verdict)
        if state not in ("complete", "running", "interrupted"):
            worst = 2
        if json:
            result = {
                "file": str(path),
                "verdict": state,
                "events": scanned.count,
                "bytes_dropped": scanned.dropped_bytes,
                "answers": scanned.answers,
                "line": scanned.line,
                "problem": scanned.problem,
            }
            print_json(result)
            continue
        why = f"; line {scanned.line}: {scanned.problem}" if scanned.line else ""
        said = (
            f"{path}: {state}, {scanned.count} events, {scanned.answers} answers, "
            f"{scanned.dropped_bytes} bytes left out{why}"
        )
        print(one_line(tr(said)))
    return worst


def _print_refused(name: str, error: UserError, json: bool) -> None:
    """A session that cannot be read: the others are still told of."""
    if json:
        print_json({"file": name, "verdict": "refused", "problem": error.message})
    else:
        print(one_line(tr(f"{name}: refused: {error.message}")))
        tell(f"  -> {error.next_step}")


@app.command(help="Write what is whole of a session beside it as *.recovered.duibi.")
def repair(session: Name, json: Json = False, sessions: Dir = None) -> int:
    damaged = library.find(session, _folder(sessions))
    saved = reader.repair(damaged)
    if json:
        found = reader.read(saved)
        left_out = damaged.stat().st_size - saved.stat().st_size
        print_json(
            {
                "file": str(damaged),
                "recovered": str(saved),
                "events": len(found.events),
                "bytes_dropped": left_out,
            }
        )
    else:
        print(path_text(saved))
    return 0


@app.command(help="Move sessions to the trash; --undo brings the last one back.")
def rm(
    sessions_: Annotated[
        list[str] | None,
        typer.Argument(metavar="SESSION", help="Files, names, beginnings of one, or `last`."),
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Bring back what was deleted last.")] = False,
    empty: Annotated[bool, typer.Option("--empty-trash", help="Delete it for good.")] = False,
    json: Json = False,
    sessions: Dir = None,
) -> int:
    folder = _folder(sessions)
    if bool(sessions_) + undo + empty != 1:
        raise UserError("nothing to delete", "name sessions, or give --undo or --empty-trash")
    done: dict[str, Any] = {"deleted": [], "restored": [], "deleted_for_good": 0}
    if undo:
        if not (gone := library.trashed(folder)):
            raise UserError(f"the trash of {folder} is empty", "see `duibi sessions list`")
        restored = library.restore(gone[0])
        done["restored"].append(str(restored))
        if not json:
            print(path_text(restored))
    elif empty:
        done["deleted_for_good"] = library.empty_trash(folder)
        tell(f"{done['deleted_for_good']} sessions deleted for good")
    for path in [library.find(name, folder) for name in sessions_ or ()]:
        moved = library.trash(path)
        done["deleted"].append({"file": str(path), "trash": str(moved)})
        place = "" if moved.parent.parent == folder else f" --sessions {path.parent}"
        tell(f"{path.name} is in the trash (undo: duibi sessions rm --undo{place})")
    if json:
        print_json(done)
    return 0


@app.command(help="The path of a session, or of the folder of all.")
def path(
    session: Annotated[
        str | None,
        typer.Argument(metavar="SESSION", help="A file, a name, the beginning of one, or `last`."),
    ] = None,
    json: Json = False,
    sessions: Dir = None,
) -> int:
    folder = _folder(sessions)
    found = folder if session is None else library.find(session, folder).resolve()
    if json:
        print_json({"path": str(found)})
    else:
        print(path_text(found))
    return 0


def _search(folder: Path, text: str, json: bool) -> int:
    from tui.sessions.search import SearchIndex

    index = SearchIndex(folder)
    try:
        with ProgressLine() as progress:
            index.update(lambda done, total: progress("reading sessions", done, total))
        hits = index.search(text)
    finally:
        index.close()
    rows = [(h.path.name.removesuffix(lines.SUFFIX), h.question, h.label, h.excerpt) for h in hits]
    keys = ("session", "question", "model", "excerpt")
    if json:
        print_json([dict(zip(keys, row, strict=True)) for row in rows])
    elif rows:
        print(table([heads(*(key.upper() for key in keys)), *rows]))
    return 0


def _folder(given: Path | None) -> Path:
    return settings_in_force.load({"sessions": given}).sessions_dir


def _row(entry: SessionEntry) -> tuple[str, ...]:
    if entry.problem:
        return (
            entry.name,
            entry.started,
            tr(entry.problem),
            "",
            "",
            tr(entry.verdict),
            "",
            format_size(entry.size),
        )
    return (
        entry.name,
        entry.started.replace("T", " ").removesuffix("Z"),
        ", ".join(entry.labels),
        entry.question_set,
        f"{entry.answers}/{max(entry.expected, entry.answers)}",
        tr(entry.outcome),
        format_duration(entry.duration_s),
        format_size(entry.size),
    )


def _entry_json(entry: SessionEntry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "file": str(entry.path),
        "started": entry.started,
        "models": list(entry.labels),
        "question_set": entry.question_set,
        "questions": entry.questions,
        "answers": entry.answers,
        "expected": entry.expected,
        "verdict": entry.verdict,
        "outcome": entry.outcome,
        "duration_s": entry.duration_s,
        "size": entry.size,
        "problem": entry.problem,
    }


def _summary(reading: reader.RecordedSession) -> dict[str, Any]:
    header = reading.header
    entry = library.entry_of(reading.path)
    state = storage.state_of(reading.path, reading.verdict)
    return {
        "session": reading.path.name.removesuffix(lines.SUFFIX),
        "file": str(reading.path),
        "started": header.started,
        "program": header.program,
        "models": ", ".join(header.labels),
        "question_set": header.title,
        "verdict": state,
        "outcome": entry.outcome if state == "complete" else state,
        "events": len(reading.events),
        "bytes_dropped": reading.bytes_dropped,
        "duration_s": round(max(event.t_us for event in reading.events) / 1e6, 3),
    }


def _figures(board: board_of.Board, answer: board_of.Answer) -> tuple[str, ...]:
    ttft, speed, told = answer.ttft_ms, answer.decode_tok_s, answer.figures
    marks = "*" * told.contended + "+" * (told.batch > 1) if told else ""
    return (
        tr(answer.state if answer.figures is None else answer.figures.finish),
        tr(f"{answer.tokens} tokens"),
        "" if ttft is None else tr(f"TTFT {ttft:.0f} ms") + marks,
        "" if speed is None else f"{speed:.1f} tok/s{marks}",
        " ".join(f"{one.name(language())} {'★' * min(n, 5)}" for one, n in stars_of(board, answer)),
    )


def _session_json(reading: reader.RecordedSession, board: board_of.Board) -> dict[str, Any]:
    header = reading.header
    return _summary(reading) | {
        "models": header.models,
        "questions": header.questions,
        "host": header.host,
        "resumed_on": board.hosts[1:],
        "settings": header.settings,
        "figures": results.model_figures(board),
        "answers": [
            {
                "answer": answer.id,
                "model": board.models[answer.model].label,
                "question": answer.question,
                "turn": answer.turn,
                "prompt": answer.prompt,
                "state": answer.state,
                "text": answer.text,
                "figures": None if answer.figures is None else json_form.payload(answer.figures),
                "stars": answer.stars,
            }
            for answer in board.answers.values()
        ],
    }


command = typer.main.get_command(app)
