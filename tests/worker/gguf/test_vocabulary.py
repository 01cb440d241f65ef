"""The words and the conversations of GGUF files whose vocabulary or template is odd."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.support import tiny
from tests.support.small_gguf import write_gguf
from tui.checkpoints.errors import CheckpointError
from tui.worker.checkpoint import Progress
from tui.worker.load.families import ChatFormat
from tui.worker.measure import Stopwatch
from tui.worker_protocol import LoadOrder

pytest.importorskip("xllamacpp")
from tui.worker.gguf import llama_build
from tui.worker.gguf.published import load_published, open_words

BEGIN, END = 1, 2
GUESSED = "the chat template writes <|im_start|>, no control token here: it may be a guess"
ASKED = (("user", "hello"),)


def words(folder: Path, **changes: Any) -> ChatFormat:
    return open_words(write_gguf(folder / "odd.gguf", **changes))


@pytest.mark.parametrize(
    ("adds", "prefix"),
    [((), []), (("bos",), [BEGIN]), (("eos",), []), (("bos", "eos"), [BEGIN])],
)
@pytest.mark.parametrize("template", ["", "{{ bos_token }}", "text of {{ bos_token }}"])
def test_a_prompt_begins_with_the_first_token_once(
    tmp_path: Path, adds: tuple[str, ...], prefix: list[int], template: str
) -> None:
    keys = {f"tokenizer.ggml.add_{name}_token": True for name in adds}
    plain = "{% for m in messages %}{{ m.content }}{% endfor %}"
    tokenizer = words(tmp_path, metadata=keys, template=template + plain).tokenizer
    ids = tokenizer.encode_chat(ASKED).ids
    written = tokenizer.encode("text of ") if template.startswith("text") else []
    own = [BEGIN] if template else []
    text = [*written, *own, *tokenizer.encode("hello")]
    assert ids == (text if text[: len(prefix)] == prefix else [*prefix, *text])
    assert END not in ids


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{% for m in", "unexpected 'end of template'"),
        ("{{ raise_exception('no') }}", "chat template: no"),
        ("{% for i in range(99999999999) %}x{% endfor %}", "Range too big"),
        ("hello", "leaves out the question"),
        ("{{ messages[0].nothing.more }}", "chat template: "),
    ],
)
def test_a_broken_template_is_one_sentence_and_another_may_be_given(
    tmp_path: Path, template: str, says: str
) -> None:
    """llama.cpp would try it out while it loads the file, and refuse the file or never end."""
    file = write_gguf(tmp_path / "odd.gguf", template=template)
    with pytest.raises(CheckpointError) as caught:
        open_words(file)
    assert says in caught.value.message
    assert caught.value.next_step == "give another one with --chat-template FILE"
    order = LoadOrder(str(file), "gguf", 1, chat_template=tiny.TEMPLATE)
    assert load(order).checkpoint.prompt_format == "template"


def test_a_template_that_was_guessed_is_said(tmp_path: Path) -> None:
    assert GUESSED not in words(tmp_path).notes
    other = {"<|im_start|>": "<|begin|>", "<|im_end|>": "<|end|>"}
    assert GUESSED in words(tmp_path, renamed=other).notes


def test_a_vocabulary_that_cannot_write_every_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"^the vocabulary of odd\.gguf cannot be used: "):
        words(tmp_path, metadata={"tokenizer.ggml.model": "llama"})


def test_a_gpu_is_asked_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(llama_build, "gpu", lambda: asked.append("gpu"))
    load(LoadOrder(str(write_gguf(tmp_path / "tiny.gguf")), "gguf", 1))
    assert asked == ["gpu"]


def load(order: LoadOrder) -> Any:
    def progress(stage: str) -> Progress:
        return lambda done, total: None

    return load_published(order, progress, Stopwatch())
