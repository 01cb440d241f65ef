"""From an opened checkpoint to a model in the format that was asked for, layer by layer.

On a CPU ``bf16`` is put into the order in which its kernel reads it; ``int8`` and ``int4``
are made once from the checkpoint, kept in the cache and mapped from there. The whole model is
never in memory in two formats: a layer is read from the mapped checkpoint, quantised, and freed
before the next.
"""

import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tui.checkpoints import quantised_cache
from tui.checkpoints.adapter import read_adapter
from tui.checkpoints.errors import CheckpointError
from tui.checkpoints.memory_estimate import QUANTISED_DTYPES
from tui.checkpoints.reach import reach_remark
from tui.worker.checkpoint import Checkpoint, Progress
from tui.worker.kernels import build
from tui.worker.load import device, kept_weights
from tui.worker.load.deferred import DeferredModel
from tui.worker.measure import Stopwatch
from tui.worker.quant import (
    aligned_safetensors,
    choose_format,
    native_linear,
    torch_linear,
)
from tui.worker.quant.experts import ExpertGroup, biases_of, expert_groups, replace_experts
from tui.worker.quant.fused_linear import weight_tensors
from tui.worker.quant.linear_groups import concatenate, linear_groups, replace_linears
from tui.worker.quant.matrix import Matrix

_WEIGHTS_FILE = "model.safetensors"
_MAX_UNCOVERED_SHARE = 0.05


def prepare_model(
    checkpoint: Checkpoint,
    dtype: str,
    progress: Progress,
    reading: Stopwatch | None = None,
    making: Progress | None = None,
) -> tuple[Any, str, list[str]]:
    """The model in eval mode, the device it is on, and remarks for a person. What is spent in
    reading files is added to ``reading``; all else is converting, quantising and packing.
    ``making`` is told, in the place of ``progress``, of weights that are made once and kept.

    Raises:
        CheckpointError: as `Checkpoint.build`, or the format cannot be made of it.
    """
    reading = reading or Stopwatch()
    checkpoint = replace(
        checkpoint,
        build=partial(_timed_build, checkpoint.build, reading),
        build_deferred=partial(_timed_build, checkpoint.build_deferred, reading),
    )
    if dtype in QUANTISED_DTYPES:
        return _prepare_quantised(checkpoint, dtype, progress, reading, making or progress)
    if dtype != "bf16" or device.gpu_failure() == "" or checkpoint.model_spec is None:
        return device.place_model(checkpoint.build(dtype, progress))
    if choose_format.reads_bf16_in_place() and _native_bf16_covers(checkpoint):
        model = _with_native_bf16(checkpoint, progress)
    elif torch_linear.has_bf16():
        model = _in_onednn_order(checkpoint, progress)
    else:
        model = checkpoint.build(dtype, progress)
    return model, "cpu", device.gpu_remarks()


def model_nbytes(model: Any) -> int:
    """Bytes of a model's weights as it holds them, what is shared between layers counted once."""
    plain = {t.data_ptr(): t.nbytes for t in (*model.parameters(), *model.buffers())}
    reduced = {id(t): t.numel() * t.element_size() for t in weight_tensors(model.modules())}
    return int(sum(plain.values()) + sum(reduced.values()))


def _convert_in_memory(checkpoint: Checkpoint, dtype: str, progress: Progress) -> Any:
    """The checkpoint's model with its linear layers replaced one by one."""
    read = checkpoint.build_deferred(checkpoint.plain_dtype, lambda done, total: None)
    kept_weights.reduce_in_memory(checkpoint, read, dtype, progress)
    _cast_rest_to_bf16(read.model)
    progress(checkpoint.checkpoint_bytes, checkpoint.checkpoint_bytes)
    return read.model


