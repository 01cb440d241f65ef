"""A GGUF file in parts, as llama-gguf-split makes them."""

import struct
from collections.abc import Sequence
from pathlib import Path

from tui.checkpoints.gguf_header import GgufTensor, read_header

_START, _ALIGNMENT = struct.Struct("<4sIQQ"), 32
_UINT16, _INT32 = 2, 5


def split_gguf(path: Path, count: int, folder: Path) -> list[Path]:
    """The model of a whole file in ``count`` files in ``folder``, named as they are published. The
    first has the metadata, all say which they are, of how many parts and tensors."""
    tensors = read_header(path).tensors
    raw = path.read_bytes()
    _, version, _, keys = _START.unpack_from(raw)
    metadata = raw[_START.size : raw.index(_text(tensors[0].name), _START.size)]
    each = -(-len(tensors) // count)
    made = []
    for number in range(count):
        own = tensors[number * each : (number + 1) * each]
        told = [
            _key("split.no", _UINT16, "<H", number),
            _key("split.count", _UINT16, "<H", count),
            _key("split.tensors.count", _INT32, "<i", len(tensors)),
        ]
        start = _START.pack(b"GGUF", version, len(own), len(told) + (0 if number else keys))
        header = start + (b"" if number else metadata) + b"".join(told) + _places(own)
        file = folder / f"{path.stem}-{number + 1:05}-of-{count:05}.gguf"
        data = b"".join(_padded(raw[one.start : one.start + one.size]) for one in own)
        file.write_bytes(_padded(header) + data)
        made.append(file)
    return made


def _places(tensors: Sequence[GgufTensor]) -> bytes:
    """The table of tensors, which lie one behind the other."""
    found, at = b"", 0
    for one in tensors:
        shape = struct.pack(f"<I{len(one.shape)}Q", len(one.shape), *reversed(one.shape))
        found += _text(one.name) + shape + struct.pack("<IQ", one.type.value, at)
        at += len(_padded(bytes(one.size)))
    return found


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


def _key(name: str, kind: int, form: str, value: int) -> bytes:
    return _text(name) + struct.pack("<I", kind) + struct.pack(form, value)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % _ALIGNMENT)
