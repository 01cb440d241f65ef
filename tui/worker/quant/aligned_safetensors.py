"""Safetensors files whose tensors lie on cache lines, so that kernels can work on the map.

The format aligns nothing: its header ends where its text ends, and a kernel that reads
across cache lines is half as fast. Here the header is filled up with spaces, which the
format allows, to a whole page, and tensors come in an order that keeps every one aligned
but the few whose size is odd.
"""

import ctypes
import json
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

PAGE = 4096
_LINE = 64
_MADV_PAGEOUT = 21
_libc = ctypes.CDLL(None)
_WORDS = {
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.float32: "F32",
    torch.int64: "I64",
}

Shapes = Mapping[str, tuple[torch.dtype, tuple[int, ...]]]


def nbytes(dtype: torch.dtype, shape: Sequence[int]) -> int:
    """Bytes of a tensor."""
    size = int(dtype.itemsize)
    for length in shape:
        size *= length
    return size


def let_go(tensors: Iterable[torch.Tensor]) -> None:
    """Tell the kernel that pages of a mapped file were read for the last time; otherwise
    a 15 GB checkpoint fills the container before the kernel takes them back."""
    for tensor in tensors:
        start = -(-tensor.data_ptr() // PAGE) * PAGE
        size = (tensor.data_ptr() + tensor.nbytes - start) // PAGE * PAGE
        if size > 0:
            _libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), _MADV_PAGEOUT)


class Writer:
    """A file whose tensors are known by name and shape first and come in any order."""

    def __init__(self, path: Path, shapes: Shapes) -> None:
        ordered = sorted(shapes, key=lambda name: nbytes(*shapes[name]) % _LINE != 0)
        header: dict[str, Any] = {}
        end = 0
        for name in ordered:
            dtype, shape = shapes[name]
            start, end = end, end + nbytes(dtype, shape)
            header[name] = {
                "dtype": _WORDS[dtype],
                "shape": list(shape),
                "data_offsets": [start, end],
            }
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-(len(text) + 8) % PAGE)
        self._begin = len(text) + 8
        self._left = {name: entry["data_offsets"] for name, entry in header.items()}
        self._shapes = shapes
        self.size = self._begin + end
        self._file = path.open("wb")
        self._file.write(struct.pack("<Q", len(text)) + text)
        self._file.truncate(self.size)

    def put(self, name: str, tensor: torch.Tensor) -> None:
        """Write one tensor, of the shape that was announced."""
        dtype, shape = self._shapes[name]
        assert (tensor.dtype, tuple(tensor.shape)) == (dtype, tuple(shape)), name
        start, _ = self._left.pop(name)
        self._file.seek(self._begin + start)
        flat = tensor.detach().contiguous().reshape(-1).view(torch.uint8)
        self._file.write(memoryview(flat.numpy()))

    def close(self) -> None:
        """All of it is written."""
        self._file.close()
        assert not self._left, f"{len(self._left)} tensors were never written"


def mapped(path: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """Name and tensor of all that a file holds, as views of the map."""
    with safe_open(str(path), framework="pt", device="cpu") as file:
        for name in file.keys():  # noqa: SIM118 (the handle is no mapping)
            yield name, file.get_tensor(name)
