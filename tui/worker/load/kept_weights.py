"""int8 and int4 weights of a checkpoint: made layer by layer, kept in a file, mapped from there.

The whole model is never in memory in two formats: a layer is read from the mapped checkpoint,
quantised, and freed before the next; of a layer's experts so is each.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tui.checkpoints import quantised_cache
from tui.checkpoints.errors import CheckpointError
from tui.host.memory import trim_heap
from tui.worker.checkpoint import Checkpoint, Progress
from tui.worker.load.deferred import DeferredModel
from tui.worker.load.mapped_file import map_tensors
from tui.worker.load.shards import DTYPES
from tui.worker.quant import (
    aligned_safetensors,
    calibrate,
    choose_format,
    native_linear,
    torch_linear,
)
from tui.worker.quant.experts import (
    ExpertGroup,
    ExpertWeights,
    biases_of,
    expert_groups,
    replace_experts,
    slice_experts,
)
from tui.worker.quant.linear_format import PackedTensors, TensorSpec
from tui.worker.quant.linear_groups import LinearGroup, linear_groups, replace_linears
from tui.worker.quant.matrix import Stacked

_SPARE = 64 << 20
_OUTLIER_INPUT_NAMES = ("down_proj", "o_proj")
"""Layers whose inputs have few values far above the rest, which 8 bits serve badly."""

TakeLinear = Callable[[LinearGroup, PackedTensors], None]
TakeExpert = Callable[[LinearGroup, int, PackedTensors], None]


@dataclass(frozen=True, slots=True)
class _Reduction:
    """A model whose layers are made into another format, one after another."""

    read: DeferredModel
    linear: Sequence[LinearGroup]
    experts: Sequence[ExpertGroup]
    dtype: str

    def weight(self, group: LinearGroup) -> Stacked:
        """The weights of a group's layers, as they are stored."""
        model, matrices = self.read.model, self.read.matrices
        names = [f"{name}.weight" for name in group.members]
        return Stacked([matrices.get(n) or model.get_parameter(n).detach() for n in names])

    def bias(self, group: LinearGroup) -> torch.Tensor | None:
        """The biases of a group's layers."""
        if not group.has_bias:
            return None
        parts = [self.read.model.get_submodule(name).bias.detach() for name in group.members]
        return torch.cat(parts)

    def pack(
        self,
        group: LinearGroup,
        weight: Stacked,
        bias: torch.Tensor | None,
        importance: torch.Tensor | None,
    ) -> PackedTensors:
        """What a file holds of a matrix."""
        kind = choose_format.quantised_format(group, self.dtype)
        if choose_format.keeps_levels(kind, weight):
            return native_linear.NativeInt4Linear.pack_levels(weight, bias)
        return kind.pack(weight, bias, importance)


def reduce_model(
    checkpoint: Checkpoint,
    read: DeferredModel,
    dtype: str,
    progress: Progress,
    on_linear: TakeLinear,
    on_expert: TakeExpert,
) -> None:
    """Hand over every matrix of a model in its format, in the order in which they are computed;
    of experts one after another, those of a layer together."""
    work = _Reduction(read, list(linear_groups(read.model)), list(expert_groups(read.model)), dtype)
    done, total = 0, checkpoint.checkpoint_bytes

    def took(weight: Stacked) -> None:
        nonlocal done
        done += sum(page.nbytes for page in weight.pages)
        aligned_safetensors.release_pages(weight.pages)
        progress(min(done, total), total)

    def take_linear(number: int, importance: torch.Tensor | None) -> None:
        group = work.linear[number]
        weight = work.weight(group)
        on_linear(group, work.pack(group, weight, work.bias(group), importance))
        took(weight)

    def take_experts(number: int, importance: calibrate.ExpertImportance) -> None:
        group = work.experts[number]
        weights, inner = expert_weights(read, group), importance.inner
        for part, each in ((group.up, weights.up), (group.down, weights.down)):
            biases = biases_of(read.model, part)
            for expert, weight in enumerate(each):
                weighs = importance.outer if part is group.up else inner and inner[expert]
                bias = biases and biases[expert]
                on_expert(part, expert, work.pack(part, weight, bias, weighs))
                took(weight)
        # Thousands of small matrices leave the allocator a heap of holes.
        trim_heap()

    if dtype == "int4" and not _all_exact(work):
        calibrate.calibrate_groups(
            calibrate.Layers(
                read.model,
                [group.members for group in work.linear],
                read.matrices,
                [(group.name, expert_weights(read, group)) for group in work.experts],
                next((n for n, group in enumerate(work.linear) if group.is_head), None),
            ),
            checkpoint.tokenizer,
            take_linear,
            take_experts,
        )
        return
    for number in range(len(work.linear)):
        take_linear(number, None)
    for number in range(len(work.experts)):
        take_experts(number, calibrate.UNKNOWN_IMPORTANCE)


