"""Small files of several architectures and formats: llama.cpp computes each, by its header."""

from pathlib import Path
from typing import Any

import pytest
from gguf import GGMLQuantizationType

from tests.support.small_architectures import ARCHITECTURES, write_architecture
from tests.support.small_gguf import LAYERS, write_gguf
from tui.checkpoints.errors import CheckpointError
from tui.checkpoints.ggml_types import GgmlType
from tui.checkpoints.gguf_header import read_header
from tui.checkpoints.gguf_use import require_usable

pytest.importorskip("xllamacpp")
from tui.worker.gguf.llama_server import LlamaServer

TOKENS = 4
NEVER_STORED = (
    *(GgmlType.Q8_1, GgmlType.Q8_K, GgmlType.I8, GgmlType.I16, GgmlType.I32, GgmlType.I64),
    GgmlType.F64,
)
"""What llama.cpp computes with in between, or counts in."""
WRITTEN = [one for one in GgmlType if one not in NEVER_STORED and one in set(GGMLQuantizationType)]
"""An older `gguf` package writes fewer of them."""


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_each_is_computed(tmp_path: Path, name: str) -> None:
    file = write_architecture(tmp_path / "tiny.gguf", name)
    header = read_header(file)
    require_usable(file.name, header)
    assert header.architecture == name.partition(" ")[0]
    assert header.shape.layers == LAYERS and header.shape.vocab > 0
    assert header.is_tied is ("gemma" in name)
    held = sum(one.elements for one in header.tensors)
    assert header.parameters == held
    assert tokens_made(file) == TOKENS


@pytest.mark.parametrize("kind", WRITTEN)
def test_every_format_is_computed(tmp_path: Path, kind: GgmlType) -> None:
    kinds = (GGMLQuantizationType(kind),)
    file = write_gguf(tmp_path / "tiny.gguf", hidden=256, head="none", kinds=kinds)
    header = read_header(file)
    assert header.stored == kind.name and kind.name in header.mixture
    assert header.shape.file_bytes == sum(one.size for one in header.tensors)
    assert tokens_made(file) == TOKENS


def tokens_made(file: Path) -> int:
    server, told = LlamaServer(file, 64, 2, 1), list[Any]()

    def take(piece: Any) -> bool:
        told.append(piece)
        return False

    ids = server.tokenise("hello", special=False)
    order = {"prompt": ids, "n_predict": TOKENS, "stream": True, "ignore_eos": True}
    server.complete(order, take)
    assert told[-1]["choices"][0]["finish_reason"] == "length"
    return int(told[-1]["usage"]["completion_tokens"])


def test_a_name_that_is_no_utf8_is_refused_in_a_sentence(tmp_path: Path) -> None:
    file = write_gguf(tmp_path / "bad\udcff.gguf")
    with pytest.raises(CheckpointError, match=r"^bad\?\.gguf: the name is not UTF-8$"):
        require_usable(file.name, read_header(file))
