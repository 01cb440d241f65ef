"""Who can be in memory together, predicted before anything is read."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tui.checkpoints.memory_estimate import (
    BASE,
    BYTES_PER_WEIGHT,
    Shape,
    kv_cache,
    loading,
    predict,
    weights,
    weights_in_gguf,
)
from tui.host.errors import UserError
from tui.host.memory import Reading
from tui.models import demo
from tui.models.discover import Found, of_demo, of_path
from tui.models.resolve import LOADABLE, LOCAL, Resolved
from tui.questions.question_set import Question
from tui.settings import Settings

PROMPT_TOKENS = 1536
"""Room for the conversation that is planned for, on top of the new tokens, where no context
is asked for."""
_LEAST_CONTEXT = 512
BATCHES = (8, 4, 2, 1)
"""Answers decoded together where nobody says how many: the most that costs no model its place
in memory. Above 8 a step takes longer in proportion."""
_AROUND = 64
"""Tokens that a chat template puts around a turn, and more."""
_SPARE = 256 << 20
_OVER = 0.15


@dataclass(frozen=True, slots=True)
class Batch:
    """Answers that a model decodes together: how many, and the tokens of prompt and answer
    that each takes at most (0: as many as are planned for one alone)."""

    size: int = 1
    tokens: int = 0

    def beside(self, tokens: int) -> int:
        """Tokens that are held beside one answer of ``tokens``."""
        return (self.size - 1) * min(self.tokens or tokens, tokens)


ALONE = Batch()


@dataclass(frozen=True, slots=True)
class Subject:
    """What a model's memory depends on; no parameters: it holds no weights here."""

    label: str
    dtype: str = ""
    parameters: int = 0
    shape: Shape = field(default_factory=Shape)
    context: int = 0


@dataclass(frozen=True, slots=True)
class Need:
    """Predicted bytes of a model at its peak (`tui.checkpoints.memory_estimate`) and its large
    parts, beside them what loading takes; zeros for one that holds no weights here."""

    label: str
    dtype: str
    weights: int
    cache: int
    load: int
    total: int
    tokens: int

    def __str__(self) -> str:
        rest = self.total - self.weights - self.cache - BASE
        parts = f"{_gb(self.weights)} weights + {_gb(self.cache)} KV cache of {self.tokens} tokens"
        return f"{self.label} needs {_gb(self.total)} GB ({parts} + {_gb(BASE + rest)} to compute)"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run will hold in memory and when.

    ``turns`` are the models (by number) that are held together, one group after another;
    those that hold no weights here are in every group and so in none. ``refused`` does not
    fit even alone, ``change`` is the smallest change that would fit it.
    """

    needs: tuple[Need, ...]
    memory: Reading
    schedule: str
    turns: tuple[tuple[int, ...], ...]
    refused: int | None = None
    change: str = ""
    batch: Batch = ALONE
    """The answers of a question set that each model decodes together."""

    @property
    def room(self) -> int | None:
        """Bytes for all that is held at a time; None: whatever it takes."""
        return None if self.schedule == "together" else self.memory.room

    @property
    def most(self) -> int | None:
        """How many models are held at a time; None: as many as fit."""
        return 1 if self.schedule == "one-at-a-time" else None

    def check(self) -> None:
        """Refuse what does not fit even alone.

        Raises:
            UserError: exit code 4, with the arithmetic.
        """
        if self.refused is not None:
            raise UserError(self.why_refused, self.change, 4)

    @property
    def why_refused(self) -> str:
        """The arithmetic of the model that does not fit, in one line."""
        if self.refused is None:
            return ""
        seen = self.memory
        room = f"{_gb(seen.room)} of {_gb(seen.limit)} GB can be used ({seen.source})"
        return f"{self.needs[self.refused]}; {room}"

    @property
    def remark(self) -> str:
        """One line where models take turns because they do not fit together."""
        if len(self.turns) < 2 or self.schedule != "auto":
            return ""
        total = sum(need.total for need in self.needs)
        sums = f"{_gb(total)} GB needed, {_gb(self.memory.room)} can be used"
        return f"the models do not all fit in memory ({sums}): they take turns"

    @property
    def lines(self) -> list[str]:
        """The plan in words: who is held together, and who comes after whom."""
        told = []
        for turn in self.turns:
            total = sum(self.needs[i].total for i in turn)
            names = " + ".join(self.needs[i].label for i in turn)
            told.append(f"{names}: {_gb(total)} GB")
        if len(told) > 1:
            return [f"turn {number}: {line}" for number, line in enumerate(told, 1)]
        return [f"together: {line}" if len(self.turns[0]) > 1 else line for line in told]

    def to_json(self) -> dict[str, Any]:
        """The plan as `duibi models fit --json` prints it. Bytes."""
        return {
            "limit": self.memory.limit,
            "used": self.memory.used,
            "room": self.memory.room,
            "source": self.memory.source,
            "schedule": self.schedule,
            "batch": self.batch.size,
            "models": [
                {
                    "model": need.label,
                    "dtype": need.dtype,
                    "weights": need.weights,
                    "kv_cache": need.cache,
                    "context": need.tokens,
                    "load_peak": need.load,
                    "needs": need.total,
                    "fits": need.total <= self.memory.room,
                }
                for need in self.needs
            ],
            "turns": [[self.needs[i].label for i in turn] for turn in self.turns],
            "refused": self.why_refused,
            "change": self.change,
        }


def make(
    models: Sequence[Resolved],
    settings: Settings,
    memory: Reading,
    questions: Sequence[Question] = (),
) -> Plan:
    """Plan a run of ``models``, each with as many conversations as it decodes at once."""
    subjects = [subject_of(model) for model in models]
    tokens, each = tokens_of(settings), longest(questions, settings)
    if settings.batch:
        batch = Batch(settings.batch, each)
        return arrange(subjects, settings.schedule, tokens, memory, batch)
    single = arrange(subjects, settings.schedule, tokens, memory)
    for size in BATCHES:
        made = arrange(subjects, settings.schedule, tokens, memory, Batch(size, each))
        fits = all(sum(made.needs[i].total for i in turn) <= memory.room for turn in made.turns)
        if fits and made.turns == single.turns and made.refused is None:
            return made
    return single


def arrange(
    subjects: Sequence[Subject],
    schedule: str,
    tokens: int,
    memory: Reading,
    batch: Batch = ALONE,
) -> Plan:
    """Plan for models that are known by their figures, at ``tokens`` of context."""
    needs = tuple(need(subject, tokens, batch=batch) for subject in subjects)
    if schedule == "together":
        held = tuple(i for i, one in enumerate(needs) if one.total)
        return Plan(needs, memory, schedule, (held,) if held else (), batch=batch)
    most = 1 if schedule == "one-at-a-time" else len(needs)
    refused = next((i for i, one in enumerate(needs) if one.total > memory.room), None)
    change = ""
    if refused is not None:
        change = _smallest_change(subjects[refused], tokens, memory.room, batch)
    turns = _turns(needs, memory.room, most)
    return Plan(needs, memory, schedule, turns, refused, change, batch)


def tokens_of(settings: Settings) -> int:
    """Tokens of prompt and answer together that memory is planned for."""
    return settings.context or PROMPT_TOKENS + settings.max_new_tokens


def longest(questions: Sequence[Question], settings: Settings) -> int:
    """Tokens of the longest conversation of a set, no fewer than it will have unless its text
    takes more than a token for two bytes; 0 where answers have no bound."""
    if settings.max_new_tokens <= 0:
        return 0
    sizes = []
    for question in questions:
        system = question.system if question.system is not None else settings.system
        said = sum(len(text.encode()) for text in (system or "", *question.turns))
        sizes.append(said // 2 + len(question.turns) * (settings.max_new_tokens + _AROUND))
    return max(sizes, default=0)


def need(subject: Subject, tokens: int, dtype: str = "", batch: Batch = ALONE) -> Need:
    """What a model will take in ``dtype`` (its own by default)."""
    dtype = dtype or subject.dtype
    if not subject.parameters:
        return Need(subject.label, dtype, 0, 0, 0, 0, 0)
    shape = subject.shape
    tokens = min(tokens, subject.context) if subject.context else tokens
    beside = batch.beside(tokens)
    total = predict(subject.parameters, dtype, shape, tokens, beside)
    held = weights(subject.parameters, dtype, shape)
    cache = kv_cache(dtype, shape, tokens + beside)
    load = loading(subject.parameters, dtype, shape)
    return Need(subject.label, dtype, held, cache, load, max(total, load), tokens)


def allowance(model: Resolved, settings: Settings) -> tuple[int, int]:
    """Bytes for the weights, and bytes that answers may add to them at most: 15 % above
    what is predicted for the longest conversation that is possible."""
    subject = subject_of(model)
    tokens = settings.context or subject.context or tokens_of(settings)
    # Beside those of a set, a person's own question may be answered, and the past of the last
    # conversation is kept for its next turn.
    most = need(subject, tokens, batch=Batch((settings.batch or 1) + 2))
    return most.weights, most.total - most.weights + max(_SPARE, int(most.total * _OVER))


def subject_of(model: Resolved) -> Subject:
    """What a resolved model's memory depends on, from headers alone."""
    if model.engine != LOCAL:
        return Subject(model.label)
    found = of_demo() if model.checkpoint == demo.path() else of_path(model.checkpoint, model.name)
    known = subject_of_found(found, model.label, model.dtype) if found else Subject(model.label)
    return replace(
        known,
        dtype=model.dtype,
        parameters=model.parameters or known.parameters,
        context=model.context or known.context,
    )


