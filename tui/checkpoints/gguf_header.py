"""The header of a GGUF file, read without trusting it.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (versions 2 and 3,
little endian).
"""

import mmap
import struct
from collections import Counter
from dataclasses import dataclass
from enum import IntEnum
from math import prod
from pathlib import Path
from typing import Any

from tui.checkpoints.errors import CheckpointError
from tui.checkpoints.memory_estimate import MemoryShape
from tui.host import foreign_files

_LENGTH = struct.Struct("<Q")
_SCALARS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}
_STRING, _ARRAY = 8, 9
_WORDS = "tokenizer.ggml.tokens"
_NO_WEIGHTS = ("rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight")
_HIGHEST = 1 << 40
_MOST_KEYS, _MOST_TENSORS, _MOST_ITEMS, _LONGEST_STRING = 65_536, 1_000_000, 16_000_000, 1 << 26


class GgmlType(IntEnum):
    """Formats of tensors, by the numbers that stand for them in a file (ggml.h)."""

    F32 = 0
    F16 = 1
    Q4_0 = 2
    Q4_1 = 3
    Q5_0 = 6
    Q5_1 = 7
    Q8_0 = 8
    Q8_1 = 9
    Q2_K = 10
    Q3_K = 11
    Q4_K = 12
    Q5_K = 13
    Q6_K = 14
    Q8_K = 15
    IQ2_XXS = 16
    IQ2_XS = 17
    IQ3_XXS = 18
    IQ1_S = 19
    IQ4_NL = 20
    IQ3_S = 21
    IQ2_S = 22
    IQ4_XS = 23
    I8 = 24
    I16 = 25
    I32 = 26
    I64 = 27
    F64 = 28
    IQ1_M = 29
    BF16 = 30
    TQ1_0 = 34
    TQ2_0 = 35
    MXFP4 = 39
    NVFP4 = 40
    Q1_0 = 41


