"""The header of a GGUF file, read without trusting it.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (versions 2 and 3,
little endian).
"""

import mmap
import re
import struct
from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from math import prod
from pathlib import Path
from typing import Any

from tui.checkpoints import gguf_parts, tied_head
from tui.checkpoints.errors import CheckpointError
from tui.checkpoints.ggml_types import BLOCKS, FILE_TYPES, GgmlType
from tui.checkpoints.memory_estimate import BYTES_PER_WEIGHT, MemoryShape
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
HEAD, EMBEDDINGS = "output.weight", "token_embd.weight"
_NO_WEIGHTS = ("rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight")
_REPACKED = (GgmlType.Q4_0, GgmlType.Q4_K, GgmlType.IQ4_NL)
"""What llama.cpp holds a second time on a CPU of our kind, its rows interleaved."""
_HIGHEST = 1 << 40
_BITS = re.compile(r"\d+")
"""In the name of a format."""
_K_TYPE = "_K"
"""In the names of formats that llama.cpp calls k-quants, and of mixtures of them."""
_SPARE_BYTES = 64 << 20
_MOST_KEPT = 4096
"""Numbers of an array that are kept where nobody asked for the vocabulary, to which all longer ones
belong."""
_MOST_KEYS, _MOST_TENSORS, _MOST_ITEMS, _MOST_TEXT = 65_536, 1_000_000, 16_000_000, 1 << 26
"""Of a whole header: a file with holes may be as long as it likes, and tells of as many items as
it has zeros. ``_MOST_TEXT`` are bytes."""


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """Where a tensor lies. ``shape`` in the order of torch (slowest first), bytes; ``part``: in
    which of the model's files."""

    name: str
    shape: tuple[int, ...]
    type: GgmlType
    start: int
    size: int
    part: int = 0

    @property
    def elements(self) -> int:
        """How many values it holds."""
        return prod(self.shape)


@dataclass(frozen=True)
class GgufHeader:
    """``metadata`` holds numbers, strings and arrays of numbers; of an array of strings, and of a
    long one of numbers, only how many there are, unless the words were asked for. ``files`` are
    all parts of the model."""

    metadata: dict[str, Any]
    tensors: tuple[GgufTensor, ...]
    files: tuple[Path, ...] = ()

    @cached_property
    def is_tied(self) -> bool:
        """Whether the output head is the embeddings, also where the file holds both: then some of
        their rows are compared."""
        tables = {one.name: one for one in self.tensors if one.name in (HEAD, EMBEDDINGS)}
        head, embeddings = tables.get(HEAD), tables.get(EMBEDDINGS)
        if head is None or embeddings is None:
            return head is None
        if head.shape != embeddings.shape or len(head.shape) != 2:
            return False
        rows, width = head.shape
        first, second = (
            tied_head.Table(self.files[one.part], one.type, one.start, width)
            for one in (head, embeddings)
        )
        try:
            return tied_head.is_repeated(rows, first, second)
        except OSError:
            return False  # it is gone meanwhile

    @property
    def architecture(self) -> str:
        """``general.architecture``, such as ``llama``."""
        return self.text("general.architecture")

    @property
    def parameters(self) -> int:
        """How many numbers the weights have, tied ones once."""
        left_out = (*_NO_WEIGHTS, HEAD) if self.is_tied else _NO_WEIGHTS
        return sum(one.elements for one in self.tensors if one.name not in left_out)

    @property
    def bytes_per_token(self) -> int:
        """Bytes of the weights that a step reads: all but an embedding that is not the head."""
        has_head = any(one.name == HEAD for one in self.tensors)
        left_out = (*_NO_WEIGHTS, EMBEDDINGS) if has_head else _NO_WEIGHTS
        return sum(one.size for one in self.tensors if one.name not in left_out)

    @property
    def template(self) -> str:
        """The Jinja source of its chat template; empty where there is none."""
        told = self.metadata.get("tokenizer.chat_template")
        return told if isinstance(told, str) and told.strip() else ""

    def text(self, key: str) -> str:
        """A text of the metadata; empty where there is none."""
        told = self.metadata.get(key)
        return told if isinstance(told, str) else ""

    @property
    def context(self) -> int:
        """Tokens of prompt and answer together; 0 where the file does not tell."""
        return self.number("context_length")

    @property
    def stored(self) -> str:
        """The file's own word for its mixture of formats, else the format of most values."""
        told = self.metadata.get("general.file_type")
        if isinstance(told, int) and told in FILE_TYPES:
            return FILE_TYPES[told]
        sizes: Counter[str] = Counter()
        for tensor in self.tensors:
            sizes[tensor.type.name] += tensor.elements
        return sizes.most_common(1)[0][0] if sizes else ""

    @property
    def name_remark(self) -> str:
        """A line where the file's name promises other bits than its header tells of, or further
        parts; else empty. Mixtures of as many bits have several names for one thing."""
        parts = len(gguf_parts.all_parts(self.files[0])) if self.files else 1
        if parts != len(self.files) and parts > 1:
            return f"the name of the file says one of {parts} parts, but it is a whole model"
        named = gguf_parts.quantisation_in_name(self.files[0]) if self.files else ""
        bits, stored = _BITS.search(named), _BITS.search(self.stored)
        if bits is None or stored is None:
            return ""
        lacks_k = _K_TYPE in named.upper() and _K_TYPE not in self.mixture
        if bits[0] == stored[0] and not lacks_k:
            return ""
        return f"the name of the file says {named}, its header {self.stored}"

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
            tied=self.is_tied,
            file_bytes=sum(tensor.size for tensor in self.tensors),
            repacked_bytes=sum(
                one.size for one in self.tensors if one.type in _REPACKED and one.name != EMBEDDINGS
            ),
        )

    def number_of(self, key: str) -> int:
        """A positive whole number of the metadata; 0 where there is none."""
        told = self.metadata.get(key)
        return told if type(told) is int and 0 < told < _HIGHEST else 0

    def number(self, key: str) -> int:
        """A positive whole number of the architecture; the highest of a list, one for each layer;
        0 where there is none."""
        told = self.metadata.get(f"{self.architecture}.{key}")
        most = max((n for n in told if type(n) is int), default=0) if type(told) is list else told
        return most if type(most) is int and 0 < most < _HIGHEST else 0


