"""Headers that lie: no size in a file is a reason to take memory or time that the file is not
worth. Every file here would hold the program up for ever, or take all memory."""

import json
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tui.checkpoints import adapter, gguf_header, stored_quantisation, weight_headers
from tui.checkpoints.errors import CheckpointError

_STORAGE = b"X\x07\x00\x00\x00storagectorch\nFloatStorage\n"
_TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n((" + _STORAGE
_TENSOR += b"X\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04tQK\x00"
_NAME = b"X\x01\x00\x00\x00a"


def _doubled(times: int = 64) -> bytes:
    """A tuple of itself twice, so many times over: two to the power of it to be walked through."""
    steps = (b"h%ch%c\x86q%c" % (n, n, n + 1) for n in range(times))
    return b")q\x00" + b"".join(steps)


PICKLES: dict[str, bytes] = {
    "a memory of two thousand million places": b"}r\xff\xff\xff\x7f0K\x01",
    "a name that is hashed for ever": b"}" + _doubled() + b"K\x01s",
    "names that are hashed for ever": b"}(" + _doubled() + b"K\x01u",
    "a table made with such a name": b"ccollections\nOrderedDict\n]("
    + _doubled()
    + b"K\x01\x86e\x85R",
    "a set of such": b"\x8f(" + _doubled() + b"\x90",
    "a storage that is called so": b"(" + _STORAGE + _doubled() + b"tQ",
    "a shape of a million numbers": b"}" + _NAME + _TENSOR + b"(" + b"K\xff" * 300_000 + b"ttRs",
    "a negative shape": b"}" + _NAME + _TENSOR + b"(J\xff\xff\xff\xfftK\x01\x85ttRs",
    "a shape of itself": b"}" + _NAME + _TENSOR + _doubled() + b"K\x01\x85ttRs",
    "more than a list of tensors is long": b"}" + b"0}" * (3 << 20),
    "a number in the place of tensors": b"K\x01",
    "a tensor without a storage": b"}" + _NAME + b"ctorch._utils\n_rebuild_tensor_v2\n)Rs",
}


def zipped(path: Path, pickled: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + pickled + b".")
        archive.writestr("archive/data/0", b"\0" * 16)
    return path


@pytest.mark.parametrize("kind", PICKLES)
def test_a_pickle_costs_no_more_than_it_is_long(kind: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError) as told:
        weight_headers.read_file_headers(zipped(tmp_path / "pytorch_model.bin", PICKLES[kind]))
    assert told.value.cause in ("damaged", "unsupported")


def test_what_torch_writes_is_read(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    model = torch.nn.Linear(3, 2)
    saved = {
        "a": dict(model.state_dict()),
        "b": model.state_dict(),
        "c": {"w": torch.nn.Parameter(torch.ones(2, 3)), "n": torch.tensor(5)},
    }
    shapes = {}
    for name, state in saved.items():
        for protocol in (2, 4):
            file = tmp_path / f"{name}{protocol}.bin"
            torch.save(state, file, pickle_protocol=protocol)
            shapes[name, protocol] = [
                (one.name, one.dtype, one.shape) for one in weight_headers.read_file_headers(file)
            ]
    linear = [("weight", "F32", (2, 3)), ("bias", "F32", (2,))]
    own = [("w", "F32", (2, 3)), ("n", "I64", ())]
    assert shapes == {(n, p): own if n == "c" else linear for n in "abc" for p in (2, 4)}


def test_an_archive_whose_list_of_files_is_longer_than_memory(tmp_path: Path) -> None:
    path, size = tmp_path / "pytorch_model.bin", 1 << 40
    with path.open("wb") as file:
        file.write(b"PK\x03\x04")
        file.truncate(4 + size)
        file.seek(4 + size)
        file.write(b"PK\x06\x06" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, 1, 1, size, 4))
        file.write(b"PK\x06\x07" + struct.pack("<IQI", 0, 4 + size, 1))
        most = (0xFFFF,) * 4 + (0xFFFFFFFF,) * 2
        file.write(b"PK\x05\x06" + struct.pack("<HHHHIIH", *most, 0))
    with pytest.raises(CheckpointError, match="cut short"):
        weight_headers.read_file_headers(path)


def safetensors(path: Path, header: bytes | Mapping[str, Any], data: bytes = b"") -> Path:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + data)
    return path


@pytest.mark.parametrize(
    "shape",
    [
        b"9999999," * 1_500_000 + b"1",
        (b"9" * 4000 + b",") * 3000 + b"1",
        b"-1,-1",
        b'"1"',
        b"1.0",
        b"true",
        b"[1]",
    ],
    ids=["long", "digits", "negative", "text", "point", "truth", "list"],
)
def test_a_shape_that_is_none(shape: bytes, tmp_path: Path) -> None:
    header = b'{"a":{"dtype":"F32","data_offsets":[0,4],"shape":[' + shape + b"]}}"
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        weight_headers.read_file_headers(
            safetensors(tmp_path / "model.safetensors", header, b"\0" * 4)
        )
    (tmp_path / "weights.json").write_bytes(b'{"a":{"dtype":"F32","shape":[' + shape + b"]}}")
    with pytest.raises(CheckpointError, match="has no shape"):
        weight_headers.read_file_headers(tmp_path / "weights.json")


def test_a_number_alone_is_a_tensor(tmp_path: Path) -> None:
    """The scale of a whole FP8 matrix is stored so."""
    header = {"a": {"dtype": "F32", "data_offsets": [0, 4], "shape": []}}
    path = safetensors(tmp_path / "model.safetensors", header, b"\0" * 4)
    (found,) = weight_headers.read_file_headers(path)
    assert (found.shape, found.nbytes) == ((), 4)


WEIGHTS: dict[str, Any] = {
    "num_bits": {"num_bits": [4]},
    "block_structure": {"num_bits": 8, "block_structure": 5},
    "block_structure of texts": {"num_bits": 8, "block_structure": ["a", "b"]},
    "block_structure without end": {"num_bits": 8, "block_structure": [1, 1 << 70]},
}


@pytest.mark.parametrize("kind", WEIGHTS)
def test_a_quantisation_that_cannot_be(kind: str) -> None:
    groups = {"g": {"format": "float-quantized", "weights": {"type": "float", **WEIGHTS[kind]}}}
    said = {"quant_method": "compressed-tensors", "config_groups": groups}
    with pytest.raises(CheckpointError, match=kind.split()[0]):
        stored_quantisation.read_quantisation({"quantization_config": said})


@pytest.mark.parametrize("block", [5, [1], [True, 1], [0, 1], ["1", "1"], [1, 1 << 70], {"a": 1}])
def test_a_block_that_cannot_be(block: Any) -> None:
    said = {"quant_method": "fp8", "weight_block_size": block}
    with pytest.raises(CheckpointError, match="weight_block_size"):
        stored_quantisation.read_quantisation({"quantization_config": said})


@pytest.mark.parametrize("alpha", [10**400, float("inf"), float("nan"), True, "1", 1 << 40])
def test_an_alpha_that_cannot_be(alpha: Any, tmp_path: Path) -> None:
    said = {"peft_type": "LORA", "r": 8, "lora_alpha": 8, "alpha_pattern": {"q_proj": alpha}}
    (tmp_path / "adapter_config.json").write_text(json.dumps(said))
    with pytest.raises(CheckpointError, match="alpha_pattern"):
        adapter.read_adapter(tmp_path)


def _key(name: bytes) -> bytes:
    return struct.pack("<Q", len(name)) + name


GGUF: dict[str, Callable[[int], tuple[bytes, int]]] = {
    "texts": lambda n: (_key(b"k%d" % n) + struct.pack("<IQ", 8, 1 << 25), 1 << 25),
    "words": lambda n: (_key(b"k%d" % n) + struct.pack("<IIQ", 9, 8, 9_000_000), 72_000_000),
    "numbers": lambda n: (_key(b"k%d" % n) + struct.pack("<IIQ", 9, 10, 9_000_000), 72_000_000),
}


@pytest.mark.parametrize("kind", GGUF)
def test_a_gguf_file_of_holes_costs_no_more_than_one_model(kind: str, tmp_path: Path) -> None:
    """A file with holes takes no room, and is as long as it likes."""
    path = tmp_path / "model.gguf"
    with path.open("wb") as file:
        file.write(b"GGUF" + struct.pack("<IQQ", 3, 0, 60_000))
        for number in range(20):
            entry, hole = GGUF[kind](number)
            file.write(entry)
            file.seek(hole, 1)
        file.truncate(1 << 40)
    with pytest.raises(CheckpointError, match="not a whole GGUF file"):
        gguf_header.read_header(path)
