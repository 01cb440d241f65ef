"""Every checkpoint that transformers has its own class for, with a chat template or without.

The prompt is the template's text with its control tokens as ids and everything else,
above all what a person typed, as plain text.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from tui.checkpoints.weight_headers import read_json
from tui.text.thought import ThoughtFormat, find_format, new_splitter
from tui.worker.checkpoint import Prompt, Turn
from tui.worker.load.chat_template import ChatTemplate, ChatTemplateError
from tui.worker.load.families import ChatFormat
from tui.worker.load.families.text_tokenizer import (
    ControlTokenizer,
    TextChatTokenizer,
    read_tokenizer_file,
)
from tui.worker.load.template_style import find_style, require_asked, turn_ends
from tui.worker.load.template_thinking import find_switch

_CHATML = "<|im_start|>"
_GUESSED = "the chat template writes <|im_start|>, no control token here: it may be a guess"
"""Programs that convert or merge models write this template where they know none."""
_TAIL_IDS = 16
"""Ids at the end of a prompt in which a mark that opens a thought is looked for."""


class TemplateTokenizer(TextChatTokenizer):
    """Conversations by the checkpoint's own chat template."""

    def __init__(
        self, text_tokenizer: ControlTokenizer, template: ChatTemplate, context: int, vocab: int
    ) -> None:
        super().__init__(text_tokenizer, context, vocab)
        self._control_tokenizer, self._template = text_tokenizer, template
        self._style = find_style(template, text_tokenizer.control_tokens)
        self.switch = find_switch(template.source, self._rendered)
        self._thought: ThoughtFormat | None = None
        controls = sorted(text_tokenizer.control_tokens, key=len, reverse=True)
        self._split = (
            re.compile("(" + "|".join(map(re.escape, controls)) + ")") if controls else None
        )
        starts = "".join(sorted({re.escape(c[0]) for c in controls}))
        self._starts = re.compile(f"[{starts}]") if starts else None

    @property
    def source(self) -> str:
        """The Jinja source of the template."""
        return self._template.source

    @property
    def style_remarks(self) -> tuple[str, ...]:
        """What is done where the template leaves something out."""
        return self._style.remarks

    def use_thought(self, form: ThoughtFormat) -> tuple[int, ...]:
        """Have the marks of this format in decoded text; the ids that end a thought early."""
        self._thought = form
        self._control_tokenizer.show(form.marks)
        return tuple(self._control_tokenizer.encode_with_controls(form.ending))

    def encode_chat(
        self, turns: Sequence[Turn], max_new_tokens: int = 0, think: str = ""
    ) -> Prompt:
        """See `ChatTokenizer.encode_chat`."""
        found = super().encode_chat(turns, max_new_tokens, think)
        return replace(found, opens_thought=self._opens_thought(found.ids))

    def _opens_thought(self, ids: Sequence[int]) -> bool:
        if self._thought is None or self._thought.has_channels:
            return False
        return self.decode(ids[-_TAIL_IDS:]).rstrip().endswith(self._thought.open)

    def _encoder(self, think: str) -> Callable[[Sequence[Turn]], list[int]]:
        return partial(self._ids, think=think)

    def _thinking_note(self, think: str) -> str:
        return self.switch.note(think)

    def _rendered(self, turns: Sequence[Turn], variables: Mapping[str, object]) -> str | None:
        try:
            return self._style.render(self._template, turns, variables)
        except ChatTemplateError as error:
            if error.raised_by_template:
                return None
            raise

    def remark(self) -> str:
        """What the model does with thinking where nothing is said; may be empty."""
        asked = self.encode_chat((("user", "?"),))
        return self.switch.remark(asked.opens_thought)

    def turn_ends(self) -> frozenset[int]:
        """The ids that end an answer in the template's own conversations."""
        controls = self._control_tokenizer.control_tokens
        return frozenset(
            controls[token] for token in turn_ends(self._template, self._style, controls)
        )

    def _ids(self, turns: Sequence[Turn], think: str = "") -> list[int]:
        used = "".join(content for _, content in turns)
        # A character that no text has (a noncharacter) behind each possible beginning of
        # a control token makes all of them in the contents inert until they are cut out.
        guard = next(chr(c) for c in range(0xFDD0, 0xFDF0) if chr(c) not in used)
        guarded = tuple(
            (role, self._guard_control_tokens(content, guard)) for role, content in turns
        )
        text = self._style.render(
            self._template, self.switch.turns(guarded, think), self.switch.variables(think)
        )
        pieces = [piece.replace(guard, "") for piece in self._pieces(text)]
        whole = "".join(pieces)
        require_asked(whole, turns)
        if pieces == self._pieces(whole):
            return self._control_tokenizer.encode_with_controls(whole)
        # Somebody typed a control token: only those of the template become one.
        ids: list[int] = []
        for index, piece in enumerate(pieces):
            ids += (
                [self._control_tokenizer.control_tokens[piece]]
                if index % 2
                else self._encode_text(piece)
            )
        return ids

    def _encode_text(self, text: str) -> list[int]:
        return self._text_tokenizer.encode_text(text) if text else []

    def _pieces(self, text: str) -> list[str]:
        """Texts and control tokens by turns."""
        return self._split.split(text) if self._split else [text]

    def _guard_control_tokens(self, content: str, guard: str) -> str:
        if self._starts is None:
            return content
        return self._starts.sub(lambda match: match[0] + guard, content)


