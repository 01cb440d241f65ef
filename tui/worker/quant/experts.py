"""The experts of a mixture: their weights one by one, and a module that computes with those that
a router chose.

transformers holds the experts of a layer as parameters of three dimensions (`gate_up_proj` or
`up_proj`, and `down_proj`) in modules that `use_experts_implementation` marks with how these lie.
"""

import ctypes
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from tui.worker.kernels import abi, build
from tui.worker.quant.linear_groups import LinearGroup
from tui.worker.quant.matrix import Stacked
from tui.worker.quant.native_linear import NativeBf16Linear, NativeInt4Linear, NativeInt8Linear

_PROBE = 32
"""Values that are sent through the gate of a mixture, to see what it computes."""


@dataclass(frozen=True, slots=True)
class ExpertGroup:
    """The experts of a layer: the name of their module, how many they are, and the shapes of
    their two matrices, as those of linear layers."""

    name: str
    count: int
    up: LinearGroup
    down: LinearGroup

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of their parameters in the model."""
        weights = [part.members[0] for part in (self.up, self.down)]
        return (
            (*weights, *(f"{name}_bias" for name in weights)) if self.up.has_bias else (*weights,)
        )


@dataclass(frozen=True, slots=True)
class ExpertWeights:
    """The weights of a layer's experts, one (outputs, inputs) for each. Those of ``up`` may be
    several, one below the other: gate and up."""

    up: Sequence[Stacked]
    down: Sequence[Stacked]


def expert_groups(model: Any) -> Iterator[ExpertGroup]:
    """The experts of each layer of a model, where they lie as is described above."""
    for path, module in model.named_modules():
        up_name = "gate_up_proj" if getattr(module, "has_gate", False) else "up_proj"
        up: Any = getattr(module, up_name, None)
        down: Any = getattr(module, "down_proj", None)
        if not hasattr(module, "is_transposed") or not _are_experts(up, down):
            continue
        sizes = [tuple(one.shape[1:]) for one in (up, down)]
        if module.is_transposed:
            sizes = [size[::-1] for size in sizes]
        made = [
            LinearGroup((f"{path}.{name}",), (size[0],), size[1], module.has_bias, False)
            for name, size in zip((up_name, "down_proj"), sizes, strict=True)
        ]
        yield ExpertGroup(path, up.shape[0], *made)


def _are_experts(up: Any, down: Any) -> bool:
    both = isinstance(up, nn.Parameter) and isinstance(down, nn.Parameter)
    return both and up.dim() == down.dim() == 3 and up.shape[0] == down.shape[0]


def slice_experts(module: Any, parameter: Any) -> list[Stacked]:
    """The matrix of each expert in a parameter (experts, ...) of a module as it lies."""
    return [Stacked([one.t() if module.is_transposed else one]) for one in parameter.detach()]


def biases_of(model: Any, group: LinearGroup) -> list[torch.Tensor | None] | None:
    """The biases of a group's matrix for each expert; None where there are none."""
    if not group.has_bias:
        return None
    path, _, name = group.members[0].rpartition(".")
    return list(getattr(model.get_submodule(path), f"{name}_bias").detach())


