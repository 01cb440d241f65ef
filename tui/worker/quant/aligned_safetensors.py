"""Safetensors files whose tensors lie on cache lines, so that kernels can work on the map.

The format aligns nothing: its header ends where its text ends, and a kernel that reads
across cache lines is half as fast. Here the header is filled up with spaces, which the
format allows, to a whole page, and tensors come in an order that keeps every one aligned
but the few whose size is odd.
"""

import ctypes
import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

PAGE = 4096
_CACHE_LINE = 64
_MADV_PAGEOUT = 21
_libc = ctypes.CDLL(None)
_DTYPE_NAMES = {
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.float32: "F32",
    torch.int32: "I32",
    torch.int64: "I64",
    torch.bool: "BOOL",
}

TensorSpecs = Mapping[str, tuple[torch.dtype, tuple[int, ...]]]


def nbytes(dtype: torch.dtype, shape: Sequence[int]) -> int:
    """Bytes of a tensor."""
    size = int(dtype.itemsize)
    for length in shape:
        size *= length
    return size


def release_pages(tensors: Iterable[torch.Tensor]) -> None:
    """Tell the kernel that pages of a mapped file were read for the last time; otherwise
    a 15 GB checkpoint fills the container before the kernel takes them back."""
    for tensor in tensors:
        # A view that lies the other way round, or of every second row, has others between.
        last = sum((n - 1) * step for n, step in zip(tensor.shape, tensor.stride(), strict=True))
        start = -(-tensor.data_ptr() // PAGE) * PAGE
        size = (tensor.data_ptr() + (last + 1) * tensor.itemsize - start) // PAGE * PAGE
        if size > 0:
            _libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), _MADV_PAGEOUT)


class SafetensorsWriter:
    """A file whose tensors are known by name and shape first and come in any order.

    ``metadata`` is the format's own; transformers wants ``format`` in it.
    """

    def __init__(
        self, path: Path, shapes: TensorSpecs, metadata: Mapping[str, str] | None = None
    ) -> None:
        ordered = sorted(shapes, key=lambda name: nbytes(*shapes[name]) % _CACHE_LINE != 0)
        header: dict[str, Any] = {}
        end = 0
        for name in ordered:
            dtype, shape = shapes[name]
            start, end = end, end + nbytes(dtype, shape)
            header[name] = {
                "dtype": _DTYPE_NAMES[dtype],
                "shape": list(shape),
                "data_offsets": [start, end],
            }
        self._offsets = {name: entry["data_offsets"] for name, entry in header.items()}
        self._unwritten, self._items = dict(self._offsets), dict[str, int]()
        if metadata:
            header = {"__metadata__": dict(metadata)} | header
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-(len(text) + 8) % PAGE)
        self._data_start = len(text) + 8
        self._shapes = shapes
        self.size = self._data_start + end
        self._file = path.open("wb")
        self._file.write(struct.pack("<Q", len(text)) + text)
        self._file.truncate(self.size)

    def write(self, name: str, tensor: torch.Tensor) -> None:
        """Write one tensor.

        Raises:
            ValueError: it has not the type and shape that were announced.
        """
        dtype, shape = self._shapes[name]
        if (tensor.dtype, tuple(tensor.shape)) != (dtype, tuple(shape)):
            raise ValueError(f"{name} is {tensor.dtype} {tuple(tensor.shape)}")
        start, _ = self._unwritten.pop(name)
        self._put(start, tensor)

    def write_item(self, name: str, number: int, tensor: torch.Tensor) -> None:
        """Write one item of a tensor, all of which lie along its first dimension.

        Raises:
            ValueError: it has not the type and shape that were announced.
        """
        dtype, shape = self._shapes[name]
        if (tensor.dtype, tuple(tensor.shape)) != (dtype, tuple(shape[1:])):
            raise ValueError(f"{name} is {tensor.dtype} {tuple(tensor.shape)}")
        start, _ = self._offsets[name]
        self._put(start + number * tensor.nbytes, tensor)
        self._items[name] = self._items.get(name, 0) + 1
        if self._items[name] == shape[0]:
            del self._unwritten[name]

    def _put(self, start: int, tensor: torch.Tensor) -> None:
        self._file.seek(self._data_start + start)
        flat = tensor.detach().contiguous().reshape(-1).view(torch.uint8)
        self._file.write(memoryview(flat.numpy()))

    def close(self) -> None:
        """All of it is written."""
        self._file.close()
        assert not self._unwritten, f"{len(self._unwritten)} tensors were never written"
