"""The tables that say what was run: machine, versions, settings, models."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tui.checkpoints.llama_cpp import MODULE, PUBLISHED
from tui.events import Loaded, Session
from tui.models.resolved import LOCAL
from tui.reports.document import Cell, Table, format_figure
from tui.reports.merge import MergedSessions, ModelColumn, SourceSession
from tui.reports.messages import ReportMessages
from tui.scoring.costs import GB
from tui.text.sanitise import collapse_line
from tui.text.translation import translate

_CPU = "cpu"
_HASHES = ("revision", "sha256", "hash")


def build_run_tables(merged: MergedSessions, say: ReportMessages) -> tuple[Table, ...]:
    """One table per session, then one of all models."""
    return (
        *(_session_table(source, len(merged.sources) > 1, say) for source in merged.sources),
        _models_table(merged.columns, say),
    )


def describe_verdict(source: SourceSession, say: ReportMessages) -> str:
    """In words how far the session's file could be read, or that it is still written."""
    return say(source.state, n=source.recorded.bytes_dropped)


def describe_value(value: Any, say: ReportMessages) -> str:
    """Nested data of a header as one readable line."""
    if isinstance(value, Mapping):
        return ", ".join(
            f"{k} {describe_value(v, say)}" for k, v in value.items() if v not in (None, "", {})
        )
    if isinstance(value, list | tuple):
        return ", ".join(describe_value(v, say) for v in value)
    if isinstance(value, bool):
        return say("yes" if value else "no")
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)


def describe_settings(settings: Mapping[str, Any], say: ReportMessages) -> str:
    """Settings of a run or a checkpoint in words, so that no name of the program stands there."""
    found = []
    for name, value in settings.items():
        if value in (None, "", {}, []):
            continue
        if name == "greedy" and isinstance(value, bool):
            found.append(say("v_greedy" if value else "v_sampling_sample"))
            continue
        key = f"v_{name}"
        named = say(key) if say.knows(key) else name
        word = f"v_{name}_{value}"
        told = say(word) if say.knows(word) else describe_value(value, say)
        found.append(f"{named} {told}" if say.language == "en" else f"{named}：{told}")
    return (", " if say.language == "en" else "；").join(found)


def _session_table(source: SourceSession, named: bool, say: ReportMessages) -> Table:
    header, host = source.recorded.header, source.recorded.header.host
    limit = host.get("memory_limit")
    rows = [
        (say("session"), source.name),
        (say("started"), _time(header.started)),
        (say("state"), describe_verdict(source, say)),
        (say("question_set"), _question_set(header, say)),
        (say("cpu"), describe_cpu(host.get("cpu", ""), say)),
        (say("resumed_on"), _other_machines(source, say)),
        (
            say("memory_limit"),
            f"{format_figure(limit / GB)} GB"
            if isinstance(limit, int | float) and limit > 0
            else "",
        ),
        (say("platform"), describe_value(host.get("platform", ""), say)),
        (say("packages"), describe_value(_versions(header.program, host), say)),
        (say("settings"), describe_settings(header.settings, say)),
        (say("setup_notes"), say("sep").join(_setup_notes(source, say))),
    ]
    known = {"cpu", "memory_limit", "platform", "python", "packages"}
    rows += [(str(k), describe_value(v, say)) for k, v in host.items() if k not in known]
    title = f"{say('machine')}: {source.name}" if named else say("machine")
    return Table(
        collapse_line(title),
        (say("item"), say("value")),
        tuple((Cell(collapse_line(k)), Cell(collapse_line(v))) for k, v in rows if v),
        left=2,
    )


def _other_machines(source: SourceSession, say: ReportMessages) -> str:
    """The processors that the run went on with, where these are others."""
    first, *later = (describe_cpu(host.get("cpu", ""), say) for host in source.board.hosts)
    return " / ".join(dict.fromkeys(cpu for cpu in later if cpu and cpu != first))


def _setup_notes(source: SourceSession, say: ReportMessages) -> list[str]:
    """What the program said before anything was loaded, each once."""
    said = [note.text for note in source.board.notes if note.source == "setup"]
    return [translate(text, say.language) for text in dict.fromkeys(said)]


def _time(started: str) -> str:
    """A time in UTC as people write it; anything else as it is."""
    try:
        told = datetime.strptime(started, "%Y-%m-%dT%H:%M:%SZ")
    except ValueError:
        return started
    return f"{told:%Y-%m-%d %H:%M:%S} UTC"


def _question_set(header: Session, say: ReportMessages) -> str:
    return say("n_questions", title=header.title or "?", n=len(header.listed_questions))


def describe_cpu(found: Any, say: ReportMessages) -> str:
    """The processor as text; `tui.host` records model, cores and perhaps a quota of them, other
    programs anything."""
    if not isinstance(found, Mapping) or not {"model", "cores"} <= set(found):
        return describe_value(found, say)
    parts = [describe_value(found["model"], say)]
    parts.append(say("n_cores", n=describe_value(found["cores"], say)))
    if (share := found.get("quota")) is not None:
        parts.append(say("n_quota", n=describe_value(share, say)))
    return ", ".join(parts)


