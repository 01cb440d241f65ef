"""How a run begins: the plan, the session file with its header, the models' threads."""

import platform
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import tui
from tui import events as ev
from tui.board import fold
from tui.checkpoints import llama_cpp
from tui.engines.base import Engine, Message
from tui.events import RUN, VERSION, Event, Session
from tui.host import cpu, memory
from tui.host.errors import UserError
from tui.host.secrets import environment_mask
from tui.models.conversion import disk_remark
from tui.models.resolved import LOCAL, ResolvedModel
from tui.options import RunOptions
from tui.questions import QuestionSet
from tui.run import plan, prompt_messages
from tui.run.answer_queue import AnswerTask
from tui.run.budget import check_budget, make_budget
from tui.run.columns import (
    ColumnOptions,
    column_options,
    columns_by_weights,
    describe_models,
    longest_options,
)
from tui.run.conductor import Run
from tui.run.core_allocator import CoreAllocator
from tui.run.engine_factory import engine_factory
from tui.run.lane import Lane
from tui.run.memory_scheduler import MemoryScheduler
from tui.run.oom_guard import OomGuard
from tui.run.recorder import Recorder
from tui.run.resource_monitor import ResourceMonitor
from tui.run.resume_check import SOURCE_KEY, portable_source
from tui.run.shared_state import SharedState
from tui.run.turns import ComputingTurns
from tui.sessions.journal import Journal
from tui.sessions.masking import mask_body
from tui.sessions.reader import MAX_MODELS

EngineMaker = Callable[[ResolvedModel, int], Engine]
"""From a model and a number of threads to what runs it."""

REPORTED_PACKAGES = ("torch", "transformers", "tokenizers", "safetensors", "textual")
"""Needed to compute here and to draw; told with their versions, as is llama.cpp's module."""


def begin(
    models: Sequence[ResolvedModel],
    questions: QuestionSet,
    options: RunOptions,
    sessions_dir: Path,
    make_engine: EngineMaker | None = None,
    interactive: bool = False,
    source: str = "",
) -> Run:
    """A new run with its own session file; nothing is loaded before `Run.start`. With
    ``interactive`` a person is there to paste answers (`Run.paste`). ``source`` is the name or
    file of the question set, for the header ("": not known).

    Raises:
        UserError: there are more models than a header names, one does not fit in memory even alone
            (exit code 4), what is made of it does not fit on the disk, the session file cannot be
            made, or the file of pasted answers cannot be used.
    """
    if len(models) > MAX_MODELS:
        raise UserError(
            f"{len(models)} models in one run, and a session names {MAX_MODELS} at most",
            "make several runs of them: `duibi report` takes several sessions",
        )
    planned, options, engines = _prepare(models, questions, options, make_engine, interactive)
    header = Session(
        v=VERSION,
        program=tui.__version__,
        started=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        models=describe_models(models),
        questions=questions.to_json() | ({SOURCE_KEY: portable_source(source)} if source else {}),
        host=describe_host(planned.memory.limit),
        settings=options.header(),
    )
    header = mask_body(header, environment_mask())
    remarks = _remarks(models, planned)
    record = Recorder(Journal.create(sessions_dir, header), header)
    for remark in remarks:
        record.emit(RUN, remark)
    return _assemble(models, questions, options, record, planned, engines, interactive, make_engine)


def resume(
    path: Path,
    events: Sequence[Event],
    models: Sequence[ResolvedModel],
    options: RunOptions,
    make_engine: EngineMaker | None = None,
    interactive: bool = False,
) -> Run:
    """The run of a session file goes on in it: `Run.ask_all` then asks what is missing.

    ``models`` are the header's, resolved again. What was open when the run broke off
    counts as cancelled.

    Raises:
        UserError: as `begin`, or the file cannot be written to.
    """
    board = fold(events)
    if board.header is None:
        raise UserError(f"{path}: no header", f"`duibi sessions verify {path}` says more")
    # A column is called what it was called when it began.
    named = zip(models, board.header.labels, strict=True)
    models = [replace(model, label=label) for model, label in named]
    questions = QuestionSet.from_json(board.header.questions, str(path))
    planned, options, engines = _prepare(models, questions, options, make_engine, interactive)
    remarks = (ev.Note("the run was taken up again"), *_remarks(models, planned))
    record = Recorder(Journal.reopen(path), board.header, list(events))
    record.emit(RUN, ev.Resumed(describe_host(planned.memory.limit)))
    for answer in board.open_answers():
        record.emit(answer.model, ev.Cancelled(answer.id))
    for remark in remarks:
        record.emit(RUN, remark)
    # Without a person a model that has nothing left to answer is not loaded once more.
    return _assemble(
        *(models, questions, options, record, planned, engines, interactive, make_engine),
        preload=interactive,
    )


def _remarks(models: Sequence[ResolvedModel], planned: plan.MemoryPlan) -> list[ev.Note]:
    """What a person should know before anything is loaded.

    Raises:
        UserError: what is made of a model does not fit on the disk; no session file is begun then.
    """
    said = (planned.remark, *map(disk_remark, models))
    return [ev.Note(line, source="setup") for line in said if line]


