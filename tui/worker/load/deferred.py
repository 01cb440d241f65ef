"""A model most of whose weights are not read yet: experts, and what its files hold reduced.

In their places stands one repeated zero, which takes no memory. They are read a few rows at a
time when they are made into what is computed with (`tui.worker.load.prepare`).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import (
    Concatenate,
    Interleave,
    MergeModulelist,
    Transpose,
    WeightConverter,
    WeightRenaming,
    rename_source_key,
)

from tui.checkpoints.errors import CheckpointError
from tui.worker.quant.experts import ExpertGroup, ExpertWeights, expert_groups, slice_experts
from tui.worker.quant.linear_groups import linear_groups
from tui.worker.quant.matrix import Matrix, Stacked, StoredMatrix


@dataclass(frozen=True, slots=True)
class DeferredModel:
    """A model in eval mode, and what is not read yet of it: ``matrices`` the weights of linear
    layers by the names of their parameters, ``experts`` those of experts by their module's."""

    model: Any
    matrices: Mapping[str, Matrix] = field(default_factory=dict)
    experts: Mapping[str, ExpertWeights] = field(default_factory=dict)


class _Names:
    """Where the tensors of a checkpoint go in a model, by transformers' own rules."""

    def __init__(self, empty: Any) -> None:
        conversions = get_model_conversion_mapping(empty)
        self._renamings = [one for one in conversions if isinstance(one, WeightRenaming)]
        self._converters = [one for one in conversions if isinstance(one, WeightConverter)]
        self._prefix, self.parameters = empty.base_model_prefix, empty.state_dict()

    def place(self, name: str) -> tuple[str, WeightConverter | None, int]:
        """The parameter a tensor goes to; which converter makes it of several tensors, if any, and
        as which of its sources."""
        place, pattern = rename_source_key(
            name, self._renamings, self._converters, self._prefix, self.parameters
        )
        if place not in self.parameters and name in self.parameters:
            return name, None, 0
        for converter in self._converters if pattern else ():
            if pattern in converter.source_patterns and not _only_turns(converter):
                return place, converter, converter.source_patterns.index(pattern)
        return place, None, 0

    def keeps(self, name: str) -> bool:
        """Whether a parameter's own name leads to it."""
        return self.place(name)[:2] == (name, None)


def missing_names(empty: Any, names: Iterable[str]) -> list[str]:
    """The parameters of a model without memory that tensors of these (native) names leave without
    numbers."""
    rules = _Names(empty)
    placed = {rules.place(name)[0] for name in names}
    tied = getattr(empty, "all_tied_weights_keys", None) or {}
    computed = [re.compile(one) for one in empty._keys_to_ignore_on_load_missing or ()]
    return [
        name
        for name, _ in empty.named_parameters()
        if name not in placed
        and tied.get(name) not in placed
        and not any(one.search(name) for one in computed)
    ]


def _only_turns(converter: WeightConverter) -> bool:
    """Whether a converter only lays experts the other way round, where they do not lie as in the
    model (Qwen3-VL's mixtures)."""
    steps = converter.operations
    return len(steps) == 1 and isinstance(steps[0], Transpose) and steps[0].check_dims


def _merges_experts(converter: WeightConverter) -> bool:
    """Whether a converter only puts experts into a list, and gate above up."""
    steps = [(type(step), step.dim) for step in converter.operations if hasattr(step, "dim")]
    merged = [(MergeModulelist, 0), (Concatenate, 1)]
    return len(steps) == len(converter.operations) and steps in (merged, merged[:1])


def _separates_rows(converter: WeightConverter) -> bool:
    """Whether a converter only sorts the rows of gate and up, which take turns in the files
    (Inkling)."""
    steps = converter.operations
    if len(steps) != 1 or not isinstance(steps[0], Interleave):
        return False
    return steps[0].dim == 1 and not steps[0].inverse


