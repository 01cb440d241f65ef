"""The tables that say what the models are: who made them, how they came here, their sizes."""

from collections.abc import Sequence

from tui.checkpoints.memory_estimate import BYTES_PER_WEIGHT
from tui.host.errors import UserError
from tui.models.families import KnownFamily, find_family
from tui.models.reference import HUB_SCHEMES, Reference, parse_reference
from tui.reports.document import Cell, Table, format_figure
from tui.reports.merge import ModelColumn
from tui.reports.messages import ReportMessages
from tui.reports.run_tables import describe_dtype, format_parameters, model_size
from tui.scoring.costs import GB
from tui.text.sanitise import collapse_line

_FORMATS = ("fp16", "int8", "int4")
"""Formats whose size is told; bf16 is as large as fp16."""
_SCHEMES = {kind: scheme for scheme, kind in HUB_SCHEMES.items()}
LANGUAGES = {"zh": "中文", "en": "English"}


def build_overview(columns: Sequence[ModelColumn], say: ReportMessages) -> tuple[Table, ...]:
    """The tables that there is something to say in."""
    found = (_published(columns, say), _arrivals(columns, say), _sizes(columns, say))
    return tuple(table for table in found if table.rows)


def _published(columns: Sequence[ModelColumn], say: ReportMessages) -> Table:
    """What is known of the families, beside what each checkpoint says of itself."""
    rows = []
    for column in columns:
        family, size = _family_of(column), model_size(column)
        own = str(column.parts[0].head.get("licence", ""))
        if family is None:
            told, published = ("–", "–", own or "–", "–"), ""
        else:
            languages = ", ".join(LANGUAGES[code] for code in family.languages)
            developer = family.developer_in(say.language)
            told = (developer, languages, own or family.licence, family.sizes)
            published = family.context
        parameters = format_parameters(size.parameters) or "–"
        context = str(size.context) if size.context else published or "–"
        texts = (size.family or "–", parameters, context, *told)
        rows.append((Cell(collapse_line(column.label)), *map(Cell, map(collapse_line, texts))))
    keys = ("model", "family", "parameters", "context", "developer", "languages", "licence")
    head_row = (*map(say, keys), say("published_sizes"))
    notes = _shared(head_row, rows, say)
    return Table(say("o_published"), head_row, tuple(rows), left=len(head_row), notes=notes)


def _shared(
    head: Sequence[str], rows: Sequence[Sequence[Cell]], say: ReportMessages
) -> tuple[str, ...]:
    """What all models have in common, in words."""
    told = [
        f"{name} {values[0]}"
        for name, *values in zip(
            head[1:], *([c.text for c in row[1:]] for row in rows), strict=True
        )
        if len(rows) > 1 and len(set(values)) == 1 and values[0] != "–"
    ]
    return (say("o_shared", what=say("sep").join(told)),) if told else ()


def list_links(columns: Sequence[ModelColumn]) -> tuple[str, ...]:
    """Where each model is described by who made it, one line each."""
    found: dict[str, None] = {}
    for column in columns:
        if family := _family_of(column):
            found[f"{family.title}: {family.source}"] = None
    return tuple(found)


def _family_of(column: ModelColumn) -> KnownFamily | None:
    head = column.parts[0].head
    names = (head.get("name"), head.get("label"), head.get("checkpoint"), head.get("model"))
    return find_family(str(name) for name in names if name)


def _arrivals(columns: Sequence[ModelColumn], say: ReportMessages) -> Table:
    """How each model came to this machine: the command, its size, the seconds of each load."""
    rows = []
    for column in columns:
        head = column.parts[0].head
        loads = [
            f"{format_figure(load.load_s)}{'*' * load.contended}"
            for load in column.loads
            if load.load_s
        ]
        fetched = head.get("fetched")
        size = model_size(column).file_bytes
        texts = (
            _command(str(head.get("name", "")), say),
            f"{format_figure(size / GB)} GB" if size else "–",
            _fetched(fetched, say),
            say("and").join(loads) or "–",
        )
        rows.append((Cell(collapse_line(column.label)), *map(Cell, map(collapse_line, texts))))
    keys: tuple[str, ...] = ("model", "o_command", "checkpoint", "o_fetched", "o_load")
    if all(row[3].text == "–" for row in rows):
        keys, rows = (*keys[:3], keys[4]), [(*row[:3], row[4]) for row in rows]
    is_spoilt = any(load.contended for column in columns for load in column.loads)
    notes = (f"*: {say('contended')}",) if is_spoilt else ()
    return Table(say("o_arrivals"), tuple(map(say, keys)), tuple(rows), left=len(keys), notes=notes)


def _fetched(told: object, say: ReportMessages) -> str:
    """How a download went that the header tells of: its bytes and seconds."""
    match told:
        case {"bytes": int(size), "seconds": int() | float() as seconds} if seconds > 0:
            rate = f"{size / 1e6 / seconds:.1f}"
            shown = format_figure(size / GB)
            return say("o_download", size=shown, seconds=f"{seconds:.0f}", rate=rate)
    return "–"


def _command(name: str, say: ReportMessages) -> str:
    """What a person types to have the same model."""
    try:
        reference = parse_reference(name)
    except UserError:
        return name
    match reference:
        case Reference(kind=kind, target=target, file=file) if kind in _SCHEMES:
            return f"duibi models get {_SCHEMES[kind]}:{target}{'#' if file else ''}{file}"
        case Reference(kind="ollama", target=target):
            return f"ollama pull {target}"
        case Reference(kind="demo"):
            return "duibi models get demo"
        case Reference(kind="folder" | "gguf"):
            return say("o_local", path=reference.target)
        case Reference(kind="service" | "url"):
            return say("o_service", name=reference.target)
        case Reference(kind="session"):
            return say("o_recorded")
    return say("o_pasted")


def _sizes(columns: Sequence[ModelColumn], say: ReportMessages) -> Table:
    """Gigabytes of the weights in each format, as planned from the number of parameters, beside
    what the weights took that were computed with."""
    rows = []
    for column in columns:
        size = model_size(column)
        if not size.parameters:
            continue
        planned = (size.parameters * BYTES_PER_WEIGHT[dtype] / GB for dtype in _FORMATS)
        dtype = collapse_line(describe_dtype(size.dtype, say))
        held = Cell(format_figure(size.weights_bytes / GB), dtype)
        rows.append(
            (
                Cell(collapse_line(column.label)),
                Cell(format_figure(size.file_bytes / GB) if size.file_bytes else "–"),
                *(Cell(format_figure(value)) for value in planned),
                held if size.weights_bytes else Cell("–"),
            )
        )
    head = (say("model"), say("checkpoint"), "bf16 / fp16", "int8", "int4", say("weights"))
    return Table(say("o_sizes"), head, tuple(rows), notes=(say("o_sizes_note"),))