def describe_host(limit: int) -> dict[str, Any]:
    """The machine and the versions, for the head of a session; no name of host or user."""
    told = versions()
    del told["duibi"]  # stands in the header by itself
    return {"cpu": cpu.describe(), "memory_limit": limit, **told}


def versions() -> dict[str, Any]:
    """The program's version, the system's and those of packages that matter."""
    return {
        "duibi": tui.__version__,
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": package_versions(),
    }


def package_versions() -> dict[str, str]:
    """Versions of what computes and draws; what is not installed is left out."""
    found = {}
    for name in REPORTED_PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    if version := llama_cpp.version():
        found[llama_cpp.MODULE] = version
    return found


def _prepare(
    models: Sequence[ResolvedModel],
    questions: QuestionSet,
    options: RunOptions,
    make_engine: EngineMaker | None,
    interactive: bool,
) -> tuple[plan.MemoryPlan, RunOptions, list[Engine]]:
    """The plan of a run, its options with the batch that was planned, and its engines.

    Raises:
        UserError: a model does not fit, the budget cannot be kept, or the file of pasted answers
            cannot be used.
    """
    ids = [question.id for question in questions.questions]
    holders = [models[first] for first, *_ in columns_by_weights(models)]
    longest = longest_options(models, options)
    planned = plan.plan_memory(holders, longest, memory.read_memory(), questions.questions)
    planned.check()
    check_budget(options.budget, models)
    longest = replace(longest, batch=planned.batch.size)
    make = make_engine or engine_factory(holders, ids, longest, interactive, planned.batch).make
    engines = _make_engines(holders, make)
    memory.use_one_malloc_arena()
    return planned, replace(options, batch=planned.batch.size), engines


def _make_engines(holders: Sequence[ResolvedModel], make: EngineMaker) -> list[Engine]:
    """The engines; those that compute here begin with an equal share of the cores."""
    here = sum(model.engine == LOCAL for model in holders)
    share = max(1, cpu.cores() // max(1, here))
    return [make(model, share) for model in holders]


def _assemble(
    models: Sequence[ResolvedModel],
    questions: QuestionSet,
    options: RunOptions,
    record: Recorder,
    planned: plan.MemoryPlan,
    engines: Sequence[Engine],
    interactive: bool,
    make_engine: EngineMaker | None,
    preload: bool = True,
) -> Run:
    cores = CoreAllocator(cpu.cores())
    changed = threading.Condition()
    with record.board() as board:
        budget = make_budget(options.budget, [model.price for model in models], board, changed)
        measured = [bool(model.measures) for model in board.models]
    groups = columns_by_weights(models)
    columns = [column_options(model, options) for model in models]
    shared = SharedState(
        recorder=record,
        cores=cores,
        memory_scheduler=MemoryScheduler(
            {group[0]: one.total for group, one in zip(groups, planned.needs, strict=True)},
            planned.budget,
            planned.max_resident,
        ),
        turns=ComputingTurns(options.schedule == "together", measures_early=not interactive),
        columns=columns,
        build_messages=_message_builder(
            record, columns, _system_prompts(questions), options.system
        ),
        budget=budget,
        changed=changed,
    )
    lanes = [
        Lane(group, engine, shared, options.measure and not measured[group[0]], preload)
        for group, engine in zip(groups, engines, strict=True)
    ]
    held = {models[lane.index].weights_key or lane.index: lane for lane in lanes}

    def make_lane(model: ResolvedModel, index: int) -> Lane:
        lane = held.get(model.weights_key or index)
        if lane is None:
            added, _, (engine,) = _prepare([model], questions, options, make_engine, interactive)
            shared.memory_scheduler.add(index, added.needs[0].total)
            lane = Lane([index], engine, shared, measure=options.measure)
            held[model.weights_key or index] = lane
        columns.append(column_options(model, options))
        budget.prices.append(model.price)
        return lane

    watchers = (ResourceMonitor(record, lanes, cores), OomGuard(lanes))
    return Run(record, lanes, watchers, questions, make_lane)


def _system_prompts(questions: QuestionSet) -> Mapping[str, str]:
    return {q.id: q.system for q in questions.questions if q.system is not None}


def _message_builder(
    record: Recorder,
    columns: Sequence[ColumnOptions],
    systems: Mapping[str, str],
    default: str | None,
) -> Callable[[int, AnswerTask], tuple[Message, ...] | ev.Failed]:
    def compose(model: int, task: AnswerTask) -> tuple[Message, ...] | ev.Failed:
        with record.board() as board:
            gap = prompt_messages.missing_turn(board, model, task)
            if gap is None:
                system = columns[model].system
                if system is None:
                    system = systems.get(task.question, default)
                return prompt_messages.build_messages(board, model, task, system)
        message = f"turn {gap + 1} before it has no answer"
        return ev.Failed("earlier_turn", message, "ask that turn again first", task.answer)

    return compose
