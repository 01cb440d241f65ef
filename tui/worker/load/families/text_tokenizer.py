"""Text to ids and back, and the part of a chat tokenizer that does only that."""

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from tui.checkpoints.errors import CheckpointError
from tui.checkpoints.weight_headers import refuse_lfs_pointer
from tui.host import foreign_files
from tui.worker.load.prompt_fitting import FittedTokenizer

MAX_FILE_BYTES = 256 << 20
"""Largest tokenizer file that is read, in bytes."""


class TextTokenizer(Protocol):
    """Ordinary text. ``prefix`` is what a text by itself begins with."""

    prefix_ids: list[int]

    def encode_text(self, text: str) -> list[int]:
        """Ids of text, where control tokens are ordinary characters."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids without control tokens that are special."""
        ...


class ControlTokenizer(TextTokenizer, Protocol):
    """Text with ``controls``: the tokens that only the program may write."""

    control_tokens: dict[str, int]

    def encode_with_controls(self, text: str) -> list[int]:
        """Ids of text, where control tokens are read as such."""
        ...

    def show(self, tokens: Collection[str]) -> None:
        """Have these control tokens in decoded text."""
        ...


class TextChatTokenizer(FittedTokenizer):
    """A chat tokenizer whose texts are those of a `TextTokenizer`."""

    def __init__(self, text_tokenizer: TextTokenizer, context: int, vocab: int) -> None:
        super().__init__(context, vocab)
        self._text_tokenizer = text_tokenizer

    def encode(self, text: str) -> list[int]:
        """See `ChatTokenizer.encode`."""
        return self._text_tokenizer.encode_text(text)

    def decode(self, ids: Sequence[int]) -> str:
        """See `ChatTokenizer.decode`."""
        return self._text_tokenizer.decode(ids)


def split_control_tokens(controls: Mapping[str, int], text: str) -> list[str]:
    """The text in pieces none of which holds a control token: each is cut after its first
    character. One of a single character is left out."""
    longest_first = sorted(controls, key=len, reverse=True)
    if not longest_first:
        return [text]
    pattern = re.compile("|".join(map(re.escape, longest_first)))
    pieces, start = [], 0
    for match in pattern.finditer(text):
        pieces.append(text[start : match.start() + (len(match[0]) > 1)])
        start = match.start() + 1
    return [piece for piece in (*pieces, text[start:]) if piece]


def read_tokenizer_file(path: Path) -> bytes:
    """The content of a tokenizer file.

    Raises:
        CheckpointError: it is missing, too large, or a git-lfs pointer.
    """
    try:
        with foreign_files.open_binary(path) as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise CheckpointError(
            "not_found",
            f"{path.parent.name} holds no tokenizer ({path.name})",
            f"copy {path.name} of the model into the folder",
        ) from None
    except OSError as error:
        raise CheckpointError("damaged", f"{path.name}: {error.strerror}") from None
    refuse_lfs_pointer(path.name, content)
    if len(content) > MAX_FILE_BYTES:
        raise CheckpointError("damaged", f"{path.name} is larger than {MAX_FILE_BYTES >> 20} MiB")
    return content
