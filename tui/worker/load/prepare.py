"""From an opened checkpoint to a model in the format that was asked for, layer by layer.

On a CPU ``bf16`` is put into the order in which its kernel reads it; ``int8`` and ``int4``
are made once from the checkpoint, kept in the cache and mapped from there. The whole model is
never in memory in two formats: a layer is read from the mapped checkpoint, quantised, and freed
before the next.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tui.checkpoints import quantised_cache
from tui.checkpoints.errors import CheckpointError
from tui.checkpoints.memory_estimate import QUANTISED_DTYPES
from tui.checkpoints.weight_headers import read_tensor_headers
from tui.worker.checkpoint import Checkpoint, Progress
from tui.worker.kernels import build
from tui.worker.load import device
from tui.worker.load.shards import DTYPES
from tui.worker.measure import Stopwatch
from tui.worker.quant import (
    aligned_safetensors,
    calibrate,
    choose_format,
    native_linear,
    torch_linear,
)
from tui.worker.quant.fused_linear import weight_tensors
from tui.worker.quant.linear_format import TensorSpec
from tui.worker.quant.linear_groups import (
    LinearGroup,
    concatenate,
    linear_groups,
    replace_linears,
)

_WEIGHTS_FILE = "model.safetensors"
_SPARE = 64 << 20
_STORED = {"BF16": "bf16", "F16": "fp16", "F32": "fp32"}
_OUTLIER_INPUT_NAMES = ("down_proj", "o_proj")
"""Layers whose inputs have few values far above the rest, which 8 bits serve badly."""
_MAX_UNCOVERED_SHARE = 0.05


def prepare_model(
    checkpoint: Checkpoint, dtype: str, progress: Progress, reading: Stopwatch | None = None
) -> tuple[Any, str, list[str]]:
    """The model in eval mode, the device it is on, and remarks for a person. What is spent in
    reading files is added to ``reading``; all else is converting, quantising and packing.

    Raises:
        CheckpointError: as `Checkpoint.build`, or the format cannot be made of it.
    """
    reading = reading or Stopwatch()
    checkpoint = replace(checkpoint, build=partial(_timed_build, checkpoint.build, reading))
    if dtype in QUANTISED_DTYPES:
        return _prepare_quantised(checkpoint, dtype, progress, reading)
    if dtype != "bf16" or device.gpu_failure() == "" or checkpoint.model_spec is None:
        return device.place_model(checkpoint.build(dtype, progress))
    if choose_format.reads_bf16_in_place() and _native_bf16_covers(checkpoint):
        model = _with_native_bf16(checkpoint, progress)
    elif torch_linear.has_bf16():
        model = _convert_in_memory(checkpoint, dtype, progress)
    else:
        model = checkpoint.build(dtype, progress)
    return model, "cpu", device.gpu_remarks()


def model_nbytes(model: Any) -> int:
    """Bytes of a model's weights as it holds them, what is shared between layers counted once."""
    plain = {t.data_ptr(): t.nbytes for t in (*model.parameters(), *model.buffers())}
    reduced = {id(t): t.numel() * t.element_size() for t in weight_tensors(model.modules())}
    return int(sum(plain.values()) + sum(reduced.values()))


def _is_sensitive(group: LinearGroup) -> bool:
    """Whether rounding a group's inputs to 8 bits costs much accuracy."""
    return group.is_head or group.members[0].endswith(_OUTLIER_INPUT_NAMES)


def stored_dtype(checkpoint: Checkpoint) -> str:
    """The commonest dtype in the files: in it the weights stay views of the map."""
    sizes: dict[str, int] = {}
    for tensor in read_tensor_headers(checkpoint.path):
        if tensor.dtype in _STORED:
            sizes[tensor.dtype] = sizes.get(tensor.dtype, 0) + tensor.elements
    return _STORED[max(sizes, key=lambda name: sizes[name])] if sizes else "bf16"


