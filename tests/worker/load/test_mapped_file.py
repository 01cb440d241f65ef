"""Safetensors files are mapped as they are: every dtype, any size, whatever their alignment."""

import json
import os
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tui.worker.load.mapped_file import map_tensors


def test_all_tensors_are_those_that_the_library_reads(tmp_path: Path) -> None:
    stored = {
        "scalar": torch.tensor(3.5),
        "empty": torch.empty(0, 4),
        "bf16": torch.randn(3, 5).bfloat16(),
        "fp8": torch.randn(4, 4).to(torch.float8_e4m3fn),
        "int8": torch.arange(7, dtype=torch.int8),
        "odd": torch.randn(3).double(),
        "flags": torch.tensor([True, False]),
    }
    save_file(stored, tmp_path / "f.safetensors", {"format": "pt"})
    found = dict(map_tensors(tmp_path / "f.safetensors"))
    assert list(found) == list(load_file(tmp_path / "f.safetensors"))
    for name, tensor in stored.items():
        assert found[name].dtype == tensor.dtype
        assert found[name].shape == tensor.shape
        assert torch.equal(
            found[name].reshape(-1).view(torch.uint8), tensor.reshape(-1).view(torch.uint8)
        )
    found["bf16"].zero_()  # a copy of the page: the file stays as it is
    assert torch.equal(load_file(tmp_path / "f.safetensors")["bf16"], stored["bf16"])


def test_a_file_may_be_larger_than_all_memory(tmp_path: Path) -> None:
    rule = Path("/proc/sys/vm/overcommit_memory")
    if not rule.exists() or rule.read_text().strip() != "0":
        pytest.skip("every mapping is counted here, or none")
    values = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")  # of two bytes each
    header = {"w": {"dtype": "BF16", "shape": [2, values // 2], "data_offsets": [0, 2 * values]}}
    text = json.dumps(header).encode()
    path = tmp_path / "f.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + 2 * values)
    ((_, tensor),) = map_tensors(path)
    assert tensor[1, -1] == 0


@pytest.mark.parametrize("content", [b"", b"short", struct.pack("<Q", 1 << 60) + b"{}"])
def test_what_is_no_such_file_is_one_error(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "f.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match=r"not a safetensors|Expecting value"):
        list(map_tensors(tmp_path / "f.safetensors"))
