"""Every checkpoint that transformers has its own class for, with a chat template or without.

The prompt is the template's text with its control tokens as ids and everything else,
above all what a person typed, as plain text.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import tokenizers

from tui.models.weights import WeightsError, read_json, refuse_pointer
from tui.worker.codec import Turns, fitted
from tui.worker.families.base import CheckpointError, Prompt, Turn
from tui.worker.template import ChatTemplate, TemplateError

LARGEST = 256 << 20
"""Largest tokenizer file that is read, in bytes."""

_MARKUP = re.compile(r"<.+>|\[[^\]\s]+\]|<[｜|].*[｜|]>", re.DOTALL)


class Vocabulary(Protocol):
    """Text and ids without any idea of a conversation. ``controls`` are the tokens that
    only the program may write; ``prefix`` what a plain text begins with."""

    controls: dict[str, int]
    prefix: list[int]

    def plain(self, text: str) -> list[int]:
        """Ids of text, where control tokens are ordinary characters."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids without control tokens that are special."""
        ...


class FastVocabulary:
    """A `tokenizer.json`, read by the tokenizers library."""

    def __init__(self, tokenizer: tokenizers.Tokenizer) -> None:
        self._tokenizer = tokenizer
        added = tokenizer.get_added_tokens_decoder()
        self.controls = {
            token.content: number
            for number, token in sorted(added.items())
            if token.special or _MARKUP.fullmatch(token.content)
        }
        self.prefix = _prefix(tokenizer, set(self.controls.values()))
        # Markup such as <think> is often added as not special; for typed text it has to be.
        self._silent = {number for number, token in added.items() if token.special}
        tokenizer.add_special_tokens(
            [tokenizers.AddedToken(c, special=True, normalized=False) for c in self.controls]
        )
        tokenizer.encode_special_tokens = True
        self._forbidden = frozenset(self.controls.values())

    def plain(self, text: str) -> list[int]:
        if not text:
            return []
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        if self._forbidden.isdisjoint(ids):
            return ids
        # A vocabulary that reaches a control token by ordinary merges.
        cut = cut_within(self.controls, text)
        pieces = [self._tokenizer.encode(piece, add_special_tokens=False).ids for piece in cut]
        return [number for piece in pieces for number in piece if number not in self._forbidden]

    def decode(self, ids: Sequence[int]) -> str:
        kept = [number for number in ids if number not in self._silent]
        text: str = self._tokenizer.decode(kept, skip_special_tokens=False)
        return text


def cut_within(controls: Mapping[str, int], text: str) -> list[str]:
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


def _prefix(tokenizer: tokenizers.Tokenizer, controls: set[int]) -> list[int]:
    ids = tokenizer.encode("a", add_special_tokens=True).ids
    first = next((i for i, number in enumerate(ids) if number not in controls), 0)
    return list(ids[:first])


class TemplateCodec:
    """Conversations by the checkpoint's own chat template."""

    def __init__(
        self, vocabulary: Vocabulary, template: ChatTemplate, context: int, vocab: int
    ) -> None:
        self._vocabulary, self._template = vocabulary, template
        self._context, self._vocab = context, vocab
        controls = sorted(vocabulary.controls, key=len, reverse=True)
        self._split = (
            re.compile("(" + "|".join(map(re.escape, controls)) + ")") if controls else None
        )
        starts = "".join(sorted({re.escape(c[0]) for c in controls}))
        self._starts = re.compile(f"[{starts}]") if starts else None

    def encode(self, text: str) -> list[int]:
        return self._vocabulary.plain(text)

    def decode(self, ids: Sequence[int]) -> str:
        return self._vocabulary.decode(ids)

    def chat(self, turns: Sequence[Turn], max_new_tokens: int = 0) -> Prompt:
        return fitted(
            Turns.of(turns), self._ids, self._context, self._context - max_new_tokens, self._vocab
        )

    def generation_prompt(self) -> str:
        """What the template writes behind the last message to have it answered."""
        text = self._render((("user", "?"),))
        return text.rpartition("?")[2]

    def _ids(self, turns: Sequence[Turn]) -> list[int]:
        used = "".join(content for _, content in turns)
        # A character that no text has (a noncharacter) behind each possible beginning of
        # a control token makes all of them in the contents inert until they are cut out.
        guard = next(chr(c) for c in range(0xFDD0, 0xFDF0) if chr(c) not in used)
        guarded = tuple((role, self._guarded(content, guard)) for role, content in turns)
        text = self._render(guarded)
        pieces = self._split.split(text) if self._split else [text]
        ids: list[int] = []
        for index, piece in enumerate(pieces):
            if index % 2:
                ids.append(self._vocabulary.controls[piece])
            else:
                ids += self._vocabulary.plain(piece.replace(guard, ""))
        return ids

    def _guarded(self, content: str, guard: str) -> str:
        if self._starts is None:
            return content
        return self._starts.sub(lambda match: match[0] + guard, content)

    def _render(self, turns: Sequence[Turn]) -> str:
        try:
            return self._template.render(turns)
        except TemplateError as error:
            if not error.raised or turns[0][0] != "system" or len(turns) < 2:
                raise
        # Some templates know no system role: its words then open the first message.
        (_, system), (role, content), *rest = turns
        return self._template.render(((role, f"{system}\n\n{content}"), *rest))