def _versions(program: str, host: Mapping[str, Any]) -> dict[str, Any]:
    packages = host.get("packages", {})
    found = {"duibi": program, "Python": host.get("python", "")}
    if not isinstance(packages, Mapping):
        return found
    # Few readers know the module that carries it.
    names = {MODULE: f"llama.cpp ({MODULE})"}
    return found | {names.get(str(name), str(name)): version for name, version in packages.items()}


def _models_table(columns: Sequence[ModelColumn], say: ReportMessages) -> Table:
    keys: tuple[str, ...] = (
        *("model", "reference", "family", "dtype", "stored", "mixture", "parameters"),
        *("checkpoint", "context", "licence", "own_settings"),
        *("prompt_format", "sampling", "threads", "device", "kernels", "hash"),
    )
    facts = [_facts(column, say) for column in columns]
    if {one["device"] for one in facts} <= {"", _CPU}:
        keys = tuple(key for key in keys if key != "device")
    rows = [tuple(one[key] for key in keys) for one in facts]
    # Leave out columns that are empty for every model, such as unknown hashes.
    kept = [i for i in range(len(keys)) if any(row[i] for row in rows)]
    return Table(
        say("models"),
        tuple(say(keys[i]) for i in kept),
        tuple(tuple(Cell(collapse_line(row[i]) or "–") for i in kept) for row in rows),
        left=len(kept),
    )


def format_parameters(number: int) -> str:
    """A number of parameters as models are called by it; empty where it is not known."""
    if not number:
        return ""
    return f"{number / 1e9:,.2f} B" if number >= 1e9 else f"{number / 1e6:.0f} M"


@dataclass(frozen=True, slots=True)
class ModelSize:
    """What is known of a model's size, as its last load told it, else the session's header: bytes,
    tokens of context; zeros and empty where nobody knows. ``weights_bytes`` are those in memory, in
    the format ``dtype``, of a file that holds them as ``stored``."""

    family: str
    dtype: str
    stored: str
    parameters: int
    file_bytes: int
    weights_bytes: int
    context: int


def model_size(column: ModelColumn) -> ModelSize:
    """The size of a model of the report."""
    head, loads = column.parts[0].head, column.loads
    loaded = loads[-1] if loads else None
    families = (loaded.family if loaded else "", str(head.get("family", "")))
    return ModelSize(
        # Of a file that is computed as published, older sessions tell its kind in this place.
        next((family for family in families if family not in ("", PUBLISHED)), ""),
        (loaded.dtype if loaded else "") or str(head.get("dtype", "")),
        loaded.stored if loaded else "",
        (loaded.parameters if loaded else 0) or _number(head.get("parameters")),
        (loaded.checkpoint_bytes if loaded else 0) or _number(head.get("checkpoint_bytes")),
        loaded.weights_bytes if loaded else 0,
        (loaded.context if loaded else 0) or _number(head.get("context")),
    )


def describe_dtype(dtype: str, say: ReportMessages) -> str:
    """The format that a model is computed in, in words where it has no name of its own."""
    key = f"v_dtype_{dtype}"
    return say(key) if say.knows(key) else dtype


def _facts(column: ModelColumn, say: ReportMessages) -> dict[str, str]:
    head, loads = column.parts[0].head, column.loads
    loaded = loads[-1] if loads else None
    size = model_size(column)
    threads = sorted({a.figures.threads for a in column.answers if a.figures} - {0})
    return {
        "model": column.label,
        "reference": str(head.get("name", "")),
        "family": size.family,
        "dtype": describe_dtype(size.dtype, say),
        "stored": size.stored,
        "mixture": str(head.get("mixture", "")),
        "licence": str(head.get("licence", "")),
        "parameters": format_parameters(size.parameters),
        "checkpoint": f"{format_figure(size.file_bytes / GB)} GB" if size.file_bytes else "",
        "context": str(size.context or ""),
        "own_settings": _own_settings(head, say),
        "prompt_format": _prompt_format(loaded.prompt_format if loaded else "", say),
        "sampling": describe_settings(column.sampling, say),
        "threads": ", ".join(map(str, threads)),
        "device": loaded.device if loaded and head.get("engine") == LOCAL else "",
        "kernels": _kernels(loaded),
        "hash": next((str(head[key]) for key in _HASHES if head.get(key)), ""),
    }


def _own_settings(head: Mapping[str, Any], say: ReportMessages) -> str:
    own = head.get("settings")
    return describe_settings(own, say) if isinstance(own, Mapping) else ""


def _kernels(loaded: Loaded | None) -> str:
    if loaded is None or not loaded.kernels_note:
        return loaded.kernels if loaded else ""
    return f"{loaded.kernels} ({loaded.kernels_note})"


def _prompt_format(word: str, say: ReportMessages) -> str:
    key = f"v_prompt_{word}"
    return say(key) if say.knows(key) else word


def _number(value: Any) -> int:
    return value if type(value) is int and value > 0 else 0