def _convert_in_memory(checkpoint: Checkpoint, dtype: str, progress: Progress) -> Any:
    """The checkpoint's model with its linear layers replaced one by one."""
    model = checkpoint.build(stored_dtype(checkpoint), lambda done, total: None)
    done, total = 0, checkpoint.checkpoint_bytes
    them = list(linear_groups(model))

    def take(number: int, importance: torch.Tensor | None) -> None:
        nonlocal done
        unit = them[number]
        weight, bias = concatenate(model, unit)
        if dtype == "bf16":
            layer = torch_linear.TorchBf16Linear(weight, bias)
        else:
            kind = choose_format.quantised_format(unit, dtype)
            parts = kind.pack(weight, bias, importance)
            layer = kind.from_packed(parts, sum(unit.rows), _is_sensitive(unit))
        done += weight.nbytes
        aligned_safetensors.release_pages(model.get_submodule(name).weight for name in unit.members)
        replace_linears(model, unit, layer)
        progress(min(done, total), total)

    _for_each_group(checkpoint, model, them, dtype, take)
    _cast_rest_to_bf16(model)
    progress(total, total)
    return model


def _native_bf16_covers(checkpoint: Checkpoint) -> bool:
    """Whether nearly all weights belong to linear layers that the kernel takes, and to
    embeddings: what is left is held in float32."""
    assert checkpoint.model_spec is not None
    model_class, config, _ = checkpoint.model_spec()
    with torch.device("meta"):
        empty = model_class(config)
    rest = {name: p.numel() for name, p in empty.named_parameters()}
    total = sum(rest.values())
    for path, module in empty.named_modules():
        kernel = type(module) is nn.Linear and native_linear.supports_columns(module.in_features)
        if kernel or type(module) is nn.Embedding:
            rest.pop(f"{path}.weight", None)
    return bool(sum(rest.values()) < _MAX_UNCOVERED_SHARE * total)


def _with_native_bf16(checkpoint: Checkpoint, progress: Progress) -> Any:
    """bfloat16 weights where they lie in the mapped file; all else in float32."""
    model = checkpoint.build("bf16", progress)
    for unit in linear_groups(model):
        if native_linear.supports_columns(unit.columns):
            members = [model.get_submodule(name) for name in unit.members]
            bias = [None if m.bias is None else m.bias.detach() for m in members]
            weights = [m.weight.detach() for m in members]
            replace_linears(model, unit, choose_format.bf16_layer(*zip(weights, bias, strict=True)))
    for module in model.modules():
        if type(module) is nn.Embedding:
            module.register_forward_hook(lambda _module, _given, found: found.float())
    embedded = {id(m.weight) for m in model.modules() if type(m) is nn.Embedding}
    for parameter in model.parameters():
        if id(parameter) not in embedded and parameter.is_floating_point():
            parameter.data = parameter.data.float()
    model.config.dtype = torch.float32
    return model


def _for_each_group(
    checkpoint: Checkpoint,
    model: Any,
    them: Sequence[LinearGroup],
    dtype: str,
    take: Callable[[int, torch.Tensor | None], None],
) -> None:
    """``take(number, importance)`` for every unit; only 4 bits need the importance."""
    if dtype == "int4":
        calibrate.calibrate_groups(
            model, checkpoint.tokenizer, [unit.members for unit in them], take
        )
        return
    for number in range(len(them)):
        take(number, None)


def _cast_rest_to_bf16(model: Any) -> None:
    """What is left (embedding, norms) into bfloat16; buffers stay as exact as they are."""
    for parameter in model.parameters():
        if parameter.is_floating_point():
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
    checkpoint: Checkpoint, dtype: str, progress: Progress, reading: Stopwatch
) -> tuple[Any, str, list[str]]:
    if checkpoint.model_spec is None:
        raise CheckpointError(
            "unsupported", f"{dtype} is not made of a model with code of its own", "try @bf16"
        )
    remarks = _quantised_remarks(dtype)
    source = checkpoint.path.resolve()
    order = "tiles" if not build.unavailable_reason() else torch.backends.cpu.get_cpu_capability()
    place = quantised_cache.entry_folder(source, dtype, order)
    before, made = place.exists(), False

    def make(folder: Path) -> None:
        nonlocal made
        made = True
        model = checkpoint.build(stored_dtype(checkpoint), lambda done, total: None)
        _write_quantised(checkpoint, model, folder / _WEIGHTS_FILE, dtype, progress)

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
        model = _load_quantised(checkpoint, folder / _WEIGHTS_FILE, dtype, progress)
    return model, "cpu", remarks


