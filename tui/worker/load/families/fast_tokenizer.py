"""A `tokenizer.json`, and what transformers converts to one."""

import re
from collections.abc import Collection, Sequence
from pathlib import Path

import tokenizers

from tui.checkpoints import tokenizer_files
from tui.checkpoints.errors import CheckpointError
from tui.checkpoints.weight_headers import read_json
from tui.worker.load.families.text_tokenizer import read_tokenizer_file, split_control_tokens

_COPY = "copy tokenizer.json of the model into the folder"
_MARKUP = re.compile(r"<.+>|\[[^\]\s]+\]|<[｜|].*[｜|]>", re.DOTALL)


def is_markup(token: str) -> bool:
    """Whether a token looks like what only a program writes (``<|im_end|>``, ``[INST]``)."""
    return _MARKUP.fullmatch(token) is not None


class FastTokenizer:
    """A `tokenizer.json`, read by the tokenizers library."""

    def __init__(self, tokenizer: tokenizers.Tokenizer) -> None:
        self._tokenizer = tokenizer
        added = sorted(tokenizer.get_added_tokens_decoder().items())
        control = [(n, t) for n, t in added if t.special or is_markup(t.content)]
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


def read_tokenizer(folder: Path) -> FastTokenizer:
    """The vocabulary of a checkpoint folder.

    Raises:
        CheckpointError: there is none, or it cannot be read.
    """
    path = folder / tokenizer_files.FAST
    try:
        if path.is_file():
            return FastTokenizer(tokenizers.Tokenizer.from_buffer(read_tokenizer_file(path)))
        return FastTokenizer(_convert_slow_tokenizer(folder))
    except CheckpointError:
        raise
    except Exception as error:  # the library raises plain Exception for a broken file
        reason = " ".join(str(error).split())[:120]
        raise CheckpointError("damaged", f"the tokenizer cannot be read: {reason}", _COPY) from None


def _convert_slow_tokenizer(folder: Path) -> tokenizers.Tokenizer:
    if lacking := tokenizer_files.missing_file(folder):
        raise CheckpointError(
            "not_found",
            f"{folder.name} holds no tokenizer ({lacking})",
            f"copy {lacking} of the model into the folder",
        )
    from transformers import AutoTokenizer

    found = next(name for name in tokenizer_files.CONVERTED if (folder / name).is_file())
    try:
        made = AutoTokenizer.from_pretrained(
            str(folder), trust_remote_code=False, local_files_only=True
        )
    except ValueError as error:
        if "instantiate the backend tokenizer" in str(error):
            raise _other_words(folder, found) from None
        raise
    backend = getattr(made, "backend_tokenizer", None)
    if not isinstance(backend, tokenizers.Tokenizer):
        raise CheckpointError("unsupported", f"{folder.name}: a tokenizer of an unknown kind")
    _require_words(folder, backend)
    return backend


def _require_words(folder: Path, made: tokenizers.Tokenizer) -> None:
    """Refuse what was made without the words in the files: transformers' class of a type that has
    them in other files knows a few special ones only."""
    for name, count in (
        ("vocab.json", _json_words),
        ("vocab.txt", _lines),
        (tokenizer_files.TIKTOKEN, _lines),
    ):
        if (folder / name).is_file() and made.get_vocab_size() < count(folder / name):
            raise _other_words(folder, name)


def _other_words(folder: Path, name: str) -> CheckpointError:
    return CheckpointError(
        "unsupported", f"{folder.name}: models of this type have other words than {name}", _COPY
    )


def _json_words(path: Path) -> int:
    return len(read_json(path))


def _lines(path: Path) -> int:
    return sum(bool(line.strip()) for line in read_tokenizer_file(path).splitlines())