def _all_exact(work: _Reduction) -> bool:
    """Whether the files hold all matrices in levels that the format keeps: but for the head, for
    which nothing is measured either."""
    given = [(group, work.weight(group)) for group in work.linear if not group.is_head]
    for group in work.experts:
        weights = expert_weights(work.read, group)
        given += [(group.up, weights.up[0]), (group.down, weights.down[0])]
    return all(
        choose_format.keeps_levels(choose_format.quantised_format(group, work.dtype), weight)
        for group, weight in given
    )


def expert_weights(read: DeferredModel, group: ExpertGroup) -> ExpertWeights:
    """Those of a layer's experts."""
    if group.name in read.experts:
        return read.experts[group.name]
    module = read.model.get_submodule(group.name)
    both = [read.model.get_parameter(one.members[0]) for one in (group.up, group.down)]
    return ExpertWeights(*(slice_experts(module, one) for one in both))


def is_sensitive(group: LinearGroup) -> bool:
    """Whether rounding a group's inputs to 8 bits costs much accuracy."""
    return group.is_head or group.members[0].endswith(_OUTLIER_INPUT_NAMES)


def make_layer(group: LinearGroup, dtype: str, parts: PackedTensors) -> Any:
    """The layer over what `reduce_model` hands over."""
    kind = choose_format.quantised_format(group, dtype)
    return kind.from_packed(parts, sum(group.rows), is_sensitive(group))


def reduce_in_memory(
    checkpoint: Checkpoint, read: DeferredModel, dtype: str, progress: Progress
) -> None:
    """Replace the linear layers and experts of a model, where nothing can be kept."""
    layers: dict[str, list[Any]] = {}

    def take_linear(group: LinearGroup, parts: PackedTensors) -> None:
        replace_linears(read.model, group, make_layer(group, dtype, parts))

    def take_expert(group: LinearGroup, expert: int, parts: PackedTensors) -> None:
        layers.setdefault(group.members[0], []).append(make_layer(group, dtype, parts))

    experts = list(expert_groups(read.model))
    reduce_model(checkpoint, read, dtype, progress, take_linear, take_expert)
    for group in experts:
        replace_experts(read.model, group, *(layers[p.members[0]] for p in (group.up, group.down)))


def _packed_specs(group: LinearGroup, dtype: str) -> dict[str, TensorSpec]:
    shapes = choose_format.quantised_format(group, dtype).packed_specs(
        sum(group.rows), group.columns, group.has_bias
    )
    return {f"{group.name}.{part}": shape for part, shape in shapes.items()}


def kept_buffers(model: Any) -> list[str]:
    """The names of the buffers that a checkpoint of a model holds."""
    held = model.state_dict(keep_vars=True)
    return [name for name, _ in model.named_buffers() if name in held]


