"""Who can be in memory together, predicted before anything is read."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tui.checkpoints.memory_estimate import (
    BASE_BYTES,
    BYTES_PER_WEIGHT,
    MemoryShape,
    held_tokens,
    kv_cache_bytes,
    loading_peak,
    max_parameters_in_gguf,
    predict_peak,
    weights_bytes,
)
from tui.host import format_speeds
from tui.host.errors import EXIT_MEMORY, UserError
from tui.host.memory import MemoryReading
from tui.models import demo
from tui.models.adapters import read_change, with_change
from tui.models.discover import FoundModel, find_checkpoint, find_demo
from tui.models.reference import DTYPES
from tui.models.resolved import LOCAL, ResolvedModel
from tui.options import RunOptions
from tui.questions.question_set import Question
from tui.text.units import format_gigabytes as _gb

PROMPT_TOKENS = 1536
"""Room for the conversation that is planned for, on top of the new tokens, where no context
is asked for."""
_MIN_CONTEXT = 512
BATCH_SIZES = (8, 4, 2, 1)
"""Answers decoded together where nobody says how many: the most that costs no model its place
in memory and is not slower than one after another, where that was measured. Above 8 a step takes
longer in proportion."""
_TEMPLATE_TOKENS = 64
"""Tokens that a chat template puts around a turn, and more."""
_MIN_SLACK = 256 << 20
_SLACK_SHARE = 0.15


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """Answers that a model decodes together: how many, and the tokens of prompt and answer
    that each takes at most (0: as many as are planned for one alone)."""

    size: int = 1
    tokens: int = 0

    def other_tokens(self, tokens: int) -> int:
        """Tokens that are held beside one answer of ``context``."""
        return (self.size - 1) * min(self.tokens or tokens, tokens)


UNBATCHED = BatchLimits()


@dataclass(frozen=True, slots=True)
class ModelSize:
    """What a model's memory depends on; no parameters: it holds no weights here."""

    label: str
    dtype: str = ""
    parameters: int = 0
    shape: MemoryShape = field(default_factory=MemoryShape)
    context: int = 0


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """Predicted bytes of a model at its peak (`tui.checkpoints.memory_estimate`) and its large
    parts, beside them what loading takes; zeros for one that holds no weights here."""

    label: str
    dtype: str
    weights: int
    kv_cache: int
    load_peak: int
    total: int
    context: int

    def __str__(self) -> str:
        rest = self.total - self.weights - self.kv_cache - BASE_BYTES
        parts = (
            f"{_gb(self.weights)} weights + {_gb(self.kv_cache)} KV cache of {self.context} tokens"
        )
        computing = _gb(BASE_BYTES + rest)
        return f"{self.label} needs {_gb(self.total)} GB ({parts} + {computing} to compute)"


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """What a run will hold in memory and when.

    ``groups`` are the models (by number) that are held together, one group after another;
    those that hold no weights here are in every group and so in none. ``refused`` does not
    fit even alone, ``change`` is the smallest change that would fit it.
    """

    needs: tuple[MemoryNeed, ...]
    memory: MemoryReading
    schedule: str
    groups: tuple[tuple[int, ...], ...]
    refused: int | None = None
    change: str = ""
    batch: BatchLimits = UNBATCHED
    """The answers of a question set that each model decodes together."""

    @property
    def budget(self) -> int | None:
        """Bytes for all that is held at a time; None: whatever it takes."""
        return None if self.schedule == "together" else self.memory.available

    @property
    def max_resident(self) -> int | None:
        """How many models are held at a time; None: as many as fit."""
        return 1 if self.schedule == "one-at-a-time" else None

    def check(self) -> None:
        """Refuse what does not fit even alone.

        Raises:
            UserError: exit code 4, with the arithmetic.
        """
        if self.refused is not None:
            raise UserError(self.refusal, self.change, EXIT_MEMORY)

    @property
    def refusal(self) -> str:
        """The arithmetic of the model that does not fit, in one line."""
        if self.refused is None:
            return ""
        seen = self.memory
        room = f"{_gb(seen.available)} of {_gb(seen.limit)} GB can be used ({seen.source})"
        return f"{self.needs[self.refused]}; {room}"

    @property
    def remark(self) -> str:
        """One line where models take turns because they do not fit together."""
        if len(self.groups) < 2 or self.schedule != "auto":
            return ""
        total = sum(need.total for need in self.needs)
        sums = f"{_gb(total)} GB needed, {_gb(self.memory.available)} can be used"
        return f"the models do not all fit in memory ({sums}): they take turns"

    @property
    def lines(self) -> list[str]:
        """The plan in words: who is held together, and who comes after whom."""
        told = []
        for turn in self.groups:
            total = sum(self.needs[i].total for i in turn)
            names = " + ".join(self.needs[i].label for i in turn)
            told.append(f"{names}: {_gb(total)} GB")
        if len(told) > 1:
            return [f"turn {number}: {line}" for number, line in enumerate(told, 1)]
        return [f"together: {line}" if len(self.groups[0]) > 1 else line for line in told]

    def to_json(self) -> dict[str, Any]:
        """The plan as `duibi models fit --json` prints it. Bytes."""
        return {
            "limit": self.memory.limit,
            "used": self.memory.used,
            "room": self.memory.available,
            "source": self.memory.source,
            "schedule": self.schedule,
            "batch": self.batch.size,
            "models": [
                {
                    "model": need.label,
                    "dtype": need.dtype,
                    "weights": need.weights,
                    "kv_cache": need.kv_cache,
                    "context": need.context,
                    "load_peak": need.load_peak,
                    "needs": need.total,
                    "fits": need.total <= self.memory.available,
                }
                for need in self.needs
            ],
            "turns": [[self.needs[i].label for i in turn] for turn in self.groups],
            "refused": self.refusal,
            "change": self.change,
        }


