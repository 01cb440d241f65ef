"""Reading a `tokenizer.model` with sentencepiece, for the families that publish one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sentencepiece

from tui.checkpoints.errors import CheckpointError
from tui.worker.load.families.text_tokenizer import read_tokenizer_file


def load_processor(folder: Path, name: str = "tokenizer.model") -> Any:
    """The sentencepiece processor of a checkpoint folder.

    Raises:
        CheckpointError: no file of that ``name``, or not a sentencepiece model.
    """
    content = read_tokenizer_file(folder / name)
    try:
        return sentencepiece.SentencePieceProcessor(model_proto=content)
    except (RuntimeError, ValueError):
        raise CheckpointError(
            "damaged", f"{name} is not a sentencepiece model", "fetch the file again"
        ) from None


def user_defined(content: bytes) -> set[int]:
    """The ids of the pieces that a model's maker added by hand, which no text merges with. The
    library tells control tokens and bytes, and not these.

    Format: sentencepiece_model.proto, `ModelProto.pieces` (1), `SentencePiece.type` (3), 4 for
    ``USER_DEFINED``. ``content`` is a file that the library has read.
    """
    pieces = (value for field, value in _fields(content) if field == 1)
    return {
        number
        for number, piece in enumerate(pieces)
        if isinstance(piece, bytes) and dict(_fields(piece)).get(3) == 4
    }


def _fields(content: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of the fields of a protobuf message."""
    at = 0
    while at < len(content):
        key, at = _varint(content, at)
        kind = key & 7
        value: int | bytes
        if kind == 0:
            value, at = _varint(content, at)
        else:
            length, at = _varint(content, at) if kind == 2 else ({1: 8, 5: 4}[kind], at)
            value, at = content[at : at + length], at + length
        yield key >> 3, value


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """A number of 7 bits a byte, and where it ends."""
    value = shift = 0
    while True:
        value |= (content[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if content[at - 1] < 128:
            return value, at