def subject_of_found(found: Found, label: str, dtype: str) -> Subject:
    """The same of a checkpoint that was found on the disk."""
    parameters = found.parameters or weights_in_gguf(found.size)
    return Subject(label, dtype, parameters, found.shape, found.context)


def _turns(needs: Sequence[Need], room: int, most: int) -> tuple[tuple[int, ...], ...]:
    """Groups in the order in which models are let in: `tui.run.memory_scheduler` lets nobody
    pass."""
    turns: list[list[int]] = []
    held = 0
    for index, one in enumerate(needs):
        if not one.total:
            continue
        if not turns or held + one.total > room or len(turns[-1]) >= most:
            turns.append([])
            held = 0
        turns[-1].append(index)
        held += one.total
    return tuple(map(tuple, turns))


def _smallest_change(subject: Subject, tokens: int, room: int, batch: Batch) -> str:
    """What fits and gives up least: a shorter context where half of it does, else the
    largest dtype."""
    half = max(_LEAST_CONTEXT, tokens // 2)
    if half < tokens and (shorter := need(subject, half, batch=batch)).total <= room:
        return f"`--context {half}` needs {_gb(shorter.total)} GB"
    size = BYTES_PER_WEIGHT[subject.dtype]
    smaller = sorted(
        (dtype for dtype in LOADABLE if BYTES_PER_WEIGHT[dtype] < size and dtype != "fp16"),
        key=lambda dtype: -BYTES_PER_WEIGHT[dtype],
    )
    for dtype in smaller:
        if (changed := need(subject, tokens, dtype, batch)).total <= room:
            return f"`@{dtype}` needs {_gb(changed.total)} GB"
    return "stop other programs, or take a smaller model; --together loads it all the same"


def _gb(size: float) -> str:
    return f"{size / 1e9:.1f}"
