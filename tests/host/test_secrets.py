"""Secrets of the environment are masked whole and in part, in text and in streams of it."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.host import secrets
from tui.host.errors import UserError
from tui.host.secrets import MASK, PART, Mask, StreamMask, environment_mask

KEY = "sk-canary/c0ffee+5d41402abc4b"
OTHER = "ghp_0123456789abcdefghij"
TEXT = st.text(alphabet="sk-canry/c0fe+5d41gp 好\n", max_size=40)
PIECES = st.lists(
    st.one_of(TEXT, st.builds(lambda a, n: KEY[a : a + n], st.integers(0, 28), st.integers(1, 29))),
    max_size=8,
)


def parts(secret: str) -> set[str]:
    return {secret[i : i + PART] for i in range(len(secret) - PART + 1)}


def leaks(text: str) -> set[str]:
    return {part for secret in (KEY, OTHER) for part in parts(secret) if part in text}


@given(PIECES)
def test_no_part_of_eight_characters_stays_and_nothing_else_goes(pieces: list[str]) -> None:
    text = "".join(pieces)
    masked = Mask([KEY, OTHER]).redact(text)
    assert not leaks(masked)
    assert (masked == text) == (not leaks(text))
    kept = masked.split(MASK)
    at = 0
    for piece in kept:  # what stays is in its order
        at = text.index(piece, at) + len(piece)


@given(PIECES, st.lists(st.integers(0, 200)))
def test_a_stream_is_masked_however_it_is_cut(pieces: list[str], cuts: list[int]) -> None:
    text = "".join(pieces)
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    stream = StreamMask(Mask([KEY, OTHER]))
    shown = "".join(stream.feed(text[a:b]) for a, b in pairwise(places)) + stream.finish()
    assert not leaks(shown)
    if not leaks(text):
        assert shown == text


@pytest.mark.parametrize("size", [1, 2, 3, 5, 40])
def test_of_a_key_that_streams_in_at_most_three_characters_are_seen(size: int) -> None:
    text = f"the key is {KEY}, use it"
    stream = StreamMask(Mask([KEY]))
    pieces = [text[i : i + size] for i in range(0, len(text), size)]
    shown = "".join(map(stream.feed, pieces)) + stream.finish()
    before, _, after = shown.partition(MASK)
    assert after == ", use it"
    assert before in [f"the key is {KEY[:n]}" for n in range(4)]


@pytest.mark.parametrize("sign", ["\u200b", "\u200d", "\u00ad", "\ufe0f", "\u2060\ufeff"])
def test_invisible_characters_hide_no_key(sign: str) -> None:
    text = f"the key is {sign.join(KEY)}, use it"
    assert Mask([KEY]).redact(text) == f"the key is {MASK}, use it"
    for size in (1, 2, 5, 40):
        stream = StreamMask(Mask([KEY]))
        pieces = [text[i : i + size] for i in range(0, len(text), size)]
        shown = ("".join(map(stream.feed, pieces)) + stream.finish()).replace(sign, "")
        for one in sign:
            shown = shown.replace(one, "")
        before, mask, _ = shown.partition(MASK)
        assert mask and not leaks(shown)
        assert before in [f"the key is {KEY[:n]}" for n in range(4)]


def test_invisible_characters_without_end_are_not_held() -> None:
    stream = StreamMask(Mask([KEY]))
    pieces = [KEY[:6], *["\u200b" * 5000] * 20, KEY[6:], "."]
    assert "".join(map(stream.feed, pieces)) + stream.finish() == f"{MASK}."


def test_invisible_characters_of_honest_text_stay() -> None:
    text = "می\u200cخواهم 👩\u200d👧 sk-c\u00adare \u2764\ufe0f"
    stream = StreamMask(Mask([KEY]))
    assert Mask([KEY]).redact(text) == text == "".join(map(stream.feed, text)) + stream.finish()


def test_text_that_is_none_is_passed_on_at_once() -> None:
    stream = StreamMask(Mask([KEY]))
    assert [stream.feed(piece) for piece in ("巴黎", "。", " Paris", " is it")] == [
        *("巴黎", "。", " Paris", " is it")
    ]


@pytest.mark.parametrize(
    ("name", "value", "text", "masked"),
    [
        ("OPENAI_API_KEY", KEY, f"wrong key {KEY[:12]}...", "wrong key ***..."),
        ("aws_secret_access_key", KEY, f"x{KEY[5:20]}y", "x***y"),
        ("GITHUB_TOKEN", f" {OTHER}\n", OTHER, MASK),
        ("GITHUB_TOKEN", OTHER, OTHER[:7], OTHER[:7]),
        ("PGPASSWORD", "hunter-2", "is it hunter-2?", "is it ***?"),
        ("SOME_TOKEN", "abc123", "an abc123", "an ***"),
        ("MY_KEY", f"https://x:{KEY}@host", "see https://x.org", "see https://x.org"),
        # Not secret: a word, a path, a variable of another kind.
        ("DB_PASSWORD", "password", "a password", "a password"),
        ("DUIBI_API_KEY", "EMPTY", "EMPTY", "EMPTY"),
        ("SSL_KEY", str(Path(__file__)), f"in {Path(__file__).parent}", str(Path(__file__).parent)),
        ("HOME", "/home/someone-else", "/home/someone-else", "/home/someone-else"),
    ],
)
def test_what_counts_as_a_secret(name: str, value: str, text: str, masked: str) -> None:
    assert environment_mask({name: value}).redact(text).endswith(masked)


@pytest.mark.parametrize(
    ("address", "secret"),
    [
        ("http://me:s3cret-password@proxy:8080", "s3cret-password"),
        ("https://ghp_0123456789@index/simple https://b:pa55word%2Fx@other", "pa55word/x"),
        ("https://ghp_0123456789@index/simple", "ghp_0123456789"),
        ("socks5h://me:s3cret-password@[::1", "s3cret-password"),
    ],
)
def test_the_password_in_any_address_of_the_environment_is_masked(
    address: str, secret: str
) -> None:
    mask = environment_mask({"ANY_ADDRESS": address})
    assert mask.redact(f"x {secret} y") == f"x {MASK} y"
    assert secret not in mask.redact(address)
    honest = "the proxy of the index is simple, and me@host is no login"
    assert mask.redact(honest) == honest


def test_an_error_tells_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", OTHER)
    error = UserError(f"no such host: {OTHER}", f"not {OTHER[3:14]}")
    assert (error.message, error.next_step, str(error)) == (
        "no such host: ***",
        "not ***",
        "no such host: ***",
    )
    assert secrets.redact_secrets(OTHER) == MASK