def _in_onednn_order(checkpoint: Checkpoint, progress: Progress) -> Any:
    """bfloat16 weights in the order in which oneDNN reads them, layer by layer."""
    model = checkpoint.build("bf16", lambda done, total: None)
    done, total = 0, checkpoint.checkpoint_bytes
    for group in list(linear_groups(model)):
        weight, bias = concatenate(model, group)
        done += weight.nbytes
        layer = torch_linear.TorchBf16Linear(weight, bias)
        aligned_safetensors.release_pages(
            model.get_submodule(name).weight for name in group.members
        )
        replace_linears(model, group, layer)
        progress(min(done, total), total)
    _cast_rest_to_bf16(model)
    progress(total, total)
    return model


def _native_bf16_covers(checkpoint: Checkpoint) -> bool:
    """Whether nearly all weights belong to linear layers and experts that the kernel takes, and to
    embeddings: what is left is held in float32."""
    assert checkpoint.model_spec is not None
    empty = checkpoint.model_spec().empty
    rest = {name: p.numel() for name, p in empty.named_parameters()}
    total = sum(rest.values())
    for path, module in empty.named_modules():
        kernel = type(module) is nn.Linear and native_linear.supports_columns(module.in_features)
        if kernel or type(module) is nn.Embedding:
            rest.pop(f"{path}.weight", None)
    for group in expert_groups(empty):
        for part in (group.up, group.down):
            if native_linear.supports_columns(part.columns):
                rest.pop(part.members[0], None)
    return bool(sum(rest.values()) < _MAX_UNCOVERED_SHARE * total)


def _with_native_bf16(checkpoint: Checkpoint, progress: Progress) -> Any:
    """bfloat16 weights where they lie in the mapped file, made anew where that holds others; all
    else in float32."""
    read = checkpoint.build_deferred("bf16", progress)
    model = read.model
    for unit in linear_groups(model):
        members = [model.get_submodule(name) for name in unit.members]
        weights = [
            _in_bf16(read.matrices.get(f"{name}.weight", member.weight.detach()))
            for name, member in zip(unit.members, members, strict=True)
        ]
        if native_linear.supports_columns(unit.columns):
            bias = [None if m.bias is None else m.bias.detach() for m in members]
            replace_linears(model, unit, choose_format.bf16_layer(*zip(weights, bias, strict=True)))
        else:
            for member, weight in zip(members, weights, strict=True):
                member.weight.data = weight
    for group in list(expert_groups(model)):
        if all(native_linear.supports_columns(one.columns) for one in (group.up, group.down)):
            replace_experts(model, group, *_bf16_experts(read, group))
    for module in model.modules():
        if type(module) is nn.Embedding:
            module.register_forward_hook(lambda _module, _given, found: found.float())
    embedded = {id(m.weight) for m in model.modules() if type(m) is nn.Embedding}
    for parameter in model.parameters():
        if id(parameter) not in embedded and parameter.is_floating_point():
            parameter.data = parameter.data.float()
    model.config.dtype = torch.float32
    return model


def _in_bf16(weight: Matrix) -> torch.Tensor:
    return weight.to(torch.bfloat16)


def _bf16_experts(read: DeferredModel, group: ExpertGroup) -> tuple[list[Any], list[Any]]:
    """A layer over the matrices of each expert where they lie."""
    weights = kept_weights.expert_weights(read, group)
    made: list[list[Any]] = []
    for part, each in ((group.up, weights.up), (group.down, weights.down)):
        biases = biases_of(read.model, part) or [None] * group.count
        layers = []
        for weight, bias in zip(each, biases, strict=True):
            parts = [_in_bf16(one) for one in weight.parts]
            split = [None] * len(parts) if bias is None else bias.split([len(p) for p in parts])
            layers.append(choose_format.bf16_layer(*zip(parts, split, strict=True)))
            # What lies the other way round, or row by row with another, was copied.
            aligned_safetensors.release_pages(p for p in parts if not p.is_contiguous())
        made.append(layers)
    return made[0], made[1]