def _quantised_remarks(dtype: str) -> list[str]:
    found = []
    capability = torch.backends.cpu.get_cpu_capability()
    if dtype == "int4" and capability not in ("AVX512", "AVX2"):
        found.append("this CPU has neither AVX2 nor AVX-512: int4 is slow, try @fp32")
    if torch.cuda.is_available():
        found.append(f"{dtype} is computed by the CPU; @bf16 would use the GPU")
    return found


def _packed_specs(unit: LinearGroup, dtype: str) -> dict[str, TensorSpec]:
    shapes = choose_format.quantised_format(unit, dtype).packed_specs(
        sum(unit.rows), unit.columns, unit.has_bias
    )
    return {f"{unit.name}.{part}": shape for part, shape in shapes.items()}


def _write_quantised(
    checkpoint: Checkpoint, model: Any, path: Path, dtype: str, progress: Progress
) -> None:
    them = list(linear_groups(model))
    linear = {f"{name}.{part}" for u in them for name in u.members for part in ("weight", "bias")}
    rest = {n: p for n, p in model.named_parameters() if n not in linear}
    shapes = {name: (torch.bfloat16, tuple(p.shape)) for name, p in rest.items()}
    for unit in them:
        shapes |= _packed_specs(unit, dtype)
    writer = aligned_safetensors.SafetensorsWriter(path, shapes)
    if shutil.disk_usage(path.parent).free < writer.size + _SPARE:
        raise OSError(None, f"no space for {writer.size / 1e9:.1f} GB in {quantised_cache.root()}")
    done, total = 0, checkpoint.checkpoint_bytes
    for name, parameter in rest.items():
        writer.write(name, parameter.detach().to(torch.bfloat16))

    def take(number: int, importance: torch.Tensor | None) -> None:
        nonlocal done
        unit = them[number]
        weight, bias = concatenate(model, unit)
        for part, tensor in (
            choose_format.quantised_format(unit, dtype).pack(weight, bias, importance).items()
        ):
            writer.write(f"{unit.name}.{part}", tensor)
        done += weight.nbytes
        aligned_safetensors.release_pages(model.get_submodule(name).weight for name in unit.members)
        progress(min(done, total), total)

    _for_each_group(checkpoint, model, them, dtype, take)
    writer.close()


def _load_quantised(checkpoint: Checkpoint, path: Path, dtype: str, progress: Progress) -> Any:
    """The model around the tensors of a file of ours."""
    tensors = dict(aligned_safetensors.map_tensors(path))
    model = _empty_model(checkpoint, tensors)
    them, total = list(linear_groups(model)), checkpoint.checkpoint_bytes
    for number, unit in enumerate(them, 1):
        kind, size = (
            choose_format.quantised_format(unit, dtype),
            (sum(unit.rows), unit.columns, unit.has_bias),
        )
        parts = {part: tensors.pop(f"{unit.name}.{part}") for part in kind.packed_specs(*size)}
        layer = kind.from_packed(parts, sum(unit.rows), _is_sensitive(unit))
        replace_linears(model, unit, layer)
        if kind is torch_linear.TorchInt8Linear:
            # Its kernel has the weights in an order of its own, in memory of its own.
            aligned_safetensors.release_pages(parts.values())
        progress(total * number // len(them), total)
    return model


def _empty_model(checkpoint: Checkpoint, tensors: dict[str, torch.Tensor]) -> Any:
    """The model with what the file holds of it unpacked, and one repeated zero for every
    weight that is to be replaced: it takes no memory."""
    assert checkpoint.model_spec is not None
    model_class, config, expected = checkpoint.model_spec()
    tied = getattr(model_class, "_tied_weights_keys", None) if config.tie_word_embeddings else None
    zero = torch.zeros(1, dtype=torch.bfloat16)
    state = {
        name: tensors[name] if name in tensors else zero.expand(shape)
        for name, shape in expected.items()
        if name not in (tied or ())
    }
    with torch.no_grad():
        model, info = model_class.from_pretrained(
            None,
            config=config,
            state_dict=state,
            dtype=DTYPES["bf16"],
            output_loading_info=True,
            use_safetensors=None,
        )
    if info["missing_keys"] or info["unexpected_keys"]:
        raise CheckpointError("damaged", "the kept weights belong to another model", "load again")
    return model.eval()