class Deferral:
    """Sorts the tensors of a checkpoint: what is read now, and what is not."""

    def __init__(self, empty: Any, dtype: torch.dtype) -> None:
        self._names, self._empty = _Names(empty), empty
        self._groups: list[ExpertGroup] = list(expert_groups(empty))
        self._linear = {
            f"{name}.weight" for group in linear_groups(empty) for name in group.members
        }
        self._zero = torch.zeros(1, dtype=dtype)
        self._dtype = dtype
        self._experts: dict[str, dict[int, dict[int, Any]]] = {
            part.members[0]: {} for group in self._groups for part in (group.up, group.down)
        }
        self.matrices: dict[str, Matrix] = {}

    def turned(self, name: str, weight: Any) -> Any:
        """A weight as it lies in the model: experts that lie the other way round as a view."""
        # Few tensors have three dimensions; to find the place of each takes all rules.
        if not self._experts or not isinstance(weight, torch.Tensor) or weight.dim() != 3:
            return weight
        place = self._names.place(name)[0]
        if place not in self._experts:
            return weight
        is_turned = tuple(weight.shape) != tuple(self._names.parameters[place].shape)
        return weight.transpose(1, 2) if is_turned else weight

    def take(self, name: str, weight: Any) -> Any:
        """What stands for a weight in the model, None where nothing does before `finish`."""
        if not self._experts and not isinstance(weight, StoredMatrix):
            return weight
        place, converter, source = self._names.place(name)
        if place in self._experts and self._take_expert(place, converter, source, name, weight):
            return None
        if isinstance(weight, StoredMatrix) and converter is None and place in self._linear:
            self.matrices[place] = weight
            return self._zero.expand(weight.shape)
        return self.read(name, weight)

    def read(self, name: str, weight: Any) -> Any:
        """A weight as a tensor, whatever it is stored as."""
        if isinstance(weight, StoredMatrix):
            return weight.to(self._dtype)
        if not isinstance(weight, list):
            return weight
        whole = torch.stack([one.to(self._dtype) for one in weight])
        place = self._names.place(name)[0].rpartition(".")[0]
        is_transposed = getattr(self._empty.get_submodule(place), "is_transposed", False)
        return whole.transpose(1, 2).contiguous() if is_transposed else whole

    def is_empty_bias(self, name: str, weight: Any) -> bool:
        """Whether a tensor is a bias of zeros for a layer that has none: AutoGPTQ's first versions
        wrote one for every layer."""
        place = self._names.place(name)[0]
        is_known = not place.endswith(".bias") or place in self._names.parameters
        return not is_known and isinstance(weight, torch.Tensor) and not bool(weight.any())

    def scales(self) -> dict[str, torch.Tensor]:
        """The scales of what was not read, by name."""
        return {
            name: one.scales for name, one in self.matrices.items() if isinstance(one, StoredMatrix)
        }

    def _take_expert(
        self, place: str, converter: WeightConverter | None, source: int, name: str, weight: Any
    ) -> bool:
        found = self._experts[place]
        if not self._names.keeps(place):
            return False
        module = self._empty.get_submodule(place.rpartition(".")[0])
        if converter is None:
            whole = isinstance(weight, list)
            each = [Stacked([one]) for one in weight] if whole else slice_experts(module, weight)
            found.update({number: {0: one} for number, one in enumerate(each)})
        elif _merges_experts(converter):
            numbers = [int(word) for word in name.split(".") if word.isdigit()]
            found.setdefault(numbers[-1], {})[source] = weight
        elif _separates_rows(converter) and not (module.is_transposed or isinstance(weight, list)):
            found.update({n: {0: one[0::2], 1: one[1::2]} for n, one in enumerate(weight)})
        else:
            return False
        return True

    def finish(self) -> tuple[dict[str, Any], dict[str, ExpertWeights]]:
        """What stands for the experts in the model, and their weights by module.

        Raises:
            CheckpointError: an expert is missing or of another shape.
        """
        state: dict[str, Any] = {}
        experts: dict[str, ExpertWeights] = {}
        for group in self._groups:
            parts = [self._experts[one.members[0]] for one in (group.up, group.down)]
            if not any(parts):
                continue
            weights = [
                [self._expert(one.members[0], found, number, (one.rows[0], one.columns))
                 for number in range(group.count)]
                for one, found in zip((group.up, group.down), parts, strict=True)
                if found
            ]  # fmt: skip
            if len(weights) == 1:
                # The other is one that only transformers can put together.
                name = (group.up if parts[0] else group.down).members[0]
                state[name] = self.read(name, weights[0])
                continue
            experts[group.name] = ExpertWeights(*weights)
            for one in (group.up, group.down):
                name = one.members[0]
                state[name] = self._zero.expand(self._empty.get_parameter(name).shape)
        return state, experts

    @staticmethod
    def _expert(
        name: str, found: Mapping[int, Mapping[int, Any]], number: int, shape: tuple[int, int]
    ) -> Stacked:
        parts = found.get(number)
        if not parts:
            raise CheckpointError(
                "damaged", f"{name}: expert {number} is missing", "fetch the model again"
            )
        if isinstance(parts[min(parts)], Stacked):
            made: Stacked = parts[min(parts)]
        else:
            made = Stacked([parts[source] for source in sorted(parts)])
        if tuple(made.shape) != shape:
            raise CheckpointError(
                "damaged",
                f"{name}: expert {number} has shape {list(made.shape)}, config.json makes it "
                f"{list(shape)}",
                "fetch config.json and the weight files of the same model again",
            )
        return made
