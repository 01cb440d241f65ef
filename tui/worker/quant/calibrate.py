"""What the inputs of each layer are like: a fixed text goes once through the checkpoint.

Rounding a weight costs as much as the input that meets it is large, and a few inputs are a
hundred times the rest. Weighing errors by the inputs' mean squares (llama.cpp's importance
matrix does so too) makes 4 bits lose a third of what they lose otherwise
(``benchmarks.accuracy``). A layer is handed over as soon as the text has passed it, while
its weights are still in memory from that pass.
"""

import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from tui.worker.checkpoint import ChatTokenizer
from tui.worker.quant import torch_linear
from tui.worker.quant.experts import ExpertWeights, apply_experts
from tui.worker.quant.matrix import Matrix, Stacked

TOKENS = 512
_FLOOR = 0.01
"""Lowest importance, as a share of the mean: an input that is small in this text may be large in
another."""
_ASSUMED_ROWS = 16
"""Rows of equal inputs that an expert is taken to have seen beside its own: a router gives some
experts few."""


@dataclass(frozen=True, slots=True)
class ExpertImportance:
    """Importance of the inputs of a layer's experts, None where it is not known: ``outer`` of the
    layer's input, ``inner`` of what each expert's second matrix is given."""

    outer: torch.Tensor | None = None
    inner: Sequence[torch.Tensor | None] | None = None


UNKNOWN_IMPORTANCE = ExpertImportance()


@dataclass(frozen=True, slots=True)
class Layers:
    """The layers of a model that are measured: ``groups`` of names of linear layers with a common
    input, and the modules of experts with their weights; ``weights`` are those of linear layers
    by name that are not in the model; ``head`` is the number of the group that makes logits."""

    model: Any
    groups: Sequence[tuple[str, ...]]
    weights: Mapping[str, Matrix] = field(default_factory=dict)
    experts: Sequence[tuple[str, ExpertWeights]] = ()
    head: int | None = None


def calibration_text() -> str:
    """Calibration text: Chinese and English samples of common tasks."""
    return Path(__file__).with_name("calibration.txt").read_text(encoding="utf-8")


def calibrate_groups(
    layers: Layers,
    tokenizer: ChatTokenizer,
    on_group: Callable[[int, torch.Tensor | None], None],
    on_experts: Callable[[int, ExpertImportance], None] = lambda number, importance: None,
) -> None:
    """Call ``on_group(number, importance)`` once for each group of linear layers, and
    ``on_experts`` for each layer's experts, in the order in which they are computed.

    ``importance`` is the mean square of each of their inputs, or unknown where the text did
    not reach them: then they are handed over at the end, in order.
    """
    run = _Calibration(layers, on_group, on_experts)
    try:
        ids = tokenizer.encode(calibration_text())[:TOKENS]
        # Without the head, which would make the logits of every token.
        with torch.inference_mode():
            given = layers.model.base_model(input_ids=torch.tensor([ids]), use_cache=False)
        run.pass_head(given[0])
    except Exception as error:  # an architecture we do not support: it only costs accuracy
        if run.failed:
            raise
        traceback.print_exception(error)
        sys.stderr.flush()
    finally:
        run.detach()
    run.hand_over_the_rest()


