"""Published templates are told whether to think in the words that they understand."""

from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

import pytest

from tui.text.thought import find_format
from tui.worker.load.chat_template import ChatTemplate
from tui.worker.load.families.general import TemplateTokenizer
from tui.worker.load.template_style import find_style, turn_ends
from tui.worker.load.template_thinking import (
    NEVER_OFF,
    NO_SWITCH,
    ON_AND_OFF,
    ThinkingSwitch,
    find_switch,
)

TEMPLATES = Path(__file__).parents[2] / "data" / "templates"
ASKED = (("user", "Why is the sky blue?"),)
CONTROLS = {
    "qwen3": ("<|im_start|>", "<|im_end|>", "<think>", "</think>"),
    "glm-4.6": ("[gMASK]", "<sop>", "<|system|>", "<|user|>", "<|assistant|>", "<think>"),
    "deepseek-r1-distill": ("<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>"),
    "gpt-oss": ("<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|return|>"),
    "nemotron-nano-v2": ("<SPECIAL_10>", "<SPECIAL_11>", "<SPECIAL_12>"),
    "minicpm5": ("<|im_start|>", "<|im_end|>"),
}
# Levels that stand behind each other: no others, and none that turns thinking off.
TWO_LEVELS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>{% endfor %}"
    "{% set effort = reasoning_effort | default('high') %}{% if effort not in ['none', 'high'] %}"
    "{{ raise_exception('reasoning_effort is none or high') }}{% endif %}"
    "<|im_start|>assistant\n{% if effort == 'none' %}<think></think>{% endif %}"
)


class Words:
    """A vocabulary of characters, and of a template's control tokens."""

    def __init__(self, controls: tuple[str, ...]) -> None:
        self.control_tokens = {token: 0x110000 + n for n, token in enumerate(controls)}
        self.prefix_ids: list[int] = []

    def encode_text(self, text: str) -> list[int]:
        return [ord(c) for c in text]

    def encode_with_controls(self, text: str) -> list[int]:
        ids = []
        while text:
            at = [t for t in self.control_tokens if text.startswith(t)]
            token = max(at, key=len) if at else text[0]
            ids.append(self.control_tokens[token] if at else ord(token))
            text = text[len(token) :]
        return ids

    def show(self, tokens: Collection[str]) -> None:
        pass

    def decode(self, ids: Sequence[int]) -> str:
        texts = {number: token for token, number in self.control_tokens.items()}
        return "".join(texts.get(number) or chr(number) for number in ids)


@pytest.fixture
def opened() -> Iterator[Callable[[str, tuple[str, ...]], TemplateTokenizer]]:
    made: list[ChatTemplate] = []

    def open_(source: str, controls: tuple[str, ...]) -> TemplateTokenizer:
        made.append(ChatTemplate(source, {"bos_token": ""}))
        codec = TemplateTokenizer(Words(controls), made[-1], 1 << 20, 1 << 22)
        if form := find_format(source, controls):
            codec.use_thought(form)
        return codec

    yield open_
    for template in made:
        template.close()


Open = Callable[[str, tuple[str, ...]], TemplateTokenizer]


def prompt(codec: TemplateTokenizer, think: str) -> tuple[str, bool, str]:
    found = codec.encode_chat(ASKED, 10, think)
    return codec.decode(found.ids), found.opens_thought, found.note


def published(name: str) -> tuple[str, tuple[str, ...]]:
    # A file ends in a line end that the template does not have.
    return (TEMPLATES / f"{name}.jinja").read_text("utf-8").removesuffix("\n"), CONTROLS[name]


@pytest.mark.parametrize(
    ("name", "switch"),
    [
        ("qwen3", ThinkingSwitch(("enable_thinking",), by_default=True)),
        ("glm-4.6", ThinkingSwitch(("enable_thinking",), by_default=True)),
        ("deepseek-r1-distill", ThinkingSwitch()),
        ("gpt-oss", ThinkingSwitch((), ("low", "medium", "high"), by_default=True)),
        ("nemotron-nano-v2", ThinkingSwitch(word_role="system", by_default=True)),
        ("minicpm5", ThinkingSwitch(("enable_thinking",), by_default=None)),
    ],
)
def test_what_a_published_template_understands(
    opened: Open, name: str, switch: ThinkingSwitch
) -> None:
    assert opened(*published(name)).switch == switch


