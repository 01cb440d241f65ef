"""The header of a GGUF file, read without trusting it.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (versions 2 and 3,
little endian).
"""

import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

from tui.checkpoints.errors import CheckpointError

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
_MOST_KEYS, _MOST_TENSORS, _MOST_ITEMS, _LONGEST_STRING = 65_536, 1_000_000, 16_000_000, 1 << 26


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """Where a tensor lies. ``shape`` in the order of torch (slowest first), bytes."""

    name: str
    shape: tuple[int, ...]
    type: GGMLQuantizationType
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


def read_header(path: Path, words: bool = False) -> GgufHeader:
    """The header of the file, with ``words`` the vocabulary's too; every tensor it tells of lies
    within the file.

    Raises:
        CheckpointError: ``not_found``, ``damaged`` or ``unsupported``.
    """
    try:
        blob = np.memmap(path, mode="r", dtype=np.uint8)
    except FileNotFoundError:
        raise CheckpointError("not_found", f"there is no file {path}") from None
    except (OSError, ValueError) as error:
        raise _damaged(path, f"cannot be read: {error}") from None
    try:
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
        for _ in range(count):
            (length,) = self._unpack("<Q")
            self._at += length
            if self._at > len(self._blob):
                raise ValueError(f"a string of {length} bytes")
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
            kind = GGMLQuantizationType(number)
        except ValueError:
            raise CheckpointError(
                "unsupported", f"holds {name} in the unknown format {number}"
            ) from None
        block, block_bytes = GGML_QUANT_SIZES[kind]
        if not shape or 0 in shape or shape[-1] % block:
            raise ValueError(f"{name} has the shape {shape}")
        made = GgufTensor(name, shape, kind, base + offset, prod(shape) // block * block_bytes)
        if made.start + made.size > len(self._blob):
            raise ValueError(f"it ends before {name} does")
        return made
