"""Thought and answer are told apart while they come, whatever the pieces."""

import pytest

from tui.text.thought import (
    FORMATS,
    FunctionSplitter,
    ThoughtFormat,
    find_format,
    new_splitter,
)

CHANNELS, TAGS = FORMATS[0], FORMATS[1]
ANALYSIS = "<|channel|>analysis<|message|>"
TO_FINAL = "<|end|><|start|>assistant<|channel|>final<|message|>"
NEXT = "<|end|><|start|>assistant<|channel|>commentary<|message|>"


def divide(form: ThoughtFormat | None, opens: bool, answer: str, size: int) -> tuple[str, str]:
    made = new_splitter(form, opens)
    thought = text = ""
    for begin in range(0, len(answer), size):
        more = made.push(answer[begin : begin + size], last=begin + size >= len(answer))
        thought, text = thought + more[0], text + more[1]
    assert made.characters == len(text)
    return thought, text


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize(
    ("form", "opens", "answer", "parts"),
    [
        (TAGS, False, "<think>\nwhy <b>\n</think>\n\nbecause", ("why <b>", "because")),
        (TAGS, True, "\n why <b></think>because", ("why <b>", "because")),
        (TAGS, True, "<think>\nagain</think>yes", ("again", "yes")),
        (TAGS, False, " plain </think> text", ("", " plain </think> text")),
        (TAGS, False, "<thi", ("", "<thi")),
        (TAGS, True, "only thought \n", ("only thought", "")),
        (TAGS, True, "a </thin b", ("a </thin b", "")),
        (None, False, "<think>x</think>y", ("", "<think>x</think>y")),
        (CHANNELS, False, f"{ANALYSIS}hm{TO_FINAL}Yes <b>", ("hm", "Yes <b>")),
        (CHANNELS, False, f"{ANALYSIS}hm{NEXT}two{TO_FINAL}Yes", ("hm\n\ntwo", "Yes")),
        (CHANNELS, False, "<|channel|>final<|message|>Yes", ("", "Yes")),
        (CHANNELS, False, f"{ANALYSIS}hm", ("hm", "")),
        (CHANNELS, False, "without a channel", ("", "without a channel")),
    ],
)
def test_parts_of_an_answer(
    form: ThoughtFormat | None, opens: bool, answer: str, parts: tuple[str, str], size: int
) -> None:
    assert divide(form, opens, answer, size) == parts


@pytest.mark.parametrize("form", FORMATS)
def test_what_ends_a_thought_early_ends_it(form: ThoughtFormat) -> None:
    made = new_splitter(form, begins_open=not form.has_channels)
    made.push(f"{form.open}so")
    assert made.is_thinking
    made.push(form.ending)
    assert not made.is_thinking
    assert made.push("Yes") == ("", "Yes")


def test_text_that_was_given_is_not_taken_back() -> None:
    made = FunctionSplitter(lambda t: ("", t.rstrip("<")), lambda t: ("", t))
    assert [made.push("a<"), made.push("", last=True)] == [("", "a"), ("", "<")]


def test_the_format_is_found_in_template_and_vocabulary() -> None:
    harmony = dict.fromkeys(CHANNELS.marks, 0)
    assert find_format("", harmony) == CHANNELS
    assert find_format("{{ '<think>' }}", {}) == TAGS
    assert find_format("", {"<think>": 5}) == TAGS
    assert find_format("", {"[THINK]": 5}) == FORMATS[3]
    assert find_format("{{ m }}", {"<|im_end|>": 1}) is None
