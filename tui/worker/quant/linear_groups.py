"""The linear layers of a model, those with a common input together as one matrix."""

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import nn

from tui.checkpoints.native_types import NOT_RUN, READ
from tui.checkpoints.reach import ROUTER_NAMES
from tui.worker.quant.fused_linear import slice_linear

_SHARED_INPUT_NAMES = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))
"""Layers with one input: computed as one they cost one call and one pass over it."""


@dataclass(frozen=True, slots=True)
class LinearGroup:
    """Linear layers that are packed as one matrix: their names, rows of each, columns."""

    members: tuple[str, ...]
    rows: tuple[int, ...]
    columns: int
    has_bias: bool
    is_head: bool

    @property
    def name(self) -> str:
        """The name of the group in a file."""
        return "packed." + self.members[0]


def linear_groups(model: Any) -> Iterator[LinearGroup]:
    """Every linear layer of a model but routers and those whose numbers its code reads; those that
    share an input together."""
    head = model.get_output_embeddings()
    for path, module in model.named_modules():
        kind: Any = type(module)
        linear = {
            name: part
            for name, part in module.named_children()
            if type(part) is nn.Linear and name not in ROUTER_NAMES and name not in _read_by(kind)
        }
        for group in [*_SHARED_INPUT_NAMES, *((name,) for name in linear)]:
            if not all(name in linear for name in group):
                continue
            parts = [linear[name] for name in group]
            alike = {(part.in_features, part.bias is None) for part in parts}
            if len(alike) > 1:
                continue
            for name in group:
                del linear[name]
            yield LinearGroup(
                tuple(f"{path}.{name}".lstrip(".") for name in group),
                tuple(part.out_features for part in parts),
                parts[0].in_features,
                parts[0].bias is not None,
                parts[0] is head,
            )


@cache
def _read_by(kind: Any) -> frozenset[str]:
    """The layers of a class of modules whose weights its own methods compute with (the step of
    Mamba's states): in another format there are none to read."""
    methods = [one for name, one in inspect.getmembers(kind, inspect.isfunction)
               if one.__module__ == kind.__module__ and not NOT_RUN.match(name)]  # fmt: skip
    sources = (_source(one) for one in methods)
    return frozenset(found for source in sources for found in READ.findall(source))


def _source(method: Any) -> str:
    try:
        return inspect.getsource(method)
    except (OSError, TypeError):  # no file, or none that can be read
        return ""


def concatenate(model: Any, group: LinearGroup) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Weight and bias of a group's layers as one matrix."""
    parts = [model.get_submodule(name) for name in group.members]
    if len(parts) == 1:
        return parts[0].weight.detach(), None if parts[0].bias is None else parts[0].bias.detach()
    bias = torch.cat([part.bias.detach() for part in parts]) if group.has_bias else None
    return torch.cat([part.weight.detach() for part in parts]), bias


def replace_linears(model: Any, group: LinearGroup, layer: Any) -> None:
    """Replace the members of a group by slices of ``layer``, which computes their matrix."""
    for name, part in zip(group.members, slice_linear(layer, group.rows), strict=True):
        path, _, last = name.rpartition(".")
        setattr(model.get_submodule(path), last, part)
