"""Where two answers part."""

from difflib import SequenceMatcher
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.scoring import differences
from tui.scoring.differences import CHANGED, ONLY, SAME, DiffSpan, diff_texts, similarity

texts = st.text(alphabet="ab 我你他，。\n_-x9é😀", max_size=60)


@given(texts, texts)
def test_spans_cover_both_texts_and_the_same_is_the_same(left: str, right: str) -> None:
    spans = diff_texts(left, right)
    for text, found in zip((left, right), spans, strict=True):
        at = 0
        for span in found:
            assert span.start == at < span.end
            at = span.end
            assert all(span.start <= a < b <= span.end for a, b in span.changed_parts)
        assert at == len(text)
    same = [
        [text[s.start : s.end] for s in found if s.kind == SAME]
        for text, found in zip((left, right), spans, strict=True)
    ]
    assert same[0] == same[1]
    assert (similarity(left, right) == 1) == (left == right)


def marked(text: str, spans: list[DiffSpan]) -> list[tuple[str, str, list[str]]]:
    return [
        (s.kind, text[s.start : s.end], [text[a:b] for a, b in s.changed_parts])
        for s in spans
        if s.kind != SAME
    ]


def test_a_changed_chinese_character_is_marked_alone() -> None:
    left, right = "明明喜欢白白", "明明讨厌白白"
    a, b = diff_texts(left, right)
    assert marked(left, a) == [(CHANGED, "喜欢", ["喜欢"])]
    assert marked(right, b) == [(CHANGED, "讨厌", ["讨厌"])]


def test_a_changed_word_is_marked_whole_with_its_characters_inside() -> None:
    left, right = "the colour is red", "the color is red, truly"
    a, b = diff_texts(left, right)
    assert marked(left, a) == [(CHANGED, "colour", ["u"])]
    assert marked(right, b) == [(CHANGED, "color", []), (ONLY, ", truly", [])]


def test_long_and_monotonous_texts_take_no_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs: list[int] = []

    class Counted(SequenceMatcher[Any]):
        def __init__(self, junk: None, a: Any, b: Any, autojunk: bool) -> None:
            pairs.append(len(a) * len(b))
            super().__init__(junk, a, b, autojunk)

    monkeypatch.setattr(differences, "SequenceMatcher", Counted)
    diff_texts("哈" * 30_000, "哈" * 29_999 + "呵")
    diff_texts("\n" * 30_000, "\n" * 20_000)
    # Matching is quadratic.
    assert pairs and max(pairs) <= differences.MAX_PRODUCT
