"""The columns of a run: what each is asked with, and which of them share weights."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from tui.engines.base import SamplingOptions
from tui.models.resolved import ResolvedModel
from tui.options import RunOptions


@dataclass(frozen=True, slots=True)
class ColumnOptions:
    """What is asked for with each answer of a column. ``label`` heads it, ``system`` stands before
    that of a question (None: the question's, or the run's), ``asked`` is what was
    asked for of sampling and thinking."""

    label: str
    system: str | None
    max_new_tokens: int
    sampling: SamplingOptions
    think: str
    think_tokens: int | None
    asked: dict[str, float | str]


def columns_by_weights(models: Sequence[ResolvedModel]) -> list[list[int]]:
    """The numbers of the models, those together that one worker answers for."""
    groups: dict[object, list[int]] = {}
    for number, model in enumerate(models):
        groups.setdefault(model.weights_key or number, []).append(number)
    return list(groups.values())


def describe_models(models: Sequence[ResolvedModel]) -> list[dict[str, Any]]:
    """The models as they stand in a header; ``weights_of`` is the number of the model whose worker
    holds the weights."""
    described = [model.to_json() for model in models]
    for first, *others in columns_by_weights(models):
        for number in others:
            described[number]["weights_of"] = first
    return described


def longest_options(models: Sequence[ResolvedModel], options: RunOptions) -> RunOptions:
    """The options that memory is planned by: of the columns' own the longest texts."""
    own = [replace(options, **model.settings) for model in models] or [options]
    return replace(
        options,
        max_new_tokens=max(one.max_new_tokens for one in own),
        think_tokens=max((one.think_tokens for one in own if one.think_tokens), default=None),
        system=max((one.system for one in own if one.system), key=len, default=None),
    )


def requested_sampling(options: RunOptions) -> SamplingOptions:
    """How tokens are to be chosen. ``sample`` leaves temperature and the like to the
    checkpoint where they are not given."""
    return SamplingOptions(
        greedy={"greedy": True, "sample": False}.get(options.sampling),
        temperature=options.temperature,
        top_p=options.top_p,
        top_k=options.top_k,
        repetition_penalty=options.repetition_penalty,
        seed=options.seed,
        logprobs=options.logprobs,
    )


def column_options(model: ResolvedModel, options: RunOptions) -> ColumnOptions:
    """What a model's column is asked with: its own settings, else those of the run."""
    own = replace(options, **model.settings)
    sampling = requested_sampling(own)
    thinking = {"think": own.think, "think_tokens": own.think_tokens}
    return ColumnOptions(
        label=model.label,
        system=model.settings.get("system"),
        max_new_tokens=own.max_new_tokens,
        sampling=sampling,
        think=own.think or "",
        think_tokens=own.think_tokens,
        asked={k: v for k, v in (asdict(sampling) | thinking).items() if v is not None},
    )
