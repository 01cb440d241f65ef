"""Which GGUF file of several is meant."""

import pytest

from tui.host.errors import UserError
from tui.models.gguf_choice import choose, models_among, short_names

FILES = [
    "Qwen3-4B-Q4_K_M.gguf",
    "Qwen3-4B-Q4_0.gguf",
    "Qwen3-4B-Q8_0.gguf",
    "BF16/Qwen3-4B-BF16-00001-of-00002.gguf",
    "BF16/Qwen3-4B-BF16-00002-of-00002.gguf",
    "mmproj-Qwen3-4B-F16.gguf",
    "README.md",
]


@pytest.mark.parametrize(
    ("wanted", "file"),
    [
        ("q4_k_m", 0),
        ("Q4_0", 1),
        ("q8_0", 2),
        ("bf16", 3),
        ("Qwen3-4B-Q8_0", 2),
        ("qwen3-4b-q8_0.gguf", 2),
    ],
)
def test_a_quantisation_or_a_name_means_one_file(wanted: str, file: int) -> None:
    assert choose(FILES, wanted, "ms:a/b") == FILES[file]


@pytest.mark.parametrize(
    ("wanted", "says"),
    [("", "holds 4 GGUF files"), ("q3", "no GGUF file"), ("q5_k_m", "no GGUF file")],
)
def test_what_means_none_or_several_lists_them(wanted: str, says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        choose(FILES, wanted, "ms:a/b")
    assert "ms:a/b#q4_k_m, ms:a/b#q8_0" in caught.value.next_step


def test_the_only_file_needs_no_name() -> None:
    assert choose(["tiny.gguf", "config.json"], "", "ms:a/b") == "tiny.gguf"
    assert short_names(["tiny.gguf"]) == {"tiny.gguf": "tiny"}


def test_equal_quantisations_are_told_apart_by_their_names() -> None:
    short = short_names(["a-q8_0.gguf", "b-q8_0.gguf"])
    assert list(short.values()) == ["a-q8_0", "b-q8_0"]
    assert all(choose(short, told, "ms:a/b") == name for name, told in short.items())


def test_later_parts_and_other_files_are_no_models() -> None:
    assert models_among(FILES) == sorted([*FILES[:4]])
