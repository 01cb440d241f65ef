"""A `tokenizer.model` of sentencepiece by itself, where a checkpoint has no `tokenizer.json`.

Ids as transformers' `LlamaTokenizer` gives them without a fast form: control tokens are cut out
first, and each text between them goes to sentencepiece. Behind a control token a text begins with
the space that the model was trained to put before it, unless tokenizer_config.json says
``legacy: false``.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from tui.host import foreign_files
from tui.worker.load.families.fast_tokenizer import is_markup
from tui.worker.load.families.general import read_optional_json
from tui.worker.load.families.sentencepiece_model import load_processor, user_defined
from tui.worker.load.families.text_tokenizer import split_control_tokens

FILES = ("tokenizer.model", "spiece.model")


class SentencePieceText:
    """See `ControlTokenizer`."""

    def __init__(self, processor: Any, added: Mapping[str, int], said: Mapping[str, Any]) -> None:
        """``added``: tokens beside those of the model file; ``said``: tokenizer_config.json."""
        self._pieces, self._size = processor, processor.get_piece_size()
        self.control_tokens = {**_controls(processor), **added}
        self._names = {number: token for token, number in self.control_tokens.items()}
        self._hidden = set(self._names)
        begin = processor.bos_id()
        self.prefix_ids = [begin] if begin >= 0 and said.get("add_bos_token", True) else []
        self._is_legacy = said.get("legacy") is not False
        longest_first = sorted(self.control_tokens, key=len, reverse=True)
        self._split = re.compile("(" + "|".join(map(re.escape, longest_first)) + ")")

    def encode_text(self, text: str) -> list[int]:
        pieces = split_control_tokens(self.control_tokens, text)
        return [
            number
            for place, piece in enumerate(pieces)
            for number in self._ids(piece, is_first=place == 0)
        ]

    def encode_with_controls(self, text: str) -> list[int]:
        ids: list[int] = []
        for place, piece in enumerate(self._split.split(text)):
            if place % 2:
                ids.append(self.control_tokens[piece])
            elif piece:
                ids += self._ids(piece, is_first=self._is_legacy or not ids)
        return ids

    def show(self, tokens: Collection[str]) -> None:
        self._hidden -= {self.control_tokens.get(token, -1) for token in tokens}

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(self._texts(number for number in ids if number not in self._hidden))

    def _texts(self, ids: Iterator[int]) -> Iterator[str]:
        for is_control, group in groupby(ids, lambda number: number in self._names):
            if is_control:
                yield from (self._names[number] for number in group)
            else:
                yield self._pieces.decode([number for number in group if number < self._size])

    def _ids(self, text: str, is_first: bool) -> list[int]:
        # Behind a piece that no text merges with, sentencepiece puts no space before a text.
        before = "" if is_first else self._pieces.id_to_piece(self._pieces.unk_id())
        found: list[int] = self._pieces.encode(f"{before}{text}")
        return found[len(self._pieces.encode(before)) :]


def _controls(processor: Any) -> dict[str, int]:
    """The tokens of the model file that no text may reach: its control tokens, and what looks
    like markup among the pieces that its maker added."""
    found, by_hand = {}, user_defined(processor.serialized_model_proto())
    for number in range(processor.get_piece_size()):
        piece = processor.id_to_piece(number)
        special = processor.is_control(number) or processor.is_unknown(number)
        if special or (number in by_hand and is_markup(piece)):
            found[piece] = number
    return found


def find_file(folder: Path) -> Path | None:
    """The sentencepiece model of a folder, None where there is none: tiktoken's files, which are
    lines of base64, have the same name."""
    for name in FILES:
        if (folder / name).is_file():
            with foreign_files.open_binary(folder / name) as file:
                start = file.read(1)
            return folder / name if start == b"\n" else None
    return None


def read_tokenizer(path: Path) -> SentencePieceText:
    """The tokenizer of a folder around its sentencepiece model.

    Raises:
        CheckpointError: it cannot be read.
    """
    folder = path.parent
    said = read_optional_json(folder / "tokenizer_config.json")
    added = {
        token: number
        for token, number in read_optional_json(folder / "added_tokens.json").items()
        if type(number) is int
    }
    listed = said.get("added_tokens_decoder")
    for number, token in listed.items() if isinstance(listed, dict) else ():
        if isinstance(token, dict) and number.isdigit():
            content = str(token.get("content", ""))
            if content and (token.get("special") or is_markup(content)):
                added[content] = int(number)
    return SentencePieceText(load_processor(folder, path.name), added, said)