@pytest.mark.parametrize("name", ["qwen3", "glm-4.6", "nemotron-nano-v2"])
def test_thinking_is_turned_off_as_published(opened: Open, name: str) -> None:
    codec = opened(*published(name))
    plain, opens, note = prompt(codec, "")
    assert prompt(codec, "on") == (plain, opens, "")
    off, opens, note = prompt(codec, "off")
    assert off != plain
    assert (off.rstrip().endswith("</think>"), opens, note) == (True, False, "")
    assert ASKED[0][1] in off
    assert prompt(codec, "high")[2] == ON_AND_OFF


def test_a_template_that_leaves_thinking_to_its_model_says_so(opened: Open) -> None:
    codec = opened(*published("minicpm5"))
    assert "decides itself" in codec.remark()
    plain, opens, _ = prompt(codec, "")
    assert (plain.endswith("<|im_start|>assistant\n"), opens) == (True, False)
    assert prompt(codec, "on") == (plain + "<think>\n", True, "")
    assert prompt(codec, "off") == (plain + "<think>\n\n</think>\n\n", False, "")


def test_a_template_that_opens_the_thought_says_so(opened: Open) -> None:
    codec = opened(*published("deepseek-r1-distill"))
    text, opens, note = prompt(codec, "off")
    assert (opens, note) == (True, NO_SWITCH)
    assert text.endswith("<｜Assistant｜><think>\n")
    assert "always thinks" in codec.remark()
    assert prompt(opened(*published("nemotron-nano-v2")), "")[1]


def test_levels_go_to_the_template(opened: Open) -> None:
    codec = opened(*published("gpt-oss"))
    assert "Reasoning: medium" in prompt(codec, "")[0]
    assert "Reasoning: high" in prompt(codec, "high")[0]
    assert "Reasoning: medium" in prompt(codec, "on")[0]
    off, _, note = prompt(codec, "off")
    assert ("Reasoning: low" in off, note) == (True, NEVER_OFF)


def test_only_levels_that_the_template_takes_are_given(opened: Open) -> None:
    codec = opened(TWO_LEVELS, CONTROLS["qwen3"])
    assert codec.switch == ThinkingSwitch((), ("none", "high"), by_default=True)
    assert prompt(codec, "off")[0].endswith("<think></think>")
    assert prompt(codec, "off")[2] == ""
    text, _, note = prompt(codec, "low")
    assert (text, note) == (prompt(codec, "")[0], ON_AND_OFF)


def test_a_model_that_was_not_taught_thoughts_says_nothing_of_them(opened: Open) -> None:
    codec = opened("{% for m in messages %}{{ m.content }}{% endfor %}", ("<|im_end|>",))
    assert (codec.remark(), prompt(codec, "")[2], prompt(codec, "on")[2]) == ("", "", NO_SWITCH)


@pytest.mark.parametrize(
    ("name", "ends"),
    [
        ("qwen3", {"<|im_end|>"}),
        ("glm-4.6", {"<|user|>"}),
        ("deepseek-r1-distill", {"<｜end▁of▁sentence｜>"}),
        # What ends one message of an answer does not end it; generation_config.json names the end.
        ("gpt-oss", set()),
        ("nemotron-nano-v2", {"<SPECIAL_12>"}),
        ("minicpm5", {"<|im_end|>"}),
    ],
)
def test_an_answer_ends_where_the_published_template_ends_a_turn(name: str, ends: set[str]) -> None:
    source, controls = published(name)
    template = ChatTemplate(source, {"bos_token": ""})
    try:
        assert turn_ends(template, find_style(template), controls) == ends
    finally:
        template.close()


def test_a_template_that_fails_is_not_taken_for_one_that_understands() -> None:
    switch = find_switch("enable_thinking", lambda turns, variables: None)
    assert switch == ThinkingSwitch()
