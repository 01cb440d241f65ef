"""An end that only repeats itself is found, and nothing else."""

import random

import pytest

from tui.text.repetition import CHARACTERS, TOKENS, RepetitionRule

SMALL = RepetitionRule(longest_cycle=3, shortest_run=6, repeats=3)


@pytest.mark.parametrize(
    ("items", "begin"),
    [
        ("abc" + "x" * 6, 3),
        ("abc" + "x" * 5, None),
        ("a" + "xy" * 3, 1),
        ("a" + "xyz" * 3, 1),
        ("xyz" * 2 + "xy", None),  # two cycles and a bit
        ("abcd" * 4, None),  # a longer cycle than is looked for
        ("xxxxxxa", None),  # it went on
        ("", None),
        ("x", None),
    ],
)
def test_where_the_repetition_begins(items: str, begin: int | None) -> None:
    assert SMALL.begin(items) == begin
    assert SMALL.begin([ord(item) for item in items]) == begin


def test_the_beginning_is_found_however_late_one_looks() -> None:
    text = "It is so! " + "We go on and on. " * 80
    assert CHARACTERS.begin(text) == text.index("We") - 1  # a space stands before each
    assert CHARACTERS.begin(text[-CHARACTERS.reach :]) == 0


@pytest.mark.parametrize(
    "text",
    [
        "| 0 | 0 | 0 |\n" * 8,
        "-" * 80,
        "".join(f"{number}. once more\n" for number in range(60)),
        "".join(random.Random(1).choices("ab", k=5000)),
    ],
    ids=["table", "line", "list", "noise"],
)
def test_what_people_ask_for_is_no_repetition(text: str) -> None:
    assert CHARACTERS.begin(text) is None
    assert TOKENS.begin(text.split(" ")) is None