def write_reduced(
    checkpoint: Checkpoint, read: DeferredModel, path: Path, dtype: str, progress: Progress
) -> None:
    """Write the file that `load_reduced` maps.

    Raises:
        OSError: it cannot be written.
    """
    linear, experts = list(linear_groups(read.model)), list(expert_groups(read.model))
    reduced = {
        f"{name}.{part}" for u in linear for name in u.members for part in ("weight", "bias")
    }
    reduced |= {name for group in experts for name in group.parameters}
    rest = {name: one for name, one in read.model.named_parameters() if name not in reduced}
    shapes = {name: (torch.bfloat16, tuple(one.shape)) for name, one in rest.items()}
    # Whole numbers, and biases of a router that must be exact.
    buffers = {name: read.model.get_buffer(name) for name in kept_buffers(read.model)}
    shapes |= {name: (one.dtype, tuple(one.shape)) for name, one in buffers.items()}
    for unit in linear:
        shapes |= _packed_specs(unit, dtype)
    for group in experts:
        for part in (group.up, group.down):
            shapes |= {
                name: (kind, (group.count, *shape))
                for name, (kind, shape) in _packed_specs(part, dtype).items()
            }
    writer = aligned_safetensors.SafetensorsWriter(path, shapes)
    if shutil.disk_usage(path.parent).free < writer.size + _SPARE:
        raise OSError(None, f"no space for {writer.size / 1e9:.1f} GB in {quantised_cache.root()}")
    for name, tensor in (rest | buffers).items():
        writer.write(name, tensor.detach().to(shapes[name][0]))

    def take_linear(group: LinearGroup, parts: PackedTensors) -> None:
        for part, tensor in parts.items():
            writer.write(f"{group.name}.{part}", tensor)

    def take_expert(group: LinearGroup, expert: int, parts: PackedTensors) -> None:
        for part, tensor in parts.items():
            writer.write_item(f"{group.name}.{part}", expert, tensor)

    reduce_model(checkpoint, read, dtype, progress, take_linear, take_expert)
    writer.close()


def load_reduced(checkpoint: Checkpoint, path: Path, dtype: str, progress: Progress) -> Any:
    """The model around the tensors of a file of ours."""
    tensors = dict(map_tensors(path))
    model = _empty_model(checkpoint, tensors)
    linear, total = list(linear_groups(model)), checkpoint.checkpoint_bytes
    experts = list(expert_groups(model))
    steps = len(linear) + len(experts)
    for number, unit in enumerate(linear, 1):
        parts = _take_parts(tensors, unit, dtype)
        replace_linears(model, unit, make_layer(unit, dtype, parts))
        _release_copied(unit, dtype, parts)
        progress(total * number // steps, total)
    for number, group in enumerate(experts, len(linear) + 1):
        layers = []
        for part in (group.up, group.down):
            whole = _take_parts(tensors, part, dtype)
            layers.append(
                [
                    make_layer(part, dtype, {name: one[n] for name, one in whole.items()})
                    for n in range(group.count)
                ]
            )
            _release_copied(part, dtype, whole)
        replace_experts(model, group, *layers)
        progress(total * number // steps, total)
    return model


def _take_parts(
    tensors: dict[str, torch.Tensor], group: LinearGroup, dtype: str
) -> dict[str, torch.Tensor]:
    names = [name.removeprefix(f"{group.name}.") for name in _packed_specs(group, dtype)]
    return {part: tensors.pop(f"{group.name}.{part}") for part in names}


def _release_copied(group: LinearGroup, dtype: str, parts: PackedTensors) -> None:
    if choose_format.quantised_format(group, dtype) is torch_linear.TorchInt8Linear:
        # Its kernel has the weights in an order of its own, in memory of its own.
        aligned_safetensors.release_pages(parts.values())


def _empty_model(checkpoint: Checkpoint, tensors: dict[str, torch.Tensor]) -> Any:
    """The model with what the file holds of it unpacked, and one repeated zero for every
    weight that is to be replaced: it takes no memory."""
    assert checkpoint.model_spec is not None
    spec = checkpoint.model_spec()
    # A head that is the words, and layers that share their weights (Zamba).
    tied = getattr(spec.empty, "all_tied_weights_keys", None) or {}
    zero = torch.zeros(1, dtype=torch.bfloat16)
    state = {
        name: tensors[name] if name in tensors else zero.expand(shape)
        for name, shape in spec.shapes.items()
        if name not in tied
    }
    with torch.no_grad():
        model, info = spec.model_class.from_pretrained(
            None,
            config=spec.config,
            state_dict=state,
            dtype=DTYPES["bf16"],
            output_loading_info=True,
            use_safetensors=None,
        )
    if info["missing_keys"] or info["unexpected_keys"]:
        raise CheckpointError("damaged", "the kept weights belong to another model", "load again")
    return model.eval()
