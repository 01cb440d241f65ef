"""Every checkpoint that transformers has its own class for, with a chat template or without.

The prompt is the template's text with its control tokens as ids and everything else,
above all what a person typed, as plain text.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import tokenizers

from tui.models.weights import WeightsError, read_json
from tui.worker.codec import Turns, fitted
from tui.worker.families.base import CheckpointError, Prompt, Turn
from tui.worker.template import ChatTemplate, TemplateError

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
        # A vocabulary that reaches a control token by ordinary merges: keep it apart.
        pattern = "|".join(re.escape(c) for c in sorted(self.controls, key=len, reverse=True))
        cut = re.sub(pattern, lambda m: m[0][:1] + "\0" + m[0][1:], text).split("\0")
        pieces = [self._tokenizer.encode(p, add_special_tokens=False).ids for p in cut if p]
        return [number for piece in pieces for number in piece if number not in self._forbidden]

    def decode(self, ids: Sequence[int]) -> str:
        kept = [number for number in ids if number not in self._silent]
        text: str = self._tokenizer.decode(kept, skip_special_tokens=False)
        return text


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
        except TemplateError:
            if not turns or turns[0][0] != "system" or len(turns) < 2:
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
            return FastVocabulary(tokenizers.Tokenizer.from_file(str(path)))
        return FastVocabulary(_converted(folder))
    except CheckpointError:
        raise
    except Exception as error:  # the library raises plain Exception for a broken file
        raise CheckpointError(
            "damaged", f"the tokenizer cannot be read: {str(error).splitlines()[0][:120]}"
        ) from None


def _converted(folder: Path) -> tokenizers.Tokenizer:
    known = ("tokenizer.model", "vocab.json", "spiece.model", "vocab.txt", "tiktoken.model")
    if not any((folder / name).is_file() for name in known):
        raise CheckpointError(
            "not_found",
            f"{folder.name} holds no tokenizer (tokenizer.json)",
            "copy the tokenizer files of the model into the folder",
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
