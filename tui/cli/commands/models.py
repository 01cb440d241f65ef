"""``duibi models``: what is on this machine, what fits, and how to get more."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from tui.checkpoints.llama_cpp import PUBLISHED, is_installed
from tui.checkpoints.memory_estimate import USUAL_TOKENS, reached_share
from tui.cli.support import options, quantise, settings_in_force
from tui.cli.support.checkpoint_details import inspect_adapter, inspect_gguf
from tui.cli.support.download_progress import ProgressLine, ask_yes_no
from tui.cli.support.open_screens import open_models
from tui.cli.support.options import Yes
from tui.cli.support.planned_models import gguf_of, read_subjects
from tui.cli.support.printing import about, heads, path_text, print_json, table, tell
from tui.cli.support.service_probes import list_services
from tui.host import memory
from tui.host.errors import EXIT_INTERRUPTED, EXIT_MEMORY, UserError
from tui.host.paths import expand
from tui.host.terminal import is_interactive
from tui.models import remove as removal
from tui.models.adapters import is_adapter
from tui.models.catalogue import suggestions
from tui.models.conversion import kept_sizes
from tui.models.describe import describe, reach_of, treatment_of
from tui.models.discover import LISTED_CONTEXT, FoundModel
from tui.models.hubs import HUBS
from tui.models.inspect import inspect_folder
from tui.models.inspect import require_loadable as inspected
from tui.models.inventory import find_models
from tui.models.preview import PromptPreview, preview_prompt
from tui.models.reference import DTYPES, Reference, is_model_id, parse_reference, split_base
from tui.models.resolve import FETCHABLE_KINDS, fetch
from tui.run import plan
from tui.text.sanitise import one_line
from tui.text.translation import language, tr
from tui.text.units import format_size

app = typer.Typer(
    add_completion=False,
    help="Find, fetch, inspect and remove models. Without a command: the screen for it.",
)

SHOWN_DTYPES = tuple(dtype for dtype in DTYPES if dtype != "fp16")
"""fp16 takes what bf16 takes."""

Json = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
Context = Annotated[int, typer.Option(min=1, metavar="TOKENS", help="Prompt and answer.")]
Model = Annotated[
    str, typer.Argument(metavar="MODEL", help="demo, ms:OWNER/NAME, hf:OWNER/NAME or a path.")
]


@app.callback(invoke_without_command=True)
def screen(context: typer.Context) -> int:
    """Open the models screen where no command is given."""
    if context.invoked_subcommand is not None:
        return 0
    if not is_interactive():
        raise UserError(
            "the models screen needs a terminal", "duibi models list; `duibi models --help`"
        )
    return open_models(settings_in_force.load())


@app.command(
    "list",
    help="Models found on this machine; --available: worth fetching; --services: behind HTTP.",
)
def list_(
    json: Json = False,
    available: Annotated[
        bool,
        typer.Option(
            "--available/--no-available", help="Those worth fetching instead.", show_default=False
        ),
    ] = False,
    services: Annotated[
        bool,
        typer.Option(
            "--services/--no-services", help="Those of services instead.", show_default=False
        ),
    ] = False,
    context: Context = LISTED_CONTEXT,
) -> int:
    if services:
        return list_services(json)
    free = memory.read_memory().free
    if available:
        return _list_available(json, context, free)
    found = _found()
    if json:
        print_json([_as_json(one, context, free) for one in found])
        return 0
    if not found:
        tell("no models found here")
    else:
        head = heads("MODEL", "FAMILY", "STORED", "SIZE", "KEPT", "NEEDS", "STATE")
        print(table([head, *(_row(one, context, free) for one in found)]))
        tell(
            f"needs: at {context} tokens, in the format chosen without @; {format_size(free)} free"
        )
    tell("`duibi models list --available` shows what can be fetched")
    return 0


@app.command(help="Fetch demo, ms: or hf:OWNER/NAME; prints where it is. Goes on where it was cut.")
def get(model: Model, yes: Yes = False) -> int:
    ref = _reference(model)
    if ref.kind not in FETCHABLE_KINDS:
        meant = f"did you mean ms:{model}? " if is_model_id(model) else ""
        raise UserError(
            f"{model} is nothing that can be fetched",
            f"{meant}demo, ms:OWNER/NAME, hf:OWNER/NAME or either with #FILE; "
            "`duibi models list --available` shows some",
        )
    try:
        with ProgressLine(is_agreed=yes) as progress:
            place = fetch(ref, progress.consent, progress, progress.update_files)
    except KeyboardInterrupt:
        raise UserError(
            f"stopped; what came of {model} is kept",
            f"go on: duibi models get {model}",
            EXIT_INTERRUPTED,
        ) from None
    if place.is_dir():
        inspected(place)
    print(path_text(place))
    return 0


@app.command(help="What a checkpoint is, from its headers, and whether it can be loaded.")
def inspect(model: Model, json: Json = False) -> int:
    ref = _reference(model)
    if (found := gguf_of(ref)) is not None:
        return inspect_gguf(found, json)
    if ref.kind == "folder" and is_adapter(expand(split_base(ref.target)[0])):
        return inspect_adapter(ref, json)
    folder = _folder_of(ref)
    seen = inspect_folder(folder)
    prompt: PromptPreview | None = None
    if not seen.problems:
        try:
            prompt = preview_prompt(folder)
        except UserError as error:
            seen = replace(seen, problems=(error.message,))
    if json:
        told = {"prompt_ids": prompt and prompt.ids, "remarks": prompt and prompt.remarks}
        print_json(seen.to_json() | told | {"load": "" if seen.problems else treatment_of(seen)})
    else:
        rows = [(tr(name), tr(value)) for name, value in describe(seen, prompt)]
        print(table(rows, gap=" "))
    return 2 if seen.problems else 0


@app.command(
    help="The plan of a run, without running it: what each model needs, in each dtype, who is "
    "held in memory together and who takes turns. Exit code 4: one does not fit as named; "
    "2: one cannot be used, the others are planned."
)
def fit(
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="MODEL", help="demo, a folder ...; without one all that are here."),
    ] = None,
    json: Json = False,
    context: Context = LISTED_CONTEXT,
) -> int:
    reading = memory.read_memory()
    subjects, unusable = read_subjects(models or [], _reference)
    if not models:
        found = [one for one in _found() if one.state == "complete" and not one.served]
        subjects = [plan.size_of_found(one, one.reference, one.default_dtype) for one in found]
    schedule = "auto" if models else "one-at-a-time"
    made = plan.plan_batches(subjects, schedule, context, USUAL_TOKENS, reading)
    published = [PUBLISHED] if any(one.dtype == PUBLISHED for one in subjects) else []
    shown = (*SHOWN_DTYPES, *published)
    needs = [
        {
            dtype: plan.memory_need(subject, context, dtype, made.batch).total
            for dtype in shown
            if dtype != PUBLISHED or subject.dtype == PUBLISHED
        }
        for subject in subjects
    ]
    if json:
        told = made.to_json()
        for row, each, subject in zip(told["models"], needs, subjects, strict=True):
            row["needs_in"] = each
            row["reduced_share"] = round(reached_share(subject.parameters, subject.shape), 3)
        told["unusable"] = [
            {"model": name, "message": error.message, "next_step": error.next_step}
            for name, error in unusable
        ]
        print_json(told)
    else:
        cells = [
            (
                subject.label,
                *(_fit_text(each[d], reading.available) if d in each else "" for d in shown),
            )
            for subject, each in zip(subjects, needs, strict=True)
        ]
        print(table([heads("MODEL", *shown), *cells]))
        if models and made.refused is None:
            print("\n".join(one_line(tr(line)) for line in made.lines))
        for subject in subjects:
            if said := reach_of(subject.parameters, subject.shape):
                tell(f"{subject.label}: {said}")
            if subject.context and subject.context < context:
                tell(about(subject.label, f"at its limit of {subject.context} tokens"))
        for name, error in unusable:
            tell(f"duibi: {about(name, error.message)}")
            tell(f"  -> {error.next_step}")
        planned = max((min(context, one.context or context) for one in subjects), default=context)
        room = (
            f"at {planned} tokens; {format_size(reading.available)} of "
            f"{format_size(reading.limit)} can be used ({reading.source})"
        )
        tell(f"{made.batch.size} answers together; {room}" if made.batch.size > 1 else room)
    if models and made.refused is not None:
        if not json:
            made.check()
        return EXIT_MEMORY
    return unusable[0][1].exit_code if unusable else 0


@app.command(
    help="Make int8 or int4 weights of a checkpoint here and keep them for all later loads."
)
def quantize(
    model: Model,
    to: Annotated[str, typer.Option("--to", metavar="int8|int4", help="The format.")] = "int8",
    json: Json = False,
) -> int:
    made = quantise.quantise_model(model, _reference(model), to)
    if json:
        print_json(made)
    else:
        print(one_line(tr(quantise.summary(made))))
    return 0


@app.command(help="Remove a fetched model from its cache; asks, and says what that frees.")
def rm(
    model: Model,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove it unasked.")] = False,
) -> int:
    paths = removal.removable_paths(parse_reference(model))
    for path in paths:
        tell(f"{format_size(removal.disk_bytes(path)):>9}  {path_text(path)}")
    freed = sum(removal.disk_bytes(path) for path in paths)
    if not yes and not ask_yes_no(f"Remove this and free {format_size(freed)}?"):
        raise UserError("nothing was removed", "answer y, or say --yes where nobody can answer")
    removal.remove(paths)
    tell(f"{format_size(freed)} freed")
    return 0


def _reference(model: str) -> Reference:
    """The model of a reference or an alias; `rm` takes none: what goes is named itself."""
    return options.read_reference(model, settings_in_force.load({}, [model]))


def _found() -> list[FoundModel]:
    settings = settings_in_force.load()
    return find_models(settings.aliases, settings.model_folders, settings.run.services)


def _list_available(json: bool, context: int, free: int) -> int:
    listed = suggestions()
    if json:
        rows: list[dict[str, Any]] = [
            {
                "model": one.reference,
                "title": one.title,
                "languages": one.languages,
                "licence": one.licence,
                "parameters": one.parameters,
                "download_bytes": one.download_bytes,
                "needs": {dtype: one.predict_memory(dtype, context) for dtype in SHOWN_DTYPES},
            }
            for one in listed
        ]
        print_json(rows)
        return 0
    head = heads("MODEL", "DOWNLOAD", "NEEDS", "LICENCE", "")
    rows_ = [
        (
            one.reference,
            format_size(one.download_bytes),
            f"{(dtype := one.default_dtype)} {_fit_text(one.predict_memory(dtype, context), free)}",
            one.licence,
            one.note_in(language()),
        )
        for one in listed
    ]
    print(table([head, *rows_]))
    tell("`duibi models get MODEL` fetches one")
    return 0


def _row(one: FoundModel, context: int, free: int) -> tuple[str, ...]:
    need = ""
    if one.served and one.size:
        need = _fit_text(one.predict_memory("", context), free)
    elif one.state == "complete" and not one.served:
        dtype = one.default_dtype
        need = f"{dtype} {_fit_text(one.predict_memory(dtype, context), free)}"
    state = tr(one.state)
    if one.state != "complete":
        state = f"{state}{tr(': ')}{tr(one.why)}"
    if one.served:
        state = tr("running in Ollama" if one.reference.startswith("ollama:") else "running here")
    kept = ", ".join(
        f"{dtype} {format_size(taken)}" for dtype, taken in _quantised_sizes(one).items()
    )
    size = format_size(one.size) if one.size else ""
    return (one.reference, one.family, one.dtype, size, kept, need, state)


def _quantised_sizes(one: FoundModel) -> dict[str, int]:
    """Bytes of the weights that were made of it and are kept, by format."""
    return {} if one.served else kept_sizes(one.path)


def _as_json(one: FoundModel, context: int, free: int) -> dict[str, Any]:
    needs = _needs_by_dtype(one, context)
    fits = {dtype: need <= free for dtype, need in needs.items()}
    return one.to_json() | {"needs": needs, "fits": fits, "kept": _quantised_sizes(one)}


def _fit_text(need: int, free: int) -> str:
    return format_size(need) if need <= free else tr(f"{format_size(need)} (too much)")


def _needs_by_dtype(one: FoundModel, context: int) -> dict[str, int]:
    dtypes = (*SHOWN_DTYPES, PUBLISHED) if one.is_gguf and is_installed() else SHOWN_DTYPES
    return {dtype: one.predict_memory(dtype, context) for dtype in dtypes}


def _folder_of(ref: Reference) -> Path:
    if ref.kind == "folder":
        return expand(ref.target)
    if ref.kind in HUBS:
        if (folder := HUBS[ref.kind].folder(ref.target)).is_dir():
            return folder
        raise UserError(f"{ref.text} is not here", f"duibi models get {ref.text}")
    raise UserError(f"{ref.text} is not a checkpoint folder here", "duibi models list")


command = typer.main.get_command(app)
