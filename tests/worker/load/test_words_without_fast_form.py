"""Checkpoints whose words are in the files that came before `tokenizer.json`: the same ids, or one
sentence."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from transformers.convert_slow_tokenizer import bytes_to_unicode

from benchmarks.support import tiny
from tui.checkpoints.errors import CheckpointError
from tui.models.discover import find_checkpoint
from tui.worker.load.loader import open_chat_format

TEXTS = ["hello world", "the quick brown fox", "同济大学 hello", "f(x) = 1"]


def whole() -> Any:
    return tiny.tokenizer()


def pieces() -> tuple[dict[str, int], list[list[str]]]:
    model = json.loads(whole().to_str())["model"]
    return model["vocab"], model["merges"]


def write(folder: Path, kind: str, **said: Any) -> Path:
    """A checkpoint without words."""
    tiny.write_llama(folder)
    (folder / "tokenizer.json").unlink()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": kind}))
    (folder / "tokenizer_config.json").write_text(json.dumps(said))
    return folder


def write_merges(folder: Path) -> None:
    vocab, merges = pieces()
    (folder / "vocab.json").write_text(json.dumps(vocab))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *map(" ".join, merges)]) + "\n")


def test_words_and_merges_are_read_by_the_type(tmp_path: Path) -> None:
    write_merges(write(tmp_path, "qwen2"))
    codec = open_chat_format(tmp_path).tokenizer
    for text in TEXTS:
        assert codec.encode(text) == whole().encode(text, add_special_tokens=False).ids
        assert codec.decode(codec.encode(text)) == text


def test_words_without_merges_are_no_tokenizer(tmp_path: Path) -> None:
    write_merges(write(tmp_path, "qwen2"))
    (tmp_path / "merges.txt").unlink()
    with pytest.raises(CheckpointError, match=r"holds no tokenizer \(merges\.txt\)"):
        open_chat_format(tmp_path)
    found = find_checkpoint(tmp_path, "./m")
    assert found and (found.state, found.why) == ("partial", "no tokenizer (merges.txt)")


def write_tiktoken(folder: Path) -> None:
    vocab, _ = pieces()
    back = {char: byte for byte, char in bytes_to_unicode().items()}
    words = [w for w in sorted(vocab, key=lambda word: vocab[word]) if not w.startswith("<|")]
    lines = [
        f"{base64.b64encode(bytes(back[char] for char in word)).decode()} {number}"
        for number, word in enumerate(words)
    ]
    (folder / "tiktoken.model").write_text("\n".join(lines) + "\n")


def test_a_tiktoken_file_alone_is_read_and_told_of(tmp_path: Path) -> None:
    write_tiktoken(write(tmp_path, "llama", chat_template=tiny.TEMPLATE))
    words = open_chat_format(tmp_path)
    for text in TEXTS:
        ids = words.tokenizer.encode(text)
        # Control tokens are no part of such a file.
        assert [n + 3 for n in ids] == whole().encode(text, add_special_tokens=False).ids
        assert words.tokenizer.decode(ids) == text
    assert any("does not say how texts are cut" in note for note in words.notes)


def write_list(folder: Path) -> None:
    special = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    (folder / "vocab.txt").write_text("\n".join([*special, "hello", "world", "##s"]) + "\n")


@pytest.mark.parametrize(
    ("kind", "make", "name"),
    [
        ("llama", write_merges, "vocab.json"),
        ("llama", write_list, "vocab.txt"),
        ("qwen2", write_list, "vocab.txt"),
        ("bert", write_merges, "vocab.json"),
    ],
)
def test_words_of_another_kind_are_refused(kind: str, make: Any, name: str, tmp_path: Path) -> None:
    make(write(tmp_path, kind))
    with pytest.raises(CheckpointError, match=f"have other words than {name}"):
        open_chat_format(tmp_path)


def test_a_list_of_words_is_read_by_its_type(tmp_path: Path) -> None:
    write_list(write(tmp_path, "bert"))
    assert open_chat_format(tmp_path).tokenizer.encode("hello worlds") == [5, 6, 7]


@pytest.mark.parametrize("content", ["{", "[]", "\0"])
def test_a_broken_file_is_one_line(content: str, tmp_path: Path) -> None:
    write_merges(write(tmp_path, "qwen2"))
    (tmp_path / "vocab.json").write_text(content)
    with pytest.raises(CheckpointError) as caught:
        open_chat_format(tmp_path)
    assert caught.value.message and "\n" not in caught.value.message
