"""Streaming gives the text of a whole decode, piece by piece, and never half a character."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models

from benchmarks.support import tiny
from tui.worker.decode.detokeniser import REPLACEMENT_CHARACTER, Detokeniser

TOKENIZER = tiny.tokenizer()


def decode(ids: Sequence[int]) -> str:
    return TOKENIZER.decode(list(ids), skip_special_tokens=False)


def pieces(ids: Sequence[int], how: Callable[[Sequence[int]], str] = decode) -> list[str]:
    stream = Detokeniser(how)
    return [*(stream.push(i) for i in ids), stream.finish()]


@pytest.mark.parametrize(
    "text", ["hello world", "同济大学，四平路 1239 号。", "a👩‍👩‍👧‍👦b🇨🇳", "é" * 60, "汉" * 200, ""]
)
def test_pieces_add_up_and_hold_only_whole_characters(text: str) -> None:
    ids = TOKENIZER.encode(text).ids
    found = pieces(ids)
    assert "".join(found) == text
    assert all(REPLACEMENT_CHARACTER not in piece for piece in found)


def test_a_character_appears_with_the_token_that_completes_it() -> None:
    ids = TOKENIZER.encode("汉").ids
    assert len(ids) == 3
    assert pieces(ids) == ["", "", "汉", ""]


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=120))
def test_any_text_survives(text: str) -> None:
    assert "".join(pieces(TOKENIZER.encode(text).ids)) == text


def test_bytes_that_never_become_a_character_are_given_out_in_the_end() -> None:
    lone = TOKENIZER.encode("汉").ids[0]
    found = pieces([lone] * 40 + TOKENIZER.encode("ok").ids)
    assert "".join(found).endswith("ok")
    assert REPLACEMENT_CHARACTER in "".join(found)
    assert pieces([lone])[-1] == REPLACEMENT_CHARACTER


def test_a_decoder_that_drops_the_leading_space_keeps_the_inner_ones() -> None:
    vocab = {"▁the": 0, "▁fox": 1, "es": 2, "<0xE6>": 3, "<0xB1>": 4, "<0x89>": 5}
    made = Tokenizer(models.BPE(vocab=vocab, merges=[], byte_fallback=True))
    made.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    ids = [0, 1, 2, 3, 4, 5] * 30 + [3, 4, 5] * 30
    assert "".join(pieces(ids, made.decode)) == made.decode(ids)


def test_the_cost_of_a_token_does_not_grow() -> None:
    longest = 0

    def counted(ids: Sequence[int]) -> str:
        nonlocal longest
        longest = max(longest, len(ids))
        return decode(ids)

    ids = TOKENIZER.encode("the quick 汉字 fox " * 200).ids
    assert "".join(pieces(ids, counted)) == "the quick 汉字 fox " * 200
    assert longest <= 64