_BLOCKS = {
    GgmlType.F32: (1, 4),
    GgmlType.F16: (1, 2),
    GgmlType.Q4_0: (32, 18),
    GgmlType.Q4_1: (32, 20),
    GgmlType.Q5_0: (32, 22),
    GgmlType.Q5_1: (32, 24),
    GgmlType.Q8_0: (32, 34),
    GgmlType.Q8_1: (32, 40),
    GgmlType.Q2_K: (256, 84),
    GgmlType.Q3_K: (256, 110),
    GgmlType.Q4_K: (256, 144),
    GgmlType.Q5_K: (256, 176),
    GgmlType.Q6_K: (256, 210),
    GgmlType.Q8_K: (256, 292),
    GgmlType.IQ2_XXS: (256, 66),
    GgmlType.IQ2_XS: (256, 74),
    GgmlType.IQ3_XXS: (256, 98),
    GgmlType.IQ1_S: (256, 50),
    GgmlType.IQ4_NL: (32, 18),
    GgmlType.IQ3_S: (256, 110),
    GgmlType.IQ2_S: (256, 82),
    GgmlType.IQ4_XS: (256, 136),
    GgmlType.I8: (1, 1),
    GgmlType.I16: (1, 2),
    GgmlType.I32: (1, 4),
    GgmlType.I64: (1, 8),
    GgmlType.F64: (1, 8),
    GgmlType.IQ1_M: (256, 56),
    GgmlType.BF16: (1, 2),
    GgmlType.TQ1_0: (256, 54),
    GgmlType.TQ2_0: (256, 66),
    GgmlType.MXFP4: (32, 17),
    GgmlType.NVFP4: (64, 36),
    GgmlType.Q1_0: (128, 18),
}
"""Values of a block, and its bytes."""
_FILE_TYPES = {
    0: "F32",
    1: "F16",
    2: "Q4_0",
    3: "Q4_1",
    7: "Q8_0",
    8: "Q5_0",
    9: "Q5_1",
    10: "Q2_K",
    11: "Q3_K_S",
    12: "Q3_K_M",
    13: "Q3_K_L",
    14: "Q4_K_S",
    15: "Q4_K_M",
    16: "Q5_K_S",
    17: "Q5_K_M",
    18: "Q6_K",
    19: "IQ2_XXS",
    20: "IQ2_XS",
    21: "Q2_K_S",
    22: "IQ3_XS",
    23: "IQ3_XXS",
    24: "IQ1_S",
    25: "IQ4_NL",
    26: "IQ3_S",
    27: "IQ3_M",
    28: "IQ2_S",
    29: "IQ2_M",
    30: "IQ4_XS",
    31: "IQ1_M",
    32: "BF16",
    36: "TQ1_0",
    37: "TQ2_0",
    38: "MXFP4_MOE",
    39: "NVFP4",
    40: "Q1_0",
    1024: "GUESSED",
}
"""``general.file_type`` (llama.h): what a file calls its mixture of formats."""


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """Where a tensor lies. ``shape`` in the order of torch (slowest first), bytes."""

    name: str
    shape: tuple[int, ...]
    type: GgmlType
    start: int
    size: int

    @property
    def elements(self) -> int:
        """How many values it holds."""
        return prod(self.shape)


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """``metadata`` holds numbers, strings and arrays of numbers; of an array of strings
    only how many there are, unless its words were asked for."""

    metadata: dict[str, Any]
    tensors: tuple[GgufTensor, ...]

    @property
    def architecture(self) -> str:
        """``general.architecture``, such as ``llama``."""
        return str(self.metadata.get("general.architecture", ""))

    @property
    def parameters(self) -> int:
        """How many numbers the weights have; tied ones are in the file once."""
        return sum(one.elements for one in self.tensors if one.name not in _NO_WEIGHTS)

    @property
    def context(self) -> int:
        """Tokens of prompt and answer together; 0 where the file does not tell."""
        return self.number("context_length")

    @property
    def stored(self) -> str:
        """The file's own word for its mixture of formats, else the format of most values."""
        told = self.metadata.get("general.file_type")
        if isinstance(told, int) and told in _FILE_TYPES:
            return _FILE_TYPES[told]
        sizes: Counter[str] = Counter()
        for tensor in self.tensors:
            sizes[tensor.type.name] += tensor.elements
        return sizes.most_common(1)[0][0] if sizes else ""

    @property
    def mixture(self) -> str:
        """How many tensors are in which format, such as ``Q4_K 169, Q6_K 29``."""
        counted = Counter(tensor.type.name for tensor in self.tensors)
        return ", ".join(f"{name} {count}" for name, count in counted.most_common())

    @property
    def shape(self) -> MemoryShape:
        """What memory depends on; zeros where the file does not tell."""
        hidden, heads = self.number("embedding_length"), self.number("attention.head_count")
        words = self.metadata.get(_WORDS, 0)
        return MemoryShape(
            layers=self.number("block_count"),
            kv_heads=self.number("attention.head_count_kv") or heads,
            head_dim=self.number("attention.key_length") or (hidden // heads if heads else 0),
            hidden=hidden,
            width=self.number("feed_forward_length"),
            vocab=words if isinstance(words, int) else len(words),
            tied=all(tensor.name != "output.weight" for tensor in self.tensors),
            file_bytes=sum(tensor.size for tensor in self.tensors),
        )

    def number(self, key: str) -> int:
        """A positive whole number of the architecture; the highest of a list, one for each layer;
        0 where there is none."""
        told = self.metadata.get(f"{self.architecture}.{key}")
        most = max((n for n in told if type(n) is int), default=0) if type(told) is list else told
        return most if type(most) is int and 0 < most < _HIGHEST else 0


def read_header(path: Path, words: bool = False) -> GgufHeader:
    """The header of the file, with ``words`` the vocabulary's too; every tensor it tells of lies
    within the file.

    Raises:
        CheckpointError: ``not_found``, ``damaged`` or ``unsupported``.
    """
    try:
        with foreign_files.open_binary(path) as file:
            blob = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError:
        raise CheckpointError("not_found", f"there is no file {path}") from None
    except (OSError, ValueError) as error:
        raise _damaged(path, f"cannot be read: {error}") from None
    try:
        with blob:
            return _Reader(blob, words).header()
    except CheckpointError as error:
        raise CheckpointError(
            error.cause, f"{path.name} {error.message}", error.next_step
        ) from None
    except (struct.error, ValueError, IndexError, KeyError, OverflowError) as error:
        raise _damaged(path, f"is not a whole GGUF file ({error})") from None


def _damaged(path: Path, what: str) -> CheckpointError:
    return CheckpointError("damaged", f"{path.name} {what}", "download the file again")


class _Reader:
    def __init__(self, blob: Any, words: bool) -> None:
        self._blob, self._words = blob, words
        self._at = 0

    def header(self) -> GgufHeader:
        if bytes(self._blob[:4]) != b"GGUF":
            raise ValueError("it does not begin with GGUF")
        self._at = 4
        version, tensors, keys = self._unpack("<IQQ")
        if version not in (2, 3):
            raise CheckpointError("unsupported", f"is GGUF version {version}, not 2 or 3")
        if keys > _MOST_KEYS or tensors > _MOST_TENSORS:
            raise ValueError(f"{keys} keys, {tensors} tensors")
        metadata = {}
        for _ in range(keys):
            key = self._string()
            metadata[key] = self._value(self._unpack("<I")[0], self._words and key == _WORDS)
        if int(metadata.get("split.count", 0)) > 1:
            raise CheckpointError(
                "unsupported",
                "is one part of a split model",
                "join the parts with llama.cpp's llama-gguf-split --merge",
            )
        found = [self._tensor() for _ in range(tensors)]
        alignment = int(metadata.get("general.alignment", 32))
        if not 0 < alignment <= 1 << 20:
            raise ValueError(f"alignment {alignment}")
        base = -(-self._at // alignment) * alignment
        return GgufHeader(metadata, tuple(self._placed(tensor, base) for tensor in found))

    def _unpack(self, form: str) -> tuple[Any, ...]:
        values = struct.unpack_from(form, self._blob, self._at)
        self._at += struct.calcsize(form)
        return values

    def _string(self) -> str:
        (length,) = self._unpack("<Q")
        if length > _LONGEST_STRING or self._at + length > len(self._blob):
            raise ValueError(f"a string of {length} bytes")
        raw = bytes(self._blob[self._at : self._at + length])
        self._at += length
        return raw.decode("utf-8", "replace")

    def _value(self, kind: int, keep_strings: bool) -> Any:
        if kind in _SCALARS:
            return self._unpack("<" + _SCALARS[kind])[0]
        if kind == _STRING:
            return self._string()
        if kind != _ARRAY:
            raise ValueError(f"a value of type {kind}")
        item, count = self._unpack("<IQ")
        if count > _MOST_ITEMS:
            raise ValueError(f"an array of {count} items")
        if item in _SCALARS:
            return list(self._unpack(f"<{count}{_SCALARS[item]}"))
        if item != _STRING:
            raise ValueError(f"an array of type {item}")
        if keep_strings:
            return [self._string() for _ in range(count)]
        at, end, blob, length_at = self._at, len(self._blob), self._blob, _LENGTH.unpack_from
        for _ in range(count):
            at += 8 + length_at(blob, at)[0]
            if at > end:
                raise ValueError("a string that ends behind the file")
        self._at = at
        return count

    def _tensor(self) -> tuple[str, tuple[int, ...], int, int]:
        name = self._string()
        (dimensions,) = self._unpack("<I")
        if dimensions > 8:
            raise ValueError(f"a tensor of {dimensions} dimensions")
        # ggml writes the fastest dimension first, torch the slowest.
        shape = tuple(reversed(self._unpack(f"<{dimensions}Q")))
        kind, offset = self._unpack("<IQ")
        return name, shape, kind, offset

    def _placed(self, tensor: tuple[str, tuple[int, ...], int, int], base: int) -> GgufTensor:
        name, shape, number, offset = tensor
        try:
            kind = GgmlType(number)
        except ValueError:
            raise CheckpointError(
                "unsupported", f"holds {name} in the unknown format {number}"
            ) from None
        block, block_bytes = _BLOCKS[kind]
        if not shape or 0 in shape or shape[-1] % block:
            raise ValueError(f"{name} has the shape {shape}")
        made = GgufTensor(name, shape, kind, base + offset, prod(shape) // block * block_bytes)
        if made.start + made.size > len(self._blob):
            raise ValueError(f"it ends before {name} does")
        return made