def _cast_rest_to_bf16(model: Any) -> None:
    """What is left (embedding, norms) into bfloat16; buffers stay as exact as they are, and so does
    what its class computes in float32 whatever the rest is in."""
    wide = tuple(getattr(model, "_keep_in_fp32_modules_strict", None) or ())
    for name, parameter in model.named_parameters():
        if parameter.is_floating_point() and not any(one in name for one in wide):
            parameter.data = parameter.data.to(torch.bfloat16)
    model.config.dtype = torch.bfloat16


def _timed_build(
    build_weights: Callable[[str, Progress], Any],
    reading: Stopwatch,
    dtype: str,
    progress: Progress,
) -> Any:
    with reading:
        return build_weights(dtype, progress)


def _prepare_quantised(
    checkpoint: Checkpoint,
    dtype: str,
    progress: Progress,
    reading: Stopwatch,
    making: Progress,
) -> tuple[Any, str, list[str]]:
    if checkpoint.model_spec is None:
        raise CheckpointError(
            "unsupported", f"{dtype} is not made of a model with code of its own", "try @bf16"
        )
    spec = checkpoint.model_spec()
    empty = spec.empty
    reached, every = reached_weights(empty)
    remarks = [*_quantised_remarks(dtype)]
    remarks += filter(None, [reach_remark(reached / max(1, every))])
    source = checkpoint.path.resolve()
    order = "tiles" if not build.unavailable_reason() else torch.backends.cpu.get_cpu_capability()
    merged = read_adapter(checkpoint.adapter).files if checkpoint.adapter else ()
    # Files of models without any of these stay valid.
    order += " buffers" if kept_weights.kept_buffers(empty) else ""
    order += " separated" if spec.tied and not spec.config.tie_word_embeddings else ""
    order += " shared" if len(getattr(empty, "all_tied_weights_keys", ())) > 1 else ""
    place = quantised_cache.entry_folder(source, dtype, order, merged)
    before, made = place.exists(), False

    def make(folder: Path) -> None:
        nonlocal made
        made = True
        read = checkpoint.build_deferred(checkpoint.plain_dtype, lambda done, total: None)
        kept_weights.write_reduced(checkpoint, read, folder / _WEIGHTS_FILE, dtype, making)

    try:
        folder = quantised_cache.ensure(place, source, dtype, make)
    except OSError as error:
        why = error.strerror or str(error) or "no space"
        remarks.append(f"{dtype} weights are not kept for the next load: {why}")
        return _convert_in_memory(checkpoint, dtype, progress), "cpu", remarks
    if before and made:
        remarks.append("the kept weights were damaged: they were made again")
    outdated = [one for one in quantised_cache.entries_of(source, dtype) if one.is_outdated]
    if made and outdated:
        remarks.append("the kept weights were of another version: they were made again")
        for one in outdated:
            shutil.rmtree(one.folder, ignore_errors=True)
    with reading:
        model = kept_weights.load_reduced(checkpoint, folder / _WEIGHTS_FILE, dtype, progress)
    return model, "cpu", remarks


def reached_weights(empty: Any) -> tuple[int, int]:
    """How many of a model's weights belong to linear layers and experts, and how many it has;
    tables of rows are not counted."""
    tables = {id(m.weight) for m in empty.modules() if isinstance(m, nn.Embedding)}
    sizes = {name: p.numel() for name, p in empty.named_parameters() if id(p) not in tables}
    names = {f"{name}.weight" for group in linear_groups(empty) for name in group.members}
    names |= {name for group in expert_groups(empty) for name in group.parameters}
    return sum(sizes[name] for name in names & sizes.keys()), sum(sizes.values())


def _quantised_remarks(dtype: str) -> list[str]:
    found = []
    capability = torch.backends.cpu.get_cpu_capability()
    if dtype == "int4" and capability not in ("AVX512", "AVX2"):
        found.append("this CPU has neither AVX2 nor AVX-512: int4 is slow, try @fp32")
    if torch.cuda.is_available():
        found.append(f"{dtype} is computed by the CPU; @bf16 would use the GPU")
    return found
