"""How a run begins: the plan, the session file with its header, the models' threads."""

import contextlib
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import tui
from tui import events as ev
from tui.board import fold
from tui.engines.base import Engine, Message, Sampling
from tui.events import RUN, VERSION, Event, Session
from tui.host import cpu, memory, paths
from tui.host.errors import UserError
from tui.models.resolve import Resolved
from tui.questions import QuestionSet
from tui.run import history, plan
from tui.run.conductor import Run
from tui.run.cores import Cores
from tui.run.lane import Lane, Shared
from tui.run.meter import Meter
from tui.run.record import Record
from tui.run.residents import Residents
from tui.run.tasks import Task
from tui.sessions.journal import Journal
from tui.settings import Settings

MakeEngine = Callable[[Resolved, int], Engine]
"""From a model and a number of threads to what runs it."""

_LOG_KEPT_S = 7 * 86_400
PACKAGES = ("torch", "transformers", "tokenizers", "safetensors", "textual")


def begin(
    models: Sequence[Resolved],
    questions: QuestionSet,
    settings: Settings,
    sessions_dir: Path,
    make_engine: MakeEngine | None = None,
) -> Run:
    """A new run with its own session file; nothing is loaded before `Run.start`.

    Raises:
        UserError: a model does not fit in memory even alone (exit code 4), or the
            session file cannot be made.
    """
    seen = memory.reading()
    residents, remarks = _residents(models, settings, seen)
    header = Session(
        v=VERSION,
        program=tui.__version__,
        started=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        models=[model.to_json() for model in models],
        questions=questions.to_json(),
        host=describe_host(seen.limit),
        settings=settings.of_run(),
    )
    record = Record(Journal.create(sessions_dir, header), header)
    for remark in remarks:
        record.emit(RUN, ev.Note(remark))
    return _run(models, questions, settings, record, residents, make_engine or local_engine)


def resume(
    path: Path,
    past: Sequence[Event],
    models: Sequence[Resolved],
    settings: Settings,
    make_engine: MakeEngine | None = None,
) -> Run:
    """The run of a session file goes on in it: `Run.ask_all` then asks what is missing.

    ``models`` are the header's, resolved again. What was open when the run broke off
    counts as cancelled.

    Raises:
        UserError: as `begin`, or the file cannot be written to.
    """
    board = fold(past)
    if board.header is None:
        raise UserError(f"{path}: no header", f"`duibi sessions verify {path}` says more")
    questions = QuestionSet.from_json(board.header.questions, str(path))
    residents, remarks = _residents(models, settings, memory.reading())
    record = Record(Journal.reopen(path), board.header, list(past))
    for answer in board.open_answers():
        record.emit(answer.model, ev.Cancelled(answer.id))
    for remark in ("the run was taken up again", *remarks):
        record.emit(RUN, ev.Note(remark))
    return _run(models, questions, settings, record, residents, make_engine or local_engine)


def local_engine(model: Resolved, threads: int) -> Engine:
    """The engine of a model that computes on this machine."""
    from tui.engines.local import LocalEngine

    return LocalEngine(
        model.checkpoint,
        model.dtype,
        threads,
        _worker_log(),
        model.context or None,
        remote_code=model.remote_code,
    )


def _worker_log() -> Path:
    """A log of its own for a worker: its last line tells of what it died. Old ones go."""
    folder = paths.log_file().parent
    for old in folder.glob("worker-*.log"):
        with contextlib.suppress(OSError):
            if time.time() - old.stat().st_mtime > _LOG_KEPT_S:
                old.unlink()
    return folder / f"worker-{time.time_ns():x}.log"


def sampling_of(settings: Settings) -> Sampling:
    """How tokens are to be chosen. ``sample`` leaves temperature and the like to the
    checkpoint where they are not given."""
    return Sampling(
        greedy={"greedy": True, "sample": False}.get(settings.sampling),
        temperature=settings.temperature,
        top_p=settings.top_p,
        top_k=settings.top_k,
        repetition_penalty=settings.repetition_penalty,
        seed=settings.seed,
    )


def describe_host(limit: int) -> dict[str, Any]:
    """The machine and the versions, for the head of a session; no name of host or user."""
    return {
        "cpu": cpu.describe(),
        "memory_limit": limit,
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": package_versions(),
    }


def package_versions() -> dict[str, str]:
    """Versions of what computes and draws; what is not installed is left out."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _residents(
    models: Sequence[Resolved], settings: Settings, seen: memory.Reading
) -> tuple[Residents, list[str]]:
    needs = [plan.need(model, settings.max_new_tokens) for model in models]
    totals = [needed.total for needed in needs]
    if settings.schedule == "together":
        return Residents(totals, None), []
    plan.check(models, needs, seen, settings.max_new_tokens)
    if settings.schedule == "one-at-a-time":
        return Residents(totals, seen.free, most=1), []
    if plan.fits_together(needs, seen):
        return Residents(totals, seen.free), []
    sums = f"{sum(totals) / 1e9:.1f} GB needed, {seen.free / 1e9:.1f} free"
    remark = f"the models do not all fit in memory ({sums}): they take turns"
    return Residents(totals, seen.free), [remark]


def _run(
    models: Sequence[Resolved],
    questions: QuestionSet,
    settings: Settings,
    record: Record,
    residents: Residents,
    make_engine: MakeEngine,
) -> Run:
    cores = Cores(cpu.cores())
    sampling = sampling_of(settings)
    shared = Shared(
        record=record,
        cores=cores,
        residents=residents,
        labels=tuple(model.label for model in models),
        compose=_composer(record, _systems(questions), settings.system),
        sampling=sampling,
        asked_sampling={k: v for k, v in asdict(sampling).items() if v is not None},
        max_new_tokens=settings.max_new_tokens,
    )
    share = max(1, cores.total // len(models))
    lanes = [Lane(i, make_engine(model, share), shared) for i, model in enumerate(models)]
    return Run(record, lanes, Meter(record, lanes), questions)


def _systems(questions: QuestionSet) -> Mapping[str, str]:
    return {q.id: q.system for q in questions.questions if q.system is not None}


def _composer(
    record: Record, systems: Mapping[str, str], default: str | None
) -> Callable[[int, Task], tuple[Message, ...] | ev.Failed]:
    def compose(model: int, task: Task) -> tuple[Message, ...] | ev.Failed:
        with record.board() as board:
            gap = history.missing_turn(board, model, task)
            if gap is None:
                system = systems.get(task.question, default)
                return history.messages(board, model, task, system)
        message = f"turn {gap + 1} before it has no answer"
        return ev.Failed("earlier_turn", message, "ask that turn again first", task.answer)

    return compose