def conversion_bytes(header: GgufHeader, dtype: str) -> int:
    """Bytes on the disk that a copy takes with its quantised weights in ``dtype`` (fp32, bf16,
    fp16), and a little more."""
    values = sum(one.elements for one in header.tensors)
    return round(values * BYTES_PER_WEIGHT[dtype]) + _SPARE_BYTES


def read_header(path: Path, words: bool = False) -> GgufHeader:
    """The header of the model that a file is, or is a part of; with ``words`` the vocabulary's too.
    Every tensor it tells of lies within its file.

    Raises:
        CheckpointError: ``not_found``, ``damaged`` or ``unsupported``.
    """
    parts = gguf_parts.all_parts(path)
    try:
        state = tuple((s.st_mtime_ns, s.st_size) for s in (part.stat() for part in parts))
    except OSError:
        return _read_model(path, words)
    return _read_once(path, words, state)


@lru_cache(maxsize=32)
def _read_once(path: Path, words: bool, _state: tuple[tuple[int, int], ...]) -> GgufHeader:
    return _read_model(path, words)


def _read_model(path: Path, words: bool) -> GgufHeader:
    start = gguf_parts.first_part(path)
    first = _read_file(start, words)
    if first.number_of("split.count") < 2 and start != path:
        # What is named as a later part may be a whole model as well.
        start, first = path, _read_file(path, words)
    count = first.number_of("split.count")
    if count < 2:
        return replace(first, files=(start,))
    files = gguf_parts.check_parts(path, count)
    parts = [_read_file(file, words and not number) for number, file in enumerate(files)]
    tensors = tuple(
        replace(one, part=number) for number, part in enumerate(parts) for one in part.tensors
    )
    metadata = [part.metadata for part in parts]
    gguf_parts.check_contents(files, metadata, [one.name for one in tensors])
    return replace(parts[0], tensors=tensors, files=files)


def _read_file(path: Path, words: bool) -> GgufHeader:
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
    except struct.error:
        raise _damaged(path, "is not a whole GGUF file (it ends before its header does)") from None
    except (ValueError, IndexError, KeyError, OverflowError, TypeError) as error:
        raise _damaged(path, f"is not a whole GGUF file ({error})") from None


