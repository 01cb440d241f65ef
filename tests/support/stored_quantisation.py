"""Checkpoints in the published layouts of reduced weights, written from a whole one, and what
each weight is by its layout: in numpy, from the layouts' descriptions alone."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

Array = Any
GROUP = 32
FP4 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], np.float32)
AWQ_PLACES = [0, 2, 4, 6, 1, 3, 5, 7]
"""Which of eight neighbours stands at 4 bits times its position."""


def _grid(weight: Array, group: int, symmetric: bool) -> tuple[Array, Array, Array]:
    """Codes 0 to 15 (outputs, inputs), float16 scales and whole zero points (outputs, groups)."""
    parts = weight.reshape(len(weight), -1, group)
    low, high = np.minimum(parts.min(2), 0), np.maximum(parts.max(2), 0)
    if symmetric:
        scale, zero = np.maximum(-low, high) / 7.5, np.full(low.shape, 8.0)
    else:
        scale = (high - low) / 15
        zero = np.round(-low / scale)
    scale = scale.astype(np.float16)
    wide = scale.astype(np.float32)[:, :, None]
    codes = np.clip(np.round(parts / wide + zero[:, :, None]), 0, 15)
    return codes.reshape(weight.shape).astype(np.int64), scale, zero.astype(np.int64)


def _words(values: Array, axis: int, places: list[int] | None = None) -> Array:
    """Eight values of 4 bits along an axis to each int32."""
    values = np.moveaxis(values, axis, -1)
    fill = -values.shape[-1] % 8
    values = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, fill)])
    each = values.reshape(*values.shape[:-1], -1, 8)
    found = np.zeros(each.shape[:-1], np.uint32)
    for position in range(8):
        source = places[position] if places else position
        found |= each[..., source].astype(np.uint32) << np.uint32(4 * position)
    return np.moveaxis(found, -1, axis).view(np.int32)


def gptq(
    weight: Array, act_order: bool = False, symmetric: bool = False, first_zero: int = 1
) -> dict[str, Array]:
    """``first_zero``: what a stored zero point of 0 means, 1 in the first version, 0 in v2."""
    columns = weight.shape[1]
    order = np.arange(columns) // GROUP
    if act_order:
        order = np.random.default_rng(columns).permutation(order)
    # The columns of each group side by side, and back.
    places = np.argsort(order, kind="stable")
    codes, scale, zero = _grid(weight[:, places], GROUP, symmetric)
    back = np.empty_like(codes)
    back[:, places] = codes
    return {
        "qweight": _words(back.T, 0),
        "qzeros": _words(zero.T - first_zero, 1),
        "scales": scale.T,
        "g_idx": order.astype(np.int32),
    }


def read_gptq(parts: dict[str, Array], first_zero: int = 1) -> Array:
    inputs, outputs = 8 * parts["qweight"].shape[0], parts["qweight"].shape[1]
    found = np.empty((outputs, inputs), np.float32)
    for column in range(inputs):
        word = parts["qweight"][column // 8].view(np.uint32)
        code = (word >> np.uint32(4 * (column % 8))) & np.uint32(15)
        group = parts["g_idx"][column]
        for row in range(outputs):
            packed = int(parts["qzeros"][group].view(np.uint32)[row // 8])
            zero = ((packed >> (4 * (row % 8))) & 15) + first_zero
            found[row, column] = np.float32(parts["scales"][group, row]) * (int(code[row]) - zero)
    return found


def awq(weight: Array) -> dict[str, Array]:
    codes, scale, zero = _grid(weight, GROUP, symmetric=False)
    return {
        "qweight": _words(codes.T, 1, AWQ_PLACES),
        "qzeros": _words(zero.T, 1, AWQ_PLACES),
        "scales": scale.T,
    }


def read_awq(parts: dict[str, Array]) -> Array:
    inputs, outputs = parts["qweight"].shape[0], 8 * parts["qweight"].shape[1]
    found = np.empty((outputs, inputs), np.float32)
    for row in range(outputs):
        shift = np.uint32(4 * AWQ_PLACES.index(row % 8))
        codes = (parts["qweight"][:, row // 8].view(np.uint32) >> shift) & np.uint32(15)
        zeros = (parts["qzeros"][:, row // 8].view(np.uint32) >> shift) & np.uint32(15)
        for column in range(inputs):
            group = column // GROUP
            scale = np.float32(parts["scales"][group, row])
            found[row, column] = scale * (int(codes[column]) - int(zeros[group]))
    return found


def compressed(weight: Array, symmetric: bool = True, act_order: bool = False) -> dict[str, Array]:
    order = np.arange(weight.shape[1]) // GROUP
    if act_order:
        order = np.random.default_rng(weight.shape[1]).permutation(order)
    places = np.argsort(order, kind="stable")
    sorted_codes, scale, zero = _grid(weight[:, places], GROUP, symmetric)
    codes = np.empty_like(sorted_codes)
    codes[:, places] = sorted_codes
    more = {} if symmetric else {"weight_zero_point": _words(zero, 0)}
    if act_order:
        more["weight_g_idx"] = order.astype(np.int32)
    return {
        "weight_packed": _words(codes, 1),
        "weight_scale": scale,
        "weight_shape": np.array(weight.shape, np.int64),
        **more,
    }


def read_compressed(parts: dict[str, Array]) -> Array:
    outputs, inputs = (int(n) for n in parts["weight_shape"])
    found = np.empty((outputs, inputs), np.float32)
    for row in range(outputs):
        for column in range(inputs):
            word = int(parts["weight_packed"].view(np.uint32)[row, column // 8])
            value = ((word >> (4 * (column % 8))) & 15) - 8
            zero, group = 0, column // GROUP
            if "weight_g_idx" in parts:
                group = parts["weight_g_idx"][column]
            if "weight_zero_point" in parts:
                word = int(parts["weight_zero_point"].view(np.uint32)[row // 8, group])
                zero = ((word >> (4 * (row % 8))) & 15) - 8
            found[row, column] = np.float32(parts["weight_scale"][row, group]) * (value - zero)
    return found


def int8_rows(weight: Array) -> dict[str, Array]:
    scale = (np.abs(weight).max(1, keepdims=True) / 127).astype(np.float32)
    return {"weight": np.round(weight / scale).astype(np.int8), "weight_scale": scale}


def read_int8(parts: dict[str, Array]) -> Array:
    return parts["weight"].astype(np.float32) * parts["weight_scale"]


def _fp8(weight: Array, scale: Array) -> Array:
    return torch.from_numpy(weight / scale).to(torch.float8_e4m3fn).view(torch.uint8).numpy()


def _from_fp8(codes: Array) -> Array:
    """e4m3: a sign, four bits of exponent with bias 7, three of fraction; no infinities."""
    sign, exponent, fraction = codes >> 7, (codes >> 3) & 15, codes & 7
    normal = (1 + fraction / 8) * np.exp2(exponent.astype(np.float32) - 7)
    value = np.where(exponent == 0, fraction / 8 * 2.0**-6, normal)
    return np.where(sign == 1, -value, value).astype(np.float32)


def fp8_blocks(weight: Array, block: int = 48) -> dict[str, Array]:
    rows, columns = weight.shape
    scale = np.empty((-(-rows // block), -(-columns // block)), np.float32)
    wide = np.empty_like(weight)
    for i in range(scale.shape[0]):
        for j in range(scale.shape[1]):
            part = np.s_[i * block : (i + 1) * block, j * block : (j + 1) * block]
            scale[i, j] = wide[part] = np.abs(weight[part]).max() / 448
    return {"weight:fp8": _fp8(weight, wide), "weight_scale_inv": scale}


def read_fp8_blocks(parts: dict[str, Array], block: int = 48) -> Array:
    found = _from_fp8(parts["weight:fp8"])
    for i, row in enumerate(parts["weight_scale_inv"]):
        for j, scale in enumerate(row):
            found[i * block : (i + 1) * block, j * block : (j + 1) * block] *= scale
    return found


def fp8_rows(weight: Array) -> dict[str, Array]:
    scale = (np.abs(weight).max(1, keepdims=True) / 448).astype(np.float32)
    return {"weight:fp8": _fp8(weight, scale), "weight_scale": scale}


def fp8_whole(weight: Array) -> dict[str, Array]:
    scale = np.float32(np.abs(weight).max() / 448)
    scales = {"weight_scale": np.full(1, scale), "input_scale": np.ones(1, np.float32)}
    return {"weight:fp8": _fp8(weight, scale)} | scales


def read_fp8(parts: dict[str, Array]) -> Array:
    return _from_fp8(parts["weight:fp8"]) * parts["weight_scale"]


def mxfp4(weight: Array) -> dict[str, Array]:
    """Of (..., inputs); ``_blocks`` and ``_scales`` without a name before them."""
    parts = weight.reshape(*weight.shape[:-1], -1, 32)
    exponent = np.floor(np.log2(np.abs(parts).max(-1))) - 2
    near = np.abs(parts[..., None] / np.exp2(exponent)[..., None, None] - FP4).argmin(-1)
    pairs = near.reshape(*near.shape[:-1], 16, 2).astype(np.uint8)
    return {
        "_blocks": pairs[..., 0] | pairs[..., 1] << 4,
        "_scales": (exponent + 127).astype(np.uint8),
    }


def read_mxfp4(parts: dict[str, Array]) -> Array:
    blocks = parts["_blocks"]
    found = np.empty((*blocks.shape[:-1], 32), np.float32)
    found[..., 0::2], found[..., 1::2] = FP4[blocks & 15], FP4[blocks >> 4]
    found *= np.exp2(parts["_scales"].astype(np.float32) - 127)[..., None]
    return found.reshape(*blocks.shape[:-2], -1)


def _ct(form: str, kind: str, bits: int, **more: Any) -> dict[str, Any]:
    weights = {"num_bits": bits, "type": kind, **more}
    groups = {"group_0": {"targets": ["Linear"], "weights": weights}}
    return {"quant_method": "compressed-tensors", "format": form, "config_groups": groups}


GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": GROUP}
LAYOUTS: dict[str, tuple[dict[str, Any], Callable[[Array], dict[str, Array]], Any]] = {
    "gptq": (GPTQ, gptq, read_gptq),
    "gptq-act-order": (GPTQ | {"desc_act": True}, lambda w: gptq(w, act_order=True), read_gptq),
    "gptq-symmetric": (GPTQ | {"sym": True}, lambda w: gptq(w, symmetric=True), read_gptq),
    "gptq-v2": (
        GPTQ | {"checkpoint_format": "gptq_v2"},
        lambda w: gptq(w, first_zero=0),
        lambda parts: read_gptq(parts, first_zero=0),
    ),
    "awq": (
        {"quant_method": "awq", "bits": 4, "version": "gemm", "group_size": GROUP},
        awq,
        read_awq,
    ),
    "w4a16": (_ct("pack-quantized", "int", 4), compressed, read_compressed),
    "w4a16-asymmetric": (
        _ct("pack-quantized", "int", 4, symmetric=False),
        lambda w: compressed(w, symmetric=False),
        read_compressed,
    ),
    "w4a16-act-order": (
        _ct("pack-quantized", "int", 4, actorder="group"),
        lambda w: compressed(w, act_order=True),
        read_compressed,
    ),
    "w8a8": (_ct("int-quantized", "int", 8), int8_rows, read_int8),
    "w8a8-fp8": (_ct("float-quantized", "float", 8), fp8_rows, read_fp8),
    "fp8-blocks": (
        {"quant_method": "fp8", "weight_block_size": [48, 48]},
        fp8_blocks,
        read_fp8_blocks,
    ),
    "fp8-whole": ({"quant_method": "fp8", "activation_scheme": "static"}, fp8_whole, read_fp8),
}
"""quantization_config, writer and reader of each layout."""
LABELS = {
    "gptq-act-order": "gptq-act-order-int4",
    "gptq": "gptq-int4",
    "awq": "awq-int4",
    "w4a16-act-order": "compressed-act-order-int4",
    "w4a16": "compressed-int4",
    "w8a8": "compressed-int8",
}
"""What the program calls the layouts that begin so; all others are ``fp8``."""


def label_of(layout: str) -> str:
    """What the program calls a layout."""
    if "fp8" in layout:
        return "fp8"
    return next(label for start, label in LABELS.items() if layout.startswith(start))


def tensor_of(name: str, array: Array) -> tuple[str, torch.Tensor]:
    """A name and a tensor for a file."""
    made = torch.from_numpy(np.ascontiguousarray(array)).reshape(np.shape(array))
    if name.endswith(":fp8"):
        return name.removesuffix(":fp8"), made.view(torch.float8_e4m3fn)
    return name, made


def is_reduced(name: str, tensor: torch.Tensor) -> bool:
    """Whether a quantiser reduces a weight: a matrix of a layer that no router reads."""
    is_matrix = name.endswith(".weight") and tensor.dim() == 2
    kept = ("embed", "lm_head", "wte", ".gate.", "router", "shared_expert_gate")
    return is_matrix and not any(word in name for word in kept)


def reduce_folder(source: Path, target: Path, layout: str) -> dict[str, torch.Tensor]:
    """Write a copy of a checkpoint in a layout; what each tensor is by it, in float32."""
    said, write, read = LAYOUTS[layout]
    target.mkdir(parents=True, exist_ok=True)
    for file in filter(Path.is_file, source.iterdir()):
        if file.suffix != ".safetensors" and not file.name.endswith(".index.json"):
            (target / file.name).write_bytes(file.read_bytes())
    tensors = {n: t for file in source.glob("*.safetensors") for n, t in load_file(file).items()}
    made: dict[str, torch.Tensor] = {}
    wanted: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        if not is_reduced(name, tensor):
            made[name], wanted[name] = tensor, tensor.float()
            continue
        parts = write(tensor.float().numpy())
        wanted[name] = torch.from_numpy(read(parts))
        stem = name.removesuffix("weight")
        made |= dict(tensor_of(stem + part, array) for part, array in parts.items())
    save_file(made, target / "model.safetensors")
    config = json.loads((target / "config.json").read_text())
    (target / "config.json").write_text(json.dumps(config | {"quantization_config": said}))
    return wanted


def reduce_experts(source: Path, target: Path) -> dict[str, torch.Tensor]:
    """Write a copy of a gpt-oss checkpoint as it is published: its experts in MXFP4, the other way
    round than in the whole one; what each tensor is by that, in float32."""
    target.mkdir(parents=True, exist_ok=True)
    for file in filter(Path.is_file, source.iterdir()):
        if file.suffix != ".safetensors":
            (target / file.name).write_bytes(file.read_bytes())
    made: dict[str, torch.Tensor] = {}
    wanted: dict[str, torch.Tensor] = {}
    for name, tensor in load_file(source / "model.safetensors").items():
        if not name.endswith(("experts.gate_up_proj", "experts.down_proj")):
            made[name], wanted[name] = tensor, tensor.float()
            continue
        parts = mxfp4(tensor.float().numpy().swapaxes(1, 2))
        wanted[name] = torch.from_numpy(read_mxfp4(parts)).transpose(1, 2)
        made |= dict(tensor_of(name + part, array) for part, array in parts.items())
    save_file(made, target / "model.safetensors")
    said = {"quantization_config": {"quant_method": "mxfp4", "modules_to_not_convert": []}}
    config = json.loads((target / "config.json").read_text())
    (target / "config.json").write_text(json.dumps(config | said))
    return wanted
