"""What C and Python must agree on: the constants of ``duibi.h``, read from it, its structures
and its prototypes for ctypes."""

import ctypes
import functools
import re
from pathlib import Path
from typing import Any, ClassVar

import torch

_HEADER = Path(__file__).with_name("duibi.h")
_DEFINE = re.compile(r"^#define DUIBI_(\w+) (\d+)$", re.MULTILINE)

DTYPE_CODES = {torch.float32: 0, torch.bfloat16: 1}
"""``duibi_dtype`` of the dtypes that the kernels take."""

_POINTER, _INT, _FLOAT = ctypes.c_void_p, ctypes.c_int64, ctypes.c_float
Fields = list[tuple[str, Any]]


@functools.cache
def _constants() -> dict[str, int]:
    return {name: int(value) for name, value in _DEFINE.findall(_HEADER.read_text())}


def constant(name: str) -> int:
    """The value of ``DUIBI_name``."""
    return _constants()[name]


def _fields(names: str, kind: Any) -> Fields:
    return [(name, kind) for name in names.split()]


class Bf16Matrix(ctypes.Structure):
    """``duibi_bf16_matrix``: addresses of weight and bias, and the number of outputs."""

    _fields_: ClassVar[Fields] = [("outputs", _INT), *_fields("weight bias", _POINTER)]


class RopeArgs(ctypes.Structure):
    """``duibi_rope_args``."""

    _fields_: ClassVar[Fields] = [
        *_fields("qkv cosine sine query_norm key_norm query keys values", _POINTER),
        *_fields("batch new_tokens heads kv_heads head_dim", _INT),
        *_fields("position_stride buffered capacity", _INT),
        ("eps", _FLOAT),
        ("dtype", ctypes.c_int32),
    ]


class AttentionArgs(ctypes.Structure):
    """``duibi_attention_args``."""

    _fields_: ClassVar[Fields] = [
        *_fields("query keys values buffer_keys buffer_values mask out", _POINTER),
        *_fields("batch new_tokens heads kv_heads head_dim tokens buffered capacity", _INT),
        ("scale", _FLOAT),
        ("dtype", ctypes.c_int32),
    ]


class Linear(ctypes.Structure):
    """``duibi_linear``."""

    _fields_: ClassVar[Fields] = [
        *_fields("inputs outputs", _INT),
        *_fields("matrices tiles scale bias", _POINTER),
        *_fields("bits count", ctypes.c_int32),
    ]


class Router(ctypes.Structure):
    """``duibi_router``."""

    _fields_: ClassVar[Fields] = [
        ("gate", Bf16Matrix),
        *_fields("inputs each", _INT),
        *_fields("is_normalised is_rounded dtype", ctypes.c_int32),
    ]


class DecoderLayer(ctypes.Structure):
    """``duibi_decoder_layer``."""

    _fields_: ClassVar[Fields] = [
        *_fields("qkv o gate_up down", Linear),
        *_fields("router experts input_norm post_attention_norm query_norm key_norm", _POINTER),
        *_fields("heads kv_heads head_dim", _INT),
        *_fields("input_eps post_attention_eps query_eps scale", _FLOAT),
        ("dtype", ctypes.c_int32),
    ]


class Step(ctypes.Structure):
    """``duibi_step``."""

    _fields_: ClassVar[Fields] = [
        *_fields("x y normed cosine sine keys values buffer_keys buffer_values mask", _POINTER),
        *_fields("batch new_tokens position_stride tokens buffered capacity", _INT),
    ]


class ExpertLayers(ctypes.Structure):
    """``duibi_experts``."""

    _fields_: ClassVar[Fields] = [
        *_fields("up down", _POINTER),
        ("count", _INT),
        ("dtype", ctypes.c_int32),
    ]


_STRUCTURES: tuple[type[ctypes.Structure], ...] = (
    Bf16Matrix,
    RopeArgs,
    AttentionArgs,
    DecoderLayer,
    Step,
    ExpertLayers,
    Router,
)
"""In the order of ``duibi_struct_size``."""

_DTYPE = ctypes.c_int
_SIGNATURES: dict[str, tuple[list[Any], Any]] = {
    "duibi_linear_quantised": (
        [ctypes.c_int, _POINTER, *[_INT] * 3, *[_POINTER] * 4],
        ctypes.c_int,
    ),
    "duibi_pack_quantised": (
        [ctypes.c_int, *[_POINTER] * 2, *[_INT] * 2, *[_POINTER] * 2],
        None,
    ),
    "duibi_linear_bf16": ([_POINTER, _INT, _INT, _POINTER, _INT, _POINTER], ctypes.c_int),
    "duibi_rms_norm": ([_POINTER, _INT, _INT, _POINTER, _FLOAT, _POINTER, _DTYPE], None),
    "duibi_swiglu": ([_POINTER, _INT, _INT, _POINTER, _DTYPE], None),
    "duibi_qkv_rope": ([_POINTER], None),
    "duibi_attention": ([_POINTER], ctypes.c_int),
    "duibi_router_forward": ([*[_POINTER] * 2, _INT, *[_POINTER] * 3], ctypes.c_int),
    "duibi_decoder_layer_forward": ([_POINTER, _POINTER], ctypes.c_int),
    "duibi_experts_forward": ([*[_POINTER] * 2, *[_INT] * 2, *[_POINTER] * 3], ctypes.c_int),
    "duibi_struct_size": ([ctypes.c_int], ctypes.c_size_t),
}


def declare(library: Any) -> None:
    """Tell ctypes the prototypes of a compiled library.

    Raises:
        ValueError: a structure has another size in C than here.
    """
    for name, (arguments, result) in _SIGNATURES.items():
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, result
    for number, structure in enumerate(_STRUCTURES):
        if (size := library.duibi_struct_size(number)) != ctypes.sizeof(structure):
            raise ValueError(f"{structure.__name__} has {size} bytes in C")