def apply_experts(
    hidden: torch.Tensor,
    chosen: torch.Tensor,
    shares: torch.Tensor,
    count: int,
    compute: Callable[[int, torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """The sum of what the experts make of each row, in float32.

    ``hidden`` (rows, width); ``chosen`` (rows, k) are the numbers of the experts, of ``count``,
    and ``shares`` (rows, k) what each counts. ``compute(expert, rows)`` is called once for each
    expert that any row chose, with these rows.
    """
    out = torch.zeros(hidden.shape, dtype=torch.float32)
    each = chosen.shape[-1]
    numbers, order = chosen.reshape(-1).sort(stable=True)
    experts, sizes = numbers.unique_consecutive(return_counts=True)
    flat, start = shares.reshape(-1).float(), 0
    for expert, size in zip(experts.tolist(), sizes.tolist(), strict=True):
        places = order[start : start + size]
        start += size
        if expert >= count:
            continue
        rows = places // each
        made = compute(expert, hidden[rows]).float() * flat[places, None]
        out.index_add_(0, rows, made)
    return out


class Experts(nn.Module):  # type: ignore[misc]
    """The experts of a layer over linear layers of ours: ``up`` and ``down`` hold one for each.
    ``theirs``, the module of transformers, gives the gate between them."""

    def __init__(self, theirs: Any, up: Sequence[Any], down: Sequence[Any]) -> None:
        super().__init__()
        self.up, self.down = nn.ModuleList(up), nn.ModuleList(down)
        self.num_experts = len(up)
        if theirs.has_post_expert_norm:
            self.post_expert_norm = theirs.post_expert_norm
        for name in [*theirs._parameters]:
            setattr(theirs, name, None)
        # In a list, which nn.Module does not register as a submodule.
        self._theirs = [theirs]
        self.fused = _fused(theirs, up, down)

    def _compute(self, expert: int, x: torch.Tensor) -> torch.Tensor:
        theirs = self._theirs[0]
        inner = self.up[expert](x)
        inner = theirs._apply_gate(inner) if theirs.has_gate else theirs.act_fn(inner)
        found: torch.Tensor = self.down[expert](inner)
        return self.post_expert_norm(found) if theirs.has_post_expert_norm else found

    def forward(
        self, hidden_states: torch.Tensor, top_k_index: torch.Tensor, top_k_weights: torch.Tensor
    ) -> torch.Tensor:
        """``hidden_states`` (rows, width) through the experts ``top_k_index`` (rows, k), weighed
        by ``top_k_weights``.

        Raises:
            MemoryError: no room for what the experts make.
        """
        if self.fused is not None and hidden_states.dtype == self.fused.dtype:
            return self.fused.forward(hidden_states, top_k_index, top_k_weights)
        found = apply_experts(
            hidden_states, top_k_index, top_k_weights, self.num_experts, self._compute
        )
        return found.to(hidden_states.dtype)


class FusedExperts:
    """All experts of a layer by one call of our own kernel (``kernels/experts.c``). ``descriptor``
    is for kernels that contain them; valid as long as this."""

    def __init__(self, up: Sequence[Any], down: Sequence[Any]) -> None:
        count = len(up)
        # The addresses are those of what the layers hold.
        self._up = (abi.Linear * count)(*(layer.descriptor() for layer in up))
        self._down = (abi.Linear * count)(*(layer.descriptor() for layer in down))
        self.dtype = torch.float32 if self._up[0].bits == 16 else torch.bfloat16
        self.descriptor = abi.ExpertLayers(
            ctypes.addressof(self._up),
            ctypes.addressof(self._down),
            count,
            abi.DTYPE_CODES[self.dtype],
        )
        self._kernel = build.library().duibi_experts_forward

    def forward(
        self, hidden: torch.Tensor, chosen: torch.Tensor, shares: torch.Tensor
    ) -> torch.Tensor:
        """As `Experts.forward`."""
        x, y = hidden.contiguous(), torch.empty(hidden.shape, dtype=hidden.dtype)
        numbers, weights = chosen.long().contiguous(), shares.float().contiguous()
        rows, each = numbers.shape
        if self._kernel(
            *(ctypes.byref(self.descriptor), x.data_ptr(), rows, each),
            *(numbers.data_ptr(), weights.data_ptr(), y.data_ptr()),
        ):
            raise MemoryError("not enough memory for the experts of a layer")
        return y


def _fused(theirs: Any, up: Sequence[Any], down: Sequence[Any]) -> FusedExperts | None:
    """The kernel for a layer's experts, where it computes their gate and their formats."""
    layers = [*up, *down]
    native = (NativeBf16Linear, NativeInt8Linear, NativeInt4Linear)
    if not _gates_by_silu(theirs) or theirs.has_post_expert_norm:
        return None
    if not all(isinstance(layer, native) for layer in layers):
        return None
    if len({isinstance(layer, NativeBf16Linear) for layer in layers}) > 1:
        return None
    if (down[0].outputs | (up[0].outputs // 2)) % abi.constant("LANES"):
        return None
    return FusedExperts(up, down)


def _gates_by_silu(theirs: Any) -> bool:
    """Whether ``silu(gate) * up`` stands between the two matrices, as in the kernel: told by what
    comes out, for a class may compute it in its own way and under any name."""
    if not theirs.has_gate:
        return False
    probe = torch.linspace(-40, 40, _PROBE).roll(_PROBE // 4)[None]
    gate, up = probe.chunk(2, -1)
    try:
        made = theirs._apply_gate(probe)
    except (RuntimeError, IndexError):  # it wants the width of the model: another gate
        return False
    expected = nn.functional.silu(gate) * up
    return bool(made.shape == expected.shape and torch.allclose(made, expected, atol=1e-4))


def replace_experts(model: Any, group: ExpertGroup, up: Sequence[Any], down: Sequence[Any]) -> None:
    """Have a layer's experts computed by linear layers, one of ``up`` and of ``down`` for each."""
    path, _, last = group.name.rpartition(".")
    parent = model.get_submodule(path)
    setattr(parent, last, Experts(getattr(parent, last), up, down))