class _Calibration:
    """One pass of the text through a model whose layers tell what they are given."""

    def __init__(
        self,
        layers: Layers,
        on_group: Callable[[int, torch.Tensor | None], None],
        on_experts: Callable[[int, ExpertImportance], None],
    ) -> None:
        self._layers, self._on_group, self._on_experts = layers, on_group, on_experts
        self._groups = set(range(len(layers.groups)))
        self._experts = set(range(len(layers.experts)))
        self._changed: list[Any] = []
        self._hooks: list[Any] = []
        self.failed = False
        """Whether handing a layer over failed, and not the architecture."""
        # Others (fp16, bf16 where the CPU has none) are computed a hundred times more slowly.
        self._quick = torch.bfloat16 if torch_linear.has_bf16() else torch.float32
        model = layers.model
        for number, names in enumerate(layers.groups):
            for name in names:
                layer = model.get_submodule(name)
                weight = layers.weights.get(f"{name}.weight", layer.weight)
                if not isinstance(weight, torch.Tensor) or weight.dtype != self._quick:
                    self._compute_by(layer, partial(self._linear, layer, weight))
            hook = model.get_submodule(names[-1]).register_forward_hook
            self._hooks.append(hook(partial(self._passed_group, number)))
        for number, (name, weights) in enumerate(layers.experts):
            module = model.get_submodule(name)
            self._compute_by(module, partial(self._pass_experts, number, module, weights))

    def _compute_by(self, module: Any, forward: Callable[..., torch.Tensor]) -> None:
        module.forward = forward
        self._changed.append(module)

    def detach(self) -> None:
        """Leave the model as it was."""
        for hook in self._hooks:
            hook.remove()
        for module in self._changed:
            module.__dict__.pop("forward", None)

    def pass_head(self, hidden: torch.Tensor) -> None:
        """Hand over the head, whose inputs these are."""
        number = self._layers.head
        if number is None:
            return
        layer = self._layers.model.get_submodule(self._layers.groups[number][0])
        if hidden.shape[-1] == layer.in_features:
            self._passed_group(number, layer, (hidden,), None)

    def hand_over_the_rest(self) -> None:
        """What the text did not reach."""
        for number in sorted(self._groups):
            self._on_group(number, None)
        for number in sorted(self._experts):
            self._on_experts(number, UNKNOWN_IMPORTANCE)

    def _passed_group(self, number: int, _layer: Any, given: Any, _out: Any) -> None:
        if number in self._groups:
            self._groups.discard(number)
            self.failed = True
            self._on_group(number, _mean_square(given[0]))
            self.failed = False

    def _linear(self, layer: Any, weight: Matrix, x: torch.Tensor) -> torch.Tensor:
        bias = None if layer.bias is None else layer.bias.to(self._quick)
        return self._product(x, weight, bias).to(x.dtype)

    def _product(self, x: torch.Tensor, weight: Any, bias: torch.Tensor | None) -> torch.Tensor:
        return torch.nn.functional.linear(x.to(self._quick), weight.to(self._quick), bias)

    def _pass_experts(
        self,
        number: int,
        module: Any,
        weights: ExpertWeights,
        hidden_states: torch.Tensor,
        top_k_index: torch.Tensor,
        top_k_weights: torch.Tensor,
    ) -> torch.Tensor:
        inner: list[torch.Tensor | None] = [None] * len(weights.up)

        def apply(expert: int, x: torch.Tensor, name: str, weight: Stacked) -> torch.Tensor:
            bias = getattr(module, f"{name}_bias")[expert] if module.has_bias else None
            # oneDNN keeps code for every number of rows: for thousands of experts half a gigabyte.
            rows = 1 << (len(x) - 1).bit_length()
            filled = torch.nn.functional.pad(x, (0, 0, 0, rows - len(x)))
            made = self._product(filled, weight, None if bias is None else bias.to(self._quick))
            return made[: len(x)]

        def compute(expert: int, x: torch.Tensor) -> torch.Tensor:
            name = "gate_up_proj" if module.has_gate else "up_proj"
            middle = apply(expert, x, name, weights.up[expert])
            middle = module._apply_gate(middle) if module.has_gate else module.act_fn(middle)
            inner[expert] = _mean_square(middle, _ASSUMED_ROWS)
            made = apply(expert, middle, "down_proj", weights.down[expert])
            return module.post_expert_norm(made) if module.has_post_expert_norm else made

        found = apply_experts(hidden_states, top_k_index, top_k_weights, len(weights.up), compute)
        if number in self._experts:
            self._experts.discard(number)
            self.failed = True
            self._on_experts(number, ExpertImportance(_mean_square(hidden_states), inner))
            self.failed = False
        return found.to(hidden_states.dtype)


def _mean_square(x: torch.Tensor, assumed_rows: int = 0) -> torch.Tensor | None:
    """The mean square of each column, in units of their mean, of rows and so many with equal
    ones; None where nothing can be told of it."""
    rows = x.detach().reshape(-1, x.shape[-1])
    squares = rows.float().square().mean(0)
    mean = float(squares.mean())
    if not 0 < mean < float("inf"):
        return None
    squares.div_(mean)
    if assumed_rows:
        squares.mul_(len(rows)).add_(assumed_rows).div_(len(rows) + assumed_rows)
    return squares.add_(_FLOOR)
