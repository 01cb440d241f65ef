"""Where two answers part, and how what could have been said there is shown."""

import math
from typing import Any

import pytest

from tui.events import Logprobs
from tui.scoring.parting import Step, describe_step, find_parting


def tokens(*words: str) -> list[Logprobs]:
    return [Logprobs(0, word, -0.1) for word in words]


@pytest.mark.parametrize(
    ("left", "right", "at"),
    [
        (("a", "b"), ("a", "b", "c"), None),
        (("a", "b"), ("a", "c"), 1),
        ((" the", " cat"), (" there",), 0),
        (("a", ""), ("a", "b"), 1),
        # The same text by another tokenizer.
        (("Hel", "lo", "!"), ("Hello", "!"), None),
        ((), ("a",), None),
    ],
)
def test_the_first_other_token_is_found(
    left: tuple[str, ...], right: tuple[str, ...], at: int | None
) -> None:
    assert find_parting(tokens(*left), tokens(*right)) == at
    assert find_parting(tokens(*right), tokens(*left)) == at


def test_parts_of_a_character_that_are_not_told_are_no_other_text() -> None:
    untold = [Logprobs(0, "", None), *tokens("<0xD9><0x4F>")]
    assert find_parting(untold, tokens("<0xD9>", "<0x4F>")) is None
    assert find_parting(untold, tokens("a", "<0x4F>")) == 0


def test_the_likeliest_stand_first_and_the_chosen_one_is_known() -> None:
    top: list[Any] = [["b", -2.0], ["a", -0.25], ["c", -9999.0]]
    said = describe_step(Logprobs(0, "a", -0.25, top), "(none)")
    assert said == Step("“a” 77.9%", "“a” 77.9%, “b” 13.5%, “c” 0.0%", True)
    assert describe_step(Logprobs(0, "z", None, top), "(none)").chosen == "“z”"
    assert not describe_step(Logprobs(0, "z", None, top), "(none)").is_first


def test_only_five_are_shown() -> None:
    top: list[Any] = [[str(i), -1.0 - i] for i in range(20)]
    assert describe_step(Logprobs(0, "0", -1.0, top), "").likeliest.count("%") == 5


@pytest.mark.parametrize(
    ("token", "shown"),
    [
        (" cat", "“ cat”"),
        (" ", "“␣”"),
        ("   x", "“␣␣␣x”"),
        ("\n", "“↵”"),
        ("\t\n", "“⇥↵”"),
        ("", "(none)"),
        ("\u200b", "(none)"),
        ("\x1b[2J\x07\u202e", "“␛[2J␇�”"),
        ("x" * 99, f"“{'x' * 23}…”"),
        ("<0xE5>", "“<0xE5>”"),
    ],
)
def test_a_token_is_shown_in_one_line_that_steers_nothing(token: str, shown: str) -> None:
    assert describe_step(Logprobs(0, token, None), "(none)").chosen == shown


def test_a_session_file_may_hold_anything() -> None:
    odd: list[Any] = [
        *(None, 3, "x", [], ["a"], ["a", None], ["a", "b"], [3, -1.0], ["a", True], ["a", 0.5]),
        *(["a", math.nan], ["a", math.inf], ["low", -math.inf], ["huge", -(10**400)]),
    ]
    said = describe_step(Logprobs(0, "a", 5.0, odd), "(none)")
    assert said == Step("“a”", "“low” 0.0%, “huge” 0.0%", False)
