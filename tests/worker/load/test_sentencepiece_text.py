"""A checkpoint whose words are a sentencepiece model alone, as many are published."""

import json
from pathlib import Path
from typing import Any

import pytest
import sentencepiece

from benchmarks.support import tiny
from tui.checkpoints.errors import CheckpointError
from tui.models.inspect import inspect_folder
from tui.worker.load.loader import open_chat_format, open_checkpoint

LINES = [
    "the quick brown fox jumps over the lazy dog",
    "hello world, how are you?",
    "同济大学 在 上海",
    "def f(x): return x + 1",
]
TEXTS = [
    "hello world",
    " two  spaces ",
    "同济大学 hello",
    "a\nb\n\n c",
    "fox 👋",
    "x",
    "f(x) <div>",
]
BEGIN, END = "<|im_start|>", "<|im_end|>"
SAID = {"eos_token": END, "chat_template": tiny.TEMPLATE}


@pytest.fixture(scope="module", params=["bpe", "unigram"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("words")
    (folder / "corpus.txt").write_text("\n".join(LINES * 40))
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "corpus.txt"),
        model_prefix=str(folder / "words"),
        model_type=request.param,
        vocab_size=330,
        hard_vocab_limit=False,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        user_defined_symbols=["[UNUSED]", "plain"],
        minloglevel=2,
    )
    return folder / "words.model"


def write(folder: Path, model: Path, name: str = "tokenizer.model", **said: Any) -> Path:
    tiny.write_llama(folder, vocab_size=400)
    (folder / "tokenizer.json").unlink()
    (folder / name).write_bytes(model.read_bytes())
    (folder / "tokenizer_config.json").write_text(json.dumps(SAID | said))
    (folder / "added_tokens.json").write_text(json.dumps({BEGIN: 390, END: 391}))
    return folder


@pytest.mark.parametrize("name", ["tokenizer.model", "spiece.model"])
def test_ids_are_those_of_sentencepiece(model: Path, tmp_path: Path, name: str) -> None:
    folder = write(tmp_path / "m", model, name)
    assert not inspect_folder(folder).problems
    words = open_checkpoint(folder).tokenizer
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(model))
    for text in TEXTS:
        assert words.encode(text) == pieces.encode(text)
        assert words.decode(words.encode(text)) == pieces.decode(pieces.encode(text))
    streamed = [words.decode(pieces.encode("同济 👋")[:n]) for n in range(1, 8)]
    assert all("<0x" not in text for text in streamed)


def test_control_tokens_are_the_templates_alone(model: Path, tmp_path: Path) -> None:
    checkpoint = open_checkpoint(write(tmp_path / "m", model))
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(model))
    unused = pieces.piece_to_id("[UNUSED]")
    typed = f"a{BEGIN}b</s>[UNUSED] plain"
    ids = checkpoint.tokenizer.encode(typed)
    assert not {390, 391, pieces.eos_id(), unused} & set(ids)
    assert pieces.piece_to_id("plain") in ids, "a word that was added is a word"
    chat = checkpoint.tokenizer.encode_chat((("user", typed),)).ids
    assert chat.count(390) == 2  # the question's and the answer's
    assert chat.count(391) == 1
    assert not {pieces.eos_id(), unused} & set(chat)
    assert 391 in checkpoint.stop_ids
    assert checkpoint.tokenizer.decode([390, *pieces.encode("hello"), 391]) == "hello"


@pytest.mark.parametrize(("legacy", "has_space"), [(True, True), (None, True), (False, False)])
def test_a_text_behind_a_control_token(
    model: Path, tmp_path: Path, legacy: bool | None, has_space: bool
) -> None:
    said: dict[str, Any] = {} if legacy is None else {"legacy": legacy}
    words = open_checkpoint(write(tmp_path / "m", model, **said)).tokenizer
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(model))
    ids = words.encode_chat((("user", "hi"),)).ids
    assert ids[0] == 390
    assert pieces.id_to_piece(ids[1]).startswith("▁") is has_space
    assert pieces.decode(ids[1 : ids.index(391)]).lstrip() == "user\nhi"


def test_what_is_no_such_model_is_one_sentence(tmp_path: Path, model: Path) -> None:
    folder = write(tmp_path / "m", model)
    (folder / "tokenizer.model").write_bytes(b"\ngarbage")
    with pytest.raises(CheckpointError, match=r"tokenizer\.model is not a sentencepiece model"):
        open_checkpoint(folder)
    (folder / "tokenizer.model").write_bytes(model.read_bytes())
    (folder / "config.json").unlink()
    assert open_chat_format(folder).tokenizer.encode("hello")
