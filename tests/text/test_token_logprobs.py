"""What services tell of tokens: odd and hostile forms."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.text.token_logprobs import read_logprobs

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: (
        st.lists(children)
        | st.dictionaries(
            st.sampled_from(
                ["content", "token", "logprob", "top_logprobs", "bytes", "tokens", "token_logprobs"]
            ),
            children,
        )
    ),
)


def read_one(**item: Any) -> Any:
    ((token,), _) = read_logprobs({"content": [item]})
    return token


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        *((-0.5, -0.5), (-2, -2.0), (0, 0.0), (1e-7, 0.0)),
        *((-9999, -9999.0), (-3.4e38, -9999.0), (float("-inf"), -9999.0), (-(10**400), -9999.0)),
        *((None, None), ("-0.5", None), (True, None), ([], None), (0.7, None), (10**400, None)),
        *((float("nan"), None), (float("inf"), None)),
    ],
)
def test_a_token_keeps_its_place_whatever_its_probability(told: Any, wanted: Any) -> None:
    assert read_one(token="a", logprob=told) == ("a", wanted, [])
    likely = [] if wanted is None else [["b", wanted]]
    assert read_one(token="a", top_logprobs=[{"token": "b", "logprob": told}])[2] == likely


def test_a_probability_may_be_missing() -> None:
    assert read_one(token="a") == ("a", None, [])


def test_a_part_of_a_character_is_told_by_its_bytes() -> None:
    assert read_one(token="�", bytes=[0xE5, 0xA5], logprob=-1)[0] == "<0xE5><0xA5>"
    assert read_one(token="好", bytes=[0xE5, 0xA5, 0xBD])[0] == "好"
    for odd in (None, "x", [], [-1], [256], [True], [1.0], list(range(256)) * 2):
        assert read_one(token="�", bytes=odd)[0] == "�"


def test_lists_and_tokens_are_bounded_and_can_be_written() -> None:
    top = [{"token": "x", "logprob": -1}] * 10_000
    token, _, likely = read_one(token="\ud800" + "y" * 10**6, logprob=-1, top_logprobs=top)
    assert (token[:3], len(token), len(likely)) == ("?yy", 256, 20)
    token.encode()


def test_the_older_form_of_completions_is_read() -> None:
    said = {
        "tokens": ["a", "b", "c"],
        "token_logprobs": [None, -0.5],
        "top_logprobs": [None, {"b": -0.5, "x": -2.0}, 3, {"d": -1}],
        "text_offset": [0, 1],
    }
    assert read_logprobs(said) == (
        [("a", None, []), ("b", -0.5, [["b", -0.5], ["x", -2.0]]), ("c", None, [])],
        True,
    )


@pytest.mark.parametrize("odd", [None, [], "x", 3, {}, {"content": 3}, {"tokens": "abc"}])
def test_what_is_no_list_of_tokens_is_none(odd: Any) -> None:
    assert read_logprobs(odd) == ([], True)


@given(JSON)
def test_whatever_comes_can_be_written_to_a_file(said: Any) -> None:
    for form in (said, {"content": said}, {"tokens": said, "top_logprobs": said}):
        found, _ = read_logprobs(form)
        json.dumps(found, allow_nan=False).encode()
        assert all(log is None or log <= 0 for _, log, _ in found)
