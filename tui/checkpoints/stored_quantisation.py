"""Checkpoints whose files hold reduced weights: which of the published layouts, read from
config.json, and which stored tensors together are one weight.

Layouts, each of a matrix (outputs, inputs):

* GPTQ (AutoGPTQ, GPTQModel): ``qweight`` int32 (inputs / n, outputs), ``scales`` (groups,
  outputs), ``qzeros`` int32 (groups, outputs / n), ``g_idx`` the group of each input.
* AWQ (AutoAWQ, version gemm): ``qweight`` int32 (inputs, outputs / 8), ``qzeros`` and ``scales``
  likewise; the eight of a word in the order 0 2 4 6 1 3 5 7.
* compressed-tensors: ``weight_packed`` int32 (outputs, inputs / n) with ``weight_scale`` and
  ``weight_shape``, or ``weight`` of 8 bits with ``weight_scale``.
* FP8: ``weight`` with ``weight_scale_inv`` for each block of 128 x 128, or ``weight_scale`` for
  each row or the whole.
* MXFP4 (Open Compute Project, Microscaling Formats 1.0): ``NAME_blocks`` (..., groups, 16) with
  two values a byte, ``NAME_scales`` (..., groups) as exponents.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from tui.checkpoints.errors import CheckpointError
from tui.checkpoints.weight_headers import TensorHeader

_SUPPORTED = (
    "FP8, AWQ, GPTQ, compressed-tensors and MXFP4 are read; use one of these or the original"
)
_WORD_BITS = 32
_WHOLE_BITS = 16
"""What is said of layers that are not reduced."""
_LARGEST_BLOCK = 1 << 20
_MXFP4_GROUP = 32
SCALED_DTYPES = ("F8_E4M3", "F8_E5M2", "I8")
"""What a weight that has a scale of its own is stored as."""
_UNUSED = (
    ".input_scale", ".input_zero_point", ".output_scale", ".k_scale", ".v_scale", ".q_scale",
    ".prob_scale", ".activation_scale",
)  # fmt: skip
"""Ends of the names of scales that belong to reduced activations or caches: not used here."""
_WORDS = {".qweight": "codes", ".qzeros": "zeros", ".scales": "scales", ".g_idx": "groups"}
_PARTS: dict[str, dict[str, str]] = {
    "gptq": _WORDS,
    "awq": _WORDS,
    "compressed-tensors": {
        ".weight_packed": "codes",
        ".weight_scale": "scales",
        ".weight_zero_point": "zeros",
        ".weight_g_idx": "groups",
        ".weight_shape": "shape",
    },
    "fp8": {"_scale_inv": "scales", "_scale": "scales"},
    "mxfp4": {"_blocks": "codes", "_scales": "scales"},
}
"""Ends of the names of stored tensors by layout, and which part of a weight each is."""
_LABELS = {"compressed-tensors": "compressed"}


@dataclass(frozen=True, slots=True)
class StoredQuantisation:
    """How a checkpoint's files hold its reduced weights.

    ``method`` is ``gptq``, ``awq``, ``compressed-tensors``, ``fp8`` or ``mxfp4``; ``bits`` those
    of a weight. ``block`` are the rows and columns of a matrix that share a scale where it is
    scaled by blocks. ``group`` are the inputs that share a scale, 0 where config.json tells none:
    all of a row, or blocks. ``zeros_start_at_one``: a stored zero point is one less than it means
    (GPTQ's first version). ``has_order``: inputs that share a scale do not lie side by side.
    """

    method: str
    bits: int
    block: tuple[int, int] = (128, 128)
    zeros_start_at_one: bool = False
    has_order: bool = False
    group: int = 0

    @property
    def label(self) -> str:
        """What it is called beside ``bf16``: ``gptq-int4``, ``fp8``, ``mxfp4`` ..."""
        if self.method in ("fp8", "mxfp4"):
            return self.method
        order = "-act-order" if self.has_order else ""
        return f"{_LABELS.get(self.method, self.method)}{order}-int{self.bits}"

    def part_of(self, name: str) -> tuple[str, str] | None:
        """The weight that a stored tensor is a part of, and which part; None for a whole one."""
        for end, part in _PARTS[self.method].items():
            if name.endswith(end):
                whole = name.removesuffix(end)
                return (whole if end.startswith("_") else f"{whole}.weight"), part
        return None


def has_levels(label: str) -> bool:
    """Whether int4 holds weights of 4 bits as they are stored, by their ``label``: of equal steps,
    in groups of neighbours."""
    return stored_bits(label) == 4 and label != "mxfp4" and "act-order" not in label


def stored_bits(label: str) -> int:
    """The bits of a weight by the ``label`` of its files; 16 or more where they are not reduced."""
    if label in ("mxfp4", "fp8"):
        return 4 if label == "mxfp4" else 8
    end = label.rpartition("-int")[2]
    return int(end) if "-int" in label and end.isdigit() else 16


def read_quantisation(config: Mapping[str, Any]) -> StoredQuantisation | None:
    """What a config.json says of its files' quantisation; None where they are not quantised.

    Raises:
        CheckpointError: a kind that is not read (``unsupported``), by its name.
    """
    inner = config.get("text_config")
    places = [config, inner] if isinstance(inner, dict) else [config]
    keys = ("quantization_config", "compression_config", "quantization", "quip_params")
    said = next((place[key] for place in places for key in keys if place.get(key)), None)
    if said is None:
        return None
    if not isinstance(said, dict):
        raise CheckpointError("damaged", "config.json: quantization_config is no object")
    method = str(said.get("quant_method") or _method_without_name(said))
    reader = _READERS.get(method.lower())
    if reader is None:
        raise _unread(method)
    return reader(said)


_OWN_SETTINGS = {
    ("load_in_4bit", "load_in_8bit", "bnb_4bit_quant_type"): "bitsandbytes",
    ("config_groups",): "compressed-tensors",
    ("codebook", "codesz"): "QuIP#",
    ("w_bit", "q_group_size"): "awq",
    ("desc_act",): "gptq",
    ("bits", "group_size"): "MLX",
}
"""Settings of methods that are given without a name."""


def _method_without_name(said: Mapping[str, Any]) -> str:
    """The method by what only its own settings name."""
    for keys, method in _OWN_SETTINGS.items():
        if any(said.get(key) is not None for key in keys):
            return method
    return "?"


def _unread(what: str) -> CheckpointError:
    return CheckpointError(
        "unsupported", f"quantised by {what[:60]}, which is not read", _SUPPORTED
    )


def _bits(said: Mapping[str, Any], method: str, known: Sequence[int]) -> int:
    bits = said.get("bits", said.get("w_bit", 4))
    if bits not in known:
        raise _unread(f"{method} with {str(bits)[:10]} bits")
    # GPTQModel's rules by patterns ("-:" leaves layers whole), AutoRound's by names.
    rules = [*_rules(said, "dynamic"), *_rules(said, "extra_config")]
    for name, rule in rules:
        other = rule.get("bits", bits) if isinstance(rule, dict) else bits
        if not name.startswith("-") and other not in (bits, _WHOLE_BITS):
            raise _unread(f"{method} with {bits} and {str(other)[:10]} bits")
    return int(bits)


def _rules(said: Mapping[str, Any], key: str) -> list[tuple[str, Any]]:
    """What is said of some layers only."""
    found = said.get(key)
    return [(str(name), rule) for name, rule in found.items()] if isinstance(found, dict) else []


def _group(said: Mapping[str, Any]) -> int:
    """The inputs that share a scale; 0 where all of a row do."""
    value = said.get("group_size", said.get("q_group_size"))
    if value in (None, -1):
        return 0
    if type(value) is not int or not 0 < value <= _LARGEST_BLOCK:
        raise CheckpointError("damaged", f"config.json: group_size cannot be {str(value)[:40]}")
    return int(value)


def _gptq(said: Mapping[str, Any]) -> StoredQuantisation:
    form = str(said.get("checkpoint_format") or "gptq").lower()
    if form not in ("gptq", "gptq_v2"):
        raise _unread(f"gptq in the format {form}")
    return StoredQuantisation(
        "gptq",
        _bits(said, "gptq", (2, 4, 8)),
        zeros_start_at_one=form == "gptq",
        has_order=bool(said.get("desc_act")),
        group=_group(said),
    )


def _awq(said: Mapping[str, Any]) -> StoredQuantisation:
    version = str(said.get("version") or "gemm").lower()
    if version != "gemm":
        raise _unread(f"awq in the format {version}")
    return StoredQuantisation("awq", _bits(said, "awq", (4,)), group=_group(said))


def _auto_round(said: Mapping[str, Any]) -> StoredQuantisation:
    packing = str(said.get("packing_format") or said.get("backend") or "?").lower()
    if "awq" in packing:
        return _awq(said)
    if "gptq" in packing:
        return _gptq(said)
    raise _unread(f"auto-round in the format {packing}")


def _compressed(said: Mapping[str, Any]) -> StoredQuantisation:
    groups = said.get("config_groups")
    if not isinstance(groups, dict) or not groups:
        raise CheckpointError("damaged", "config.json: compressed-tensors without config_groups")
    sparse = said.get("sparsity_config") or {}
    if isinstance(sparse, dict) and sparse.get("format", "dense") != "dense":
        raise _unread(f"compressed-tensors with sparse weights ({sparse['format']})")
    if said.get("transform_config"):
        raise _unread("compressed-tensors with transformed weights")
    kinds, has_order, inputs = set(), False, 0
    for group in groups.values():
        weights = group.get("weights") if isinstance(group, dict) else None
        if not isinstance(weights, dict):
            raise _unread("compressed-tensors without reduced weights")
        form = str(group.get("format") or said.get("format") or "?")
        kind, bits = str(weights.get("type", "int")), weights.get("num_bits", 8)
        has_order |= weights.get("actorder") in ("group", True)
        if type(bits) is not int:
            raise CheckpointError("damaged", "config.json: num_bits is no number")
        kinds.add((form, kind, bits, _block(weights, "block_structure")))
        inputs = max(inputs, _group(weights))
    if len(kinds) > 1:
        raise _unread("compressed-tensors in several formats at once")
    form, kind, bits, block = kinds.pop()
    if form == "pack-quantized" and kind == "int" and bits in (4, 8):
        return StoredQuantisation("compressed-tensors", bits, has_order=has_order, group=inputs)
    if form in ("int-quantized", "float-quantized", "naive-quantized") and bits == 8:
        if kind == "int":
            return StoredQuantisation("compressed-tensors", 8)
        return StoredQuantisation("fp8", 8, block)
    raise _unread(f"compressed-tensors in the format {form} ({kind}{bits})")


def _fp8(said: Mapping[str, Any]) -> StoredQuantisation:
    block = _block(said, "weight_block_size")
    return StoredQuantisation(
        "fp8", 8, block, group=block[1] if said.get("weight_block_size") else 0
    )


def _block(said: Mapping[str, Any], key: str) -> tuple[int, int]:
    """The rows and columns that share a scale."""
    match said.get(key) or [128, 128]:
        case [rows, columns] if all(
            type(n) is int and 0 < n <= _LARGEST_BLOCK for n in (rows, columns)
        ):
            return rows, columns
    raise CheckpointError("damaged", f"config.json: {key} is no pair of sizes")


def _modelopt(said: Mapping[str, Any]) -> StoredQuantisation:
    kind = str(said.get("quant_algo") or "?")
    if kind.upper() != "FP8":
        raise _unread(f"modelopt in the format {kind}")
    return StoredQuantisation("fp8", 8)


_READERS: dict[str, Callable[[Mapping[str, Any]], StoredQuantisation]] = {
    "gptq": _gptq,
    "awq": _awq,
    "auto-round": _auto_round,
    "compressed-tensors": _compressed,
    "fp8": _fp8,
    "fbgemm_fp8": _fp8,
    "modelopt": _modelopt,
    "mxfp4": lambda said: StoredQuantisation("mxfp4", 4, group=_MXFP4_GROUP),
}


def is_unused(name: str) -> bool:
    """Whether a stored tensor only serves reduced activations or a reduced cache."""
    return name.endswith(_UNUSED)


def weights_of_parts(
    tensors: Iterable[TensorHeader], stored: StoredQuantisation | None
) -> list[TensorHeader]:
    """The weights that stored tensors are or are parts of: each under its own name, with the
    shape it has, the bytes of all of its parts, and `StoredQuantisation.label` as dtype.

    Raises:
        CheckpointError: a weight that lacks a part.
    """
    if stored is None:
        return list(tensors)
    parts: dict[str, dict[str, TensorHeader]] = {}
    whole: dict[str, TensorHeader] = {}
    for tensor in tensors:
        if is_unused(tensor.name):
            continue
        if belongs := stored.part_of(tensor.name):
            parts.setdefault(belongs[0], {})[belongs[1]] = tensor
        else:
            whole[tensor.name] = tensor
    for name, tensor in list(whole.items()):
        # A weight of 8 bits is a part itself; one without a scale is what it says.
        if tensor.dtype in SCALED_DTYPES:
            parts.setdefault(name, {})["codes"] = tensor
    if stored.method == "fp8":
        # Not all that ends like a scale is one.
        for name in [name for name, some in parts.items() if "codes" not in some]:
            whole |= {part.name: part for part in parts.pop(name).values()}
    found = [tensor for name, tensor in whole.items() if name not in parts]
    has_scales = any("scales" in some for some in parts.values())
    for name, some in parts.items():
        # In a file that scales none of them, values of 8 bits are what they say.
        is_whole = "codes" in some and some["codes"].dtype.startswith("F8") and not has_scales
        if "codes" not in some or not ("scales" in some or is_whole):
            lacking = "scales" if "codes" in some else "values"
            raise CheckpointError(
                "damaged", f"{name} has no {lacking}", "fetch the weight files again"
            )
        codes = some["codes"]
        found.append(
            TensorHeader(
                name,
                stored.label,
                _shape(codes.shape, stored, codes.dtype),
                codes.file,
                sum(part.nbytes for part in some.values()),
            )
        )
    return found


def _shape(shape: tuple[int, ...], stored: StoredQuantisation, dtype: str) -> tuple[int, ...]:
    """The shape of a weight by that of its values. Of packed ones, whose last word may not be
    full, the inputs may be a few too many."""
    each = _WORD_BITS // stored.bits
    if stored.method == "mxfp4":
        return (*shape[:-2], prod(shape[-2:]) * 2)
    if dtype in SCALED_DTYPES or len(shape) != 2:
        return shape
    if stored.method == "gptq":
        return shape[1], shape[0] * each
    return (shape[1] * each, shape[0]) if stored.method == "awq" else (shape[0], shape[1] * each)