def _damaged(path: Path, what: str) -> CheckpointError:
    return CheckpointError("damaged", f"{path.name} {what}", "download the file again")


class _Reader:
    def __init__(self, blob: Any, words: bool) -> None:
        self._blob, self._words = blob, words
        self._at = 0
        self._items_left, self._text_left = _MOST_ITEMS, _MOST_TEXT

    def header(self) -> GgufHeader:
        if bytes(self._blob[:4]) != b"GGUF":
            raise ValueError("it does not begin with GGUF")
        self._at = 4
        version, tensors, keys = self._unpack("<IQQ")
        if version in (2 << 24, 3 << 24):
            raise CheckpointError("unsupported", "is big endian: it was made for another machine")
        if version not in (2, 3):
            raise CheckpointError("unsupported", f"is GGUF version {version}, not 2 or 3")
        if keys > _MOST_KEYS or tensors > _MOST_TENSORS:
            raise ValueError(f"{keys} keys, {tensors} tensors")
        metadata = {}
        for _ in range(keys):
            key = self._string()
            metadata[key] = self._value(self._unpack("<I")[0], key)
        found = [self._tensor() for _ in range(tensors)]
        alignment = metadata.get("general.alignment", 32)
        if type(alignment) is not int or not 0 < alignment <= 1 << 20:
            raise ValueError(f"alignment {str(alignment)[:20]}")
        base = -(-self._at // alignment) * alignment
        placed = {one[0]: self._placed(one, base) for one in found}
        if len(placed) < len(found):
            raise ValueError("two tensors of one name")
        return GgufHeader(metadata, tuple(placed.values()))

    def _unpack(self, form: str) -> tuple[Any, ...]:
        values = struct.unpack_from(form, self._blob, self._at)
        self._at += struct.calcsize(form)
        return values

    def _string(self) -> str:
        (length,) = self._unpack("<Q")
        self._text_left -= length
        if self._text_left < 0 or self._at + length > len(self._blob):
            raise ValueError(f"a string of {length} bytes")
        raw = bytes(self._blob[self._at : self._at + length])
        self._at += length
        return raw.decode("utf-8", "replace")

    def _value(self, kind: int, key: str) -> Any:
        if kind in _SCALARS:
            return self._unpack("<" + _SCALARS[kind])[0]
        if kind == _STRING:
            return self._string()
        if kind != _ARRAY:
            raise ValueError(f"a value of type {kind}")
        item, count = self._unpack("<IQ")
        self._items_left -= count
        if self._items_left < 0:
            raise ValueError(f"an array of {count} items")
        if item in _SCALARS:
            if key == _WORDS:
                raise ValueError("a vocabulary of numbers")
            form = f"<{count}{_SCALARS[item]}"
            if count > _MOST_KEPT and not self._words:
                self._at += struct.calcsize(form)
                return count
            return list(self._unpack(form))
        if item != _STRING:
            raise ValueError(f"an array of type {item}")
        if self._words and key == _WORDS:
            return self._texts(count)
        at, end, blob, length_at = self._at, len(self._blob), self._blob, _LENGTH.unpack_from
        # Of 300,000 words every check counts; what leads out of the file fails at the next word.
        for _ in range(count):
            at += 8 + length_at(blob, at)[0]
        if at > end:
            raise ValueError("a string that ends behind the file")
        self._at = at
        return count

    def _texts(self, count: int) -> list[str]:
        at, blob, length_at, found = self._at, self._blob, _LENGTH.unpack_from, []
        end = min(len(blob), at + 8 * count + self._text_left)
        # As above: a loop of its own, without a call for each word.
        for _ in range(count):
            begin = at + 8
            at = begin + length_at(blob, at)[0]
            if at > end:
                raise ValueError(f"a string of {at - begin} bytes")
            found.append(blob[begin:at].decode("utf-8", "replace"))
        self._text_left -= at - self._at - 8 * count
        self._at = at
        return found

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
        block, block_bytes = BLOCKS[kind]
        if not shape or 0 in shape or shape[-1] % block:
            raise ValueError(f"{name} has the shape {shape}")
        made = GgufTensor(name, shape, kind, base + offset, prod(shape) // block * block_bytes)
        if made.start + made.size > len(self._blob):
            raise ValueError(f"it ends before {name} does")
        return made
