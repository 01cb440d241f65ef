"""The tensors of a safetensors file as views of the file, mapped copy-on-write.

The library maps a file in a way that the kernel refuses where it is larger than all memory: every
page could be written to. Nothing is written here, and of a model that is reduced only a few pages
are in memory at a time.

Format: u64 header length, JSON header, data (https://huggingface.co/docs/safetensors/index#format).
"""

import json
import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from tui.checkpoints.tensor_shape import checked_shape
from tui.host import foreign_files

_FLAGS = mmap.MAP_PRIVATE | getattr(mmap, "MAP_NORESERVE", 0x4000)
"""Python names the second from 3.13 on; macOS, which reserves nothing, passes over it."""
_DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
    "U64": torch.uint64, "U32": torch.uint32, "U16": torch.uint16, "U8": torch.uint8,
    "BOOL": torch.bool, "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
    "F8_E8M0": torch.float8_e8m0fnu,
}  # fmt: skip


def map_tensors(path: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """Name and tensor of all that a file holds, as views of the map.

    Raises:
        ValueError: it is no such file (`tui.checkpoints.weight_headers` says what is wrong with
            it).
        OSError: it cannot be read.
    """
    with foreign_files.open_binary(path) as file:
        (length,) = struct.unpack("<Q", file.read(8).ljust(8, b"\0"))
        if length > path.stat().st_size:
            raise ValueError("not a safetensors file")
        header = json.loads(file.read(length))
        pages = mmap.mmap(file.fileno(), 0, _FLAGS, mmap.PROT_READ | mmap.PROT_WRITE)
    header.pop("__metadata__", None)
    for name, entry in header.items():
        yield name, _view(pages, 8 + length, entry)


def _view(pages: mmap.mmap, data: int, entry: dict[str, Any]) -> torch.Tensor:
    dtype, shape = _DTYPES[entry["dtype"]], checked_shape(entry["shape"])
    start, stop = checked_shape(entry["data_offsets"])
    count = (stop - start) // dtype.itemsize
    if not count:
        return torch.empty(shape, dtype=dtype)
    return torch.frombuffer(pages, dtype=dtype, count=count, offset=data + start).view(shape)
