"""Text to ids and back, and the part of a chat tokenizer that does only that."""

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import tokenizers

from tui.checkpoints.errors import CheckpointError
from tui.checkpoints.weight_headers import refuse_lfs_pointer
from tui.host import foreign_files
from tui.worker.load.prompt_fitting import FittedTokenizer

MAX_FILE_BYTES = 256 << 20
"""Largest tokenizer file that is read, in bytes."""

_MARKUP = re.compile(r"<.+>|\[[^\]\s]+\]|<[｜|].*[｜|]>", re.DOTALL)


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


class FastTokenizer:
    """A `tokenizer.json`, read by the tokenizers library."""

    def __init__(self, tokenizer: tokenizers.Tokenizer) -> None:
        self._tokenizer = tokenizer
        added = sorted(tokenizer.get_added_tokens_decoder().items())
        control = [(n, t) for n, t in added if t.special or _MARKUP.fullmatch(t.content)]
        self.control_tokens = {token.content: number for number, token in control}
        self.prefix_ids = _prefix(tokenizer, set(self.control_tokens.values()))
        self._skipped_ids = {number for number, token in control if token.special}
        self._control_ids = frozenset(self.control_tokens.values())
        # Markup such as <think> is often added as not special; for typed text it has to be.
        markup = [_special(token) for _, token in control if not token.special]
        tokenizer.add_special_tokens(markup)

    def encode_text(self, text: str) -> list[int]:
        self._tokenizer.encode_special_tokens = True
        ids = self._ids(text)
        if self._control_ids.isdisjoint(ids):
            return ids
        # A vocabulary that reaches a control token by ordinary merges.
        cut = (self._ids(piece) for piece in split_control_tokens(self.control_tokens, text))
        return [number for piece in cut for number in piece if number not in self._control_ids]

    def encode_with_controls(self, text: str) -> list[int]:
        self._tokenizer.encode_special_tokens = False
        return self._ids(text)

    def show(self, tokens: Collection[str]) -> None:
        self._skipped_ids -= {self.control_tokens.get(token, -1) for token in tokens}

    def decode(self, ids: Sequence[int]) -> str:
        kept = [number for number in ids if number not in self._skipped_ids]
        text: str = self._tokenizer.decode(kept, skip_special_tokens=False)
        return text

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids


def _special(token: tokenizers.AddedToken) -> tokenizers.AddedToken:
    return tokenizers.AddedToken(
        token.content,
        single_word=token.single_word,
        lstrip=token.lstrip,
        rstrip=token.rstrip,
        normalized=token.normalized,
        special=True,
    )


def _prefix(tokenizer: tokenizers.Tokenizer, controls: set[int]) -> list[int]:
    ids = tokenizer.encode("a", add_special_tokens=True).ids
    first = next((i for i, number in enumerate(ids) if number not in controls), 0)
    return list(ids[:first])


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


def read_tokenizer(folder: Path) -> FastTokenizer:
    """The vocabulary of a checkpoint folder.

    Raises:
        CheckpointError: there is none, or it cannot be read.
    """
    path = folder / "tokenizer.json"
    try:
        if path.is_file():
            return FastTokenizer(tokenizers.Tokenizer.from_buffer(read_tokenizer_file(path)))
        return FastTokenizer(_convert_slow_tokenizer(folder))
    except CheckpointError:
        raise
    except Exception as error:  # the library raises plain Exception for a broken file
        reason = " ".join(str(error).split())[:120]
        raise CheckpointError("damaged", f"the tokenizer cannot be read: {reason}") from None


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


def _convert_slow_tokenizer(folder: Path) -> tokenizers.Tokenizer:
    known = ("tokenizer.model", "vocab.json", "spiece.model", "vocab.txt", "tiktoken.model")
    if not any((folder / name).is_file() for name in known):
        raise CheckpointError(
            "not_found",
            f"{folder.name} holds no tokenizer (tokenizer.json)",
            "copy tokenizer.json of the model into the folder",
        )
    from transformers import AutoTokenizer

    made = AutoTokenizer.from_pretrained(
        str(folder), trust_remote_code=False, local_files_only=True
    )
    backend = getattr(made, "backend_tokenizer", None)
    if not isinstance(backend, tokenizers.Tokenizer):
        raise CheckpointError("unsupported", f"{folder.name}: a tokenizer of an unknown kind")
    return backend