def plan_memory(
    models: Sequence[ResolvedModel],
    options: RunOptions,
    memory: MemoryReading,
    questions: Sequence[Question] = (),
) -> MemoryPlan:
    """Plan a run of ``models``, each with as many conversations as it decodes at once."""
    subjects = [size_of_model(model) for model in models]
    tokens, each = planned_tokens(options), longest_conversation(questions, options)
    if options.batch:
        batch = BatchLimits(options.batch, each)
        return plan_for_sizes(subjects, options.schedule, tokens, memory, batch)
    return plan_batches(subjects, options.schedule, tokens, each, memory)


def plan_batches(
    subjects: Sequence[ModelSize], schedule: str, tokens: int, each: int, memory: MemoryReading
) -> MemoryPlan:
    """Plan for models with as many answers together as is of use (`BATCH_SIZES`), ``each`` of so
    many tokens (0: as many as one alone)."""
    single = plan_for_sizes(subjects, schedule, tokens, memory)
    if schedule == "one-at-a-time":
        return single
    speeds = format_speeds.read()
    for size in BATCH_SIZES:
        if any(speeds.is_slower_together(_key(one), one.dtype, size) for one in subjects):
            continue
        made = plan_for_sizes(subjects, schedule, tokens, memory, BatchLimits(size, each))
        fits = all(
            sum(made.needs[i].total for i in turn) <= memory.available for turn in made.groups
        )
        if fits and made.groups == single.groups and made.refused is None:
            return made
    return single


def _key(size: ModelSize) -> str:
    return format_speeds.model_key(size.parameters, size.dtype)


def plan_for_sizes(
    sizes: Sequence[ModelSize],
    schedule: str,
    tokens: int,
    memory: MemoryReading,
    batch: BatchLimits = UNBATCHED,
) -> MemoryPlan:
    """Plan for models that are known by their figures, at ``context`` of context."""
    needs = tuple(memory_need(subject, tokens, batch=batch) for subject in sizes)
    if schedule == "together":
        held = tuple(i for i, one in enumerate(needs) if one.total)
        return MemoryPlan(needs, memory, schedule, (held,) if held else (), batch=batch)
    most = 1 if schedule == "one-at-a-time" else len(needs)
    refused = next((i for i, one in enumerate(needs) if one.total > memory.available), None)
    change = ""
    if refused is not None:
        change = _smallest_change(sizes[refused], tokens, memory.available, batch)
    turns = _resident_groups(needs, memory.available, most)
    return MemoryPlan(needs, memory, schedule, turns, refused, change, batch)


def planned_tokens(options: RunOptions) -> int:
    """Tokens of prompt and answer together that memory is planned for."""
    return options.context or PROMPT_TOKENS + _new_tokens(options)


def _new_tokens(options: RunOptions) -> int:
    return options.max_new_tokens + (options.think_tokens or 0)