def template_format(
    codec: TemplateTokenizer,
    controls: Mapping[str, int],
    stop_ids: frozenset[int],
    sampling_defaults: dict[str, Any],
) -> ChatFormat:
    """The text side of a checkpoint with a chat template: how its thoughts are written is found
    in the template and the control tokens."""
    thought = find_format(codec.source, controls)
    ending = codec.use_thought(thought) if thought else ()
    is_guess = _CHATML in codec.source and _CHATML not in controls
    remarks = codec.remark(), *codec.style_remarks, _GUESSED if is_guess else ""
    return ChatFormat(
        tokenizer=codec,
        stop_ids=stop_ids,
        prompt_format="template",
        new_splitter=partial(new_splitter, thought),
        thought=thought,
        thought_ending=ending,
        sampling_defaults=sampling_defaults,
        notes=tuple(filter(None, remarks)),
    )


class CompletionTokenizer(TextChatTokenizer):
    """For a model that was never taught a conversation: the texts, one after another."""

    def _ids(self, turns: Sequence[Turn]) -> list[int]:
        text = "\n".join(content for _, content in turns)
        return [*self._text_tokenizer.prefix_ids, *self._text_tokenizer.encode_text(text)]


def read_optional_json(path: Path) -> dict[str, Any]:
    """The JSON object of a file, empty where there is no such file.

    Raises:
        CheckpointError: the file is there and no JSON object.
    """
    return read_json(path) if path.exists() else {}


def find_chat_template(folder: Path, tokenizer_config: Mapping[str, Any]) -> str | None:
    """The Jinja source of a checkpoint's chat template (`chat_template.jinja`, then
    tokenizer_config.json, then chat_template.json), or None."""
    file = folder / "chat_template.jinja"
    if file.is_file():
        return read_tokenizer_file(file).decode("utf-8", "replace")
    found = tokenizer_config.get("chat_template")
    if found is None:
        found = read_optional_json(folder / "chat_template.json").get("chat_template")
    if isinstance(found, list):
        named = {e.get("name"): e.get("template") for e in found if isinstance(e, dict)}
        found = named.get("default")
    return found if isinstance(found, str) and found.strip() else None


def find_own_template(folder: Path) -> str:
    """The chat template among a folder's tokenizer files, "" where there is none."""
    tokenizer_config = read_optional_json(folder / "tokenizer_config.json")
    return find_chat_template(folder, tokenizer_config) or ""


def named_special_tokens(folder: Path, tokenizer_config: Mapping[str, Any]) -> dict[str, str]:
    """The named special tokens (``bos_token`` ...) that a template may write."""
    given = {**read_optional_json(folder / "special_tokens_map.json"), **tokenizer_config}
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