class CompletionCodec:
    """For a model that was never taught a conversation: the texts, one after another."""

    def __init__(self, vocabulary: Vocabulary, context: int, vocab: int) -> None:
        self._vocabulary, self._context, self._vocab = vocabulary, context, vocab

    def encode(self, text: str) -> list[int]:
        return self._vocabulary.plain(text)

    def decode(self, ids: Sequence[int]) -> str:
        return self._vocabulary.decode(ids)

    def chat(self, turns: Sequence[Turn], max_new_tokens: int = 0) -> Prompt:
        return fitted(
            Turns.of(turns), self._ids, self._context, self._context - max_new_tokens, self._vocab
        )

    def _ids(self, turns: Sequence[Turn]) -> list[int]:
        text = "\n".join(content for _, content in turns)
        return [*self._vocabulary.prefix, *self._vocabulary.plain(text)]


def vocabulary(folder: Path) -> FastVocabulary:
    """The vocabulary of a checkpoint folder.

    Raises:
        CheckpointError: there is none, or it cannot be read.
    """
    path = folder / "tokenizer.json"
    try:
        if path.is_file():
            return FastVocabulary(tokenizers.Tokenizer.from_buffer(tokenizer_bytes(path)))
        return FastVocabulary(_converted(folder))
    except CheckpointError:
        raise
    except Exception as error:  # the library raises plain Exception for a broken file
        reason = " ".join(str(error).split())[:120]
        raise CheckpointError("damaged", f"the tokenizer cannot be read: {reason}") from None


def tokenizer_bytes(path: Path) -> bytes:
    """The content of a tokenizer file.

    Raises:
        CheckpointError: it is missing, too large, or a git-lfs pointer.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except FileNotFoundError:
        raise CheckpointError(
            "not_found",
            f"{path.parent.name} holds no tokenizer ({path.name})",
            f"copy {path.name} of the model into the folder",
        ) from None
    except OSError as error:
        raise CheckpointError("damaged", f"{path.name}: {error.strerror}") from None
    try:
        refuse_pointer(path.name, content)
    except WeightsError as error:
        raise CheckpointError(error.cause, error.message, error.next_step) from None
    if len(content) > LARGEST:
        raise CheckpointError("damaged", f"{path.name} is larger than {LARGEST >> 20} MiB")
    return content


def _converted(folder: Path) -> tokenizers.Tokenizer:
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


def optional_json(path: Path) -> dict[str, Any]:
    """The JSON object of a file, empty where there is no such file.

    Raises:
        CheckpointError: the file is there and no JSON object.
    """
    try:
        return read_json(path) if path.exists() else {}
    except WeightsError as error:
        raise CheckpointError(error.cause, error.message, error.next_step) from None


def template_of(folder: Path, tokenizer_config: Mapping[str, Any]) -> str | None:
    """The Jinja source of a checkpoint's chat template (`chat_template.jinja`, then
    tokenizer_config.json, then chat_template.json), or None."""
    file = folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8", errors="replace")
    found = tokenizer_config.get("chat_template")
    if found is None:
        found = optional_json(folder / "chat_template.json").get("chat_template")
    if isinstance(found, list):
        named = {e.get("name"): e.get("template") for e in found if isinstance(e, dict)}
        found = named.get("default")
    return found if isinstance(found, str) and found.strip() else None


def special_tokens(folder: Path, tokenizer_config: Mapping[str, Any]) -> dict[str, str]:
    """The named special tokens (``bos_token`` ...) that a template may write."""
    given = {**optional_json(folder / "special_tokens_map.json"), **tokenizer_config}
    names = ("bos_token", "eos_token", "pad_token", "unk_token", "sep_token", "cls_token")
    found = {}
    for name in names:
        value = given.get(name)
        text = value.get("content") if isinstance(value, dict) else value
        if isinstance(text, str):
            found[name] = text
    return found


def stop_ids(
    controls: Mapping[str, int], named: Mapping[str, str], *configs: Mapping[str, Any]
) -> frozenset[int]:
    """The ids that end an answer, from the tokenizer and the given configurations."""
    found = {controls[named["eos_token"]]} if named.get("eos_token") in controls else set()
    for config in configs:
        value = config.get("eos_token_id")
        values = value if isinstance(value, list) else [value]
        found |= {n for n in values if isinstance(n, int) and not isinstance(n, bool)}
    return frozenset(found)