def longest_conversation(questions: Sequence[Question], options: RunOptions) -> int:
    """Tokens of the longest conversation of a set, no fewer than it will have unless its text
    takes more than a token for two bytes; 0 where answers have no bound."""
    if options.max_new_tokens <= 0:
        return 0
    sizes = []
    for question in questions:
        system = question.system if question.system is not None else options.system
        said = sum(len(text.encode()) for text in (system or "", *question.turns))
        sizes.append(said // 2 + len(question.turns) * (_new_tokens(options) + _TEMPLATE_TOKENS))
    return max(sizes, default=0)


def memory_need(
    size: ModelSize, tokens: int, dtype: str = "", batch: BatchLimits = UNBATCHED
) -> MemoryNeed:
    """What a model will take in ``dtype`` (its own by default)."""
    dtype = dtype or size.dtype
    if not size.parameters:
        return MemoryNeed(size.label, dtype, 0, 0, 0, 0, 0)
    shape = size.shape
    tokens = min(tokens, size.context) if size.context else tokens
    beside = batch.other_tokens(tokens)
    total = predict_peak(size.parameters, dtype, shape, tokens, beside)
    held = weights_bytes(size.parameters, dtype, shape)
    cache = kv_cache_bytes(dtype, shape, held_tokens(dtype, tokens, beside))
    load = loading_peak(size.parameters, dtype, shape)
    return MemoryNeed(size.label, dtype, held, cache, load, max(total, load), tokens)


def worker_memory_limits(model: ResolvedModel, options: RunOptions) -> tuple[int, int]:
    """Bytes for the weights, and bytes that answers may add to them at most: 15 % above
    what is predicted for the longest conversation that is possible."""
    subject = size_of_model(model)
    tokens = options.context or subject.context or planned_tokens(options)
    # Beside those of a set, a person's own question may be answered, and the past of the last
    # conversation is kept for its next turn.
    most = memory_need(subject, tokens, batch=BatchLimits((options.batch or 1) + 2))
    return most.weights, most.total - most.weights + max(_MIN_SLACK, int(most.total * _SLACK_SHARE))


def size_of_model(model: ResolvedModel) -> ModelSize:
    """What a resolved model's memory depends on, from headers alone."""
    if model.engine != LOCAL:
        return ModelSize(model.label)
    found = (
        find_demo()
        if model.checkpoint == demo.path()
        else find_checkpoint(model.checkpoint, model.name)
    )
    known = size_of_found(found, model.label, model.dtype) if found else ModelSize(model.label)
    parameters, shape = model.parameters or known.parameters, known.shape
    if model.adapter is not None:
        parameters, shape = with_change(read_change(model.adapter), parameters, shape)
    return replace(
        known,
        dtype=model.dtype,
        parameters=parameters,
        shape=shape,
        context=model.context or known.context,
    )


def size_of_found(found: FoundModel, label: str, dtype: str) -> ModelSize:
    """The same of a checkpoint that was found on the disk."""
    parameters = found.parameters or max_parameters_in_gguf(found.size)
    return ModelSize(label, dtype, parameters, found.shape, found.context)


def _resident_groups(
    needs: Sequence[MemoryNeed], budget: int, max_resident: int
) -> tuple[tuple[int, ...], ...]:
    """Groups in the order in which models are let in: `tui.run.memory_scheduler` lets nobody
    pass."""
    turns: list[list[int]] = []
    held = 0
    for index, one in enumerate(needs):
        if not one.total:
            continue
        if not turns or held + one.total > budget or len(turns[-1]) >= max_resident:
            turns.append([])
            held = 0
        turns[-1].append(index)
        held += one.total
    return tuple(map(tuple, turns))


def _smallest_change(subject: ModelSize, tokens: int, room: int, batch: BatchLimits) -> str:
    """What fits and gives up least: a shorter context where half of it does, else the
    largest dtype."""
    half = max(_MIN_CONTEXT, tokens // 2)
    if half < tokens and (shorter := memory_need(subject, half, batch=batch)).total <= room:
        return f"`--context {half}` needs {_gb(shorter.total)} GB"
    size = BYTES_PER_WEIGHT[subject.dtype]
    smaller = sorted(
        (dtype for dtype in DTYPES if BYTES_PER_WEIGHT[dtype] < size and dtype != "fp16"),
        key=lambda dtype: -BYTES_PER_WEIGHT[dtype],
    )
    for dtype in smaller:
        if (changed := memory_need(subject, tokens, dtype, batch)).total <= room:
            return f"`@{dtype}` needs {_gb(changed.total)} GB"
    return "stop other programs, or take a smaller model; --together loads it all the same"
