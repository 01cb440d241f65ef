"""A learned prefix of ChatGLM3 (P-tuning) stands before every conversation as it does upstream."""

import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import DynamicCache

from tui.checkpoints.errors import CheckpointError
from tui.checkpoints.learned_prefix import PREFIX_ENCODER, is_prefix_folder, read_learned_prefix
from tui.events import Answered, Delta, Failed, Started
from tui.models.discover import discover
from tui.models.reference import parse_reference
from tui.models.resolve import resolve
from tui.worker.checkpoint import Prompt
from tui.worker.control import Control
from tui.worker.decode.attention import attach
from tui.worker.decode.batch import DecodeBatch
from tui.worker.load.checkpoint_folder import open_folder
from tui.worker.load.loader import open_weights
from tui.worker.load.prefix_states import prefix_states
from tui.worker.loaded_model import LoadedModel
from tui.worker.measure import PeakMemory
from tui.worker_protocol import DecodeRequest

BASE = Path(__file__).parents[2] / "data" / "chatglm3-tiny-a" / "checkpoint"
LAYERS, HEADS, WIDTH, HIDDEN, TOKENS = 3, 2, 16, 64, 11
VALUES = 2 * LAYERS * HEADS * WIDTH
SAID = {"model_type": "chatglm", "_name_or_path": "THUDM/chatglm3-6b", "pre_seq_len": TOKENS}
QUESTIONS = ([5, 17, 200, 31, 8, 99], [7] * 20 + [3, 250], [5, 17, 200, 31, 8, 99, 4, 4, 90])


def encoder(projected: bool, tokens: int = TOKENS) -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    found = {"embedding.weight": torch.randn(tokens, VALUES)}
    if projected:
        found |= {
            "trans.0.weight": torch.randn(HIDDEN, VALUES) * 0.1,
            "trans.0.bias": torch.randn(HIDDEN),
            "trans.2.weight": torch.randn(VALUES, HIDDEN) * 0.2,
            "trans.2.bias": torch.randn(VALUES),
        }
    return {f"{PREFIX_ENCODER}{name}": tensor for name, tensor in found.items()}


def write(folder: Path, projected: bool = False, **config: Any) -> Path:
    """As the published scripts save it: what was trained, beside config.json."""
    folder.mkdir(parents=True)
    torch.save(encoder(projected), folder / "pytorch_model.bin")
    (folder / "config.json").write_text(json.dumps(SAID | config))
    return folder


def upstream(model: Any, stored: dict[str, torch.Tensor], ids: list[int], new: int) -> list[int]:
    """Greedy ids by transformers' own class and cache, as modeling_chatglm.py computes: the keys
    of the prefix are not rotated, and the first token of the text has position 0."""
    parts = {name.removeprefix(PREFIX_ENCODER): tensor for name, tensor in stored.items()}
    states = parts["embedding.weight"]
    if "trans.0.weight" in parts:
        inner = torch.nn.functional.linear(states, parts["trans.0.weight"], parts["trans.0.bias"])
        states = torch.nn.functional.linear(
            inner.tanh(), parts["trans.2.weight"], parts["trans.2.bias"]
        )
    states = states.view(1, TOKENS, LAYERS * 2, HEADS, WIDTH).permute(2, 0, 3, 1, 4)
    cache = DynamicCache(config=model.config)
    for layer in range(LAYERS):
        cache.update(states[2 * layer], states[2 * layer + 1], layer)
    found: list[int] = []
    given, at = ids, 0
    for _ in range(new):
        places = torch.arange(at, at + len(given))[None]
        with torch.inference_mode():
            out = model(input_ids=torch.tensor([given]), position_ids=places, past_key_values=cache)
        at += len(given)
        given = [int(out.logits[0, -1].argmax())]
        found += given
    return found


class Ids:
    """A tokenizer whose texts are numbers."""

    def encode_chat(self, turns: Any, max_new_tokens: int = 0, think: str = "") -> Prompt:
        return Prompt([int(word) for word in turns[-1][1].split()])

    def encode(self, text: str) -> list[int]:
        return [3, 4, 5]

    def decode(self, ids: Any) -> str:
        return "".join(f"{one} " for one in ids)


def answers(batch: DecodeBatch, together: bool) -> Iterator[Any]:
    for number, ids in enumerate(QUESTIONS):
        text = " ".join(map(str, ids))
        job = DecodeRequest(number, (("user", text),), 40, {"greedy": True})
        yield from (body for _, body in batch.admit(job))
        while not together and len(batch):
            yield from (body for _, body in batch.step())
    while len(batch):
        yield from (body for _, body in batch.step())


@pytest.mark.parametrize("projected", [False, True])
@pytest.mark.parametrize("together", [False, True])
def test_answers_are_those_of_the_published_code(
    tmp_path: Path, projected: bool, together: bool
) -> None:
    folder = write(tmp_path / "ptuning", projected)
    prefix = open_folder(BASE, folder).prefix
    assert prefix
    _, theirs = open_weights(BASE, "fp32")
    _, ours = open_weights(BASE, "fp32")
    attach(ours)
    checkpoint = dataclasses.replace(
        _checkpoint(ours), tokenizer=Ids(), stop_ids=frozenset(), prefix=prefix
    )
    loaded = LoadedModel(checkpoint, ours, "cpu", 256, prefix=prefix_states(prefix, ours))
    batch = DecodeBatch(loaded, Control(), PeakMemory())
    events = list(answers(batch, together))
    assert not [one for one in events if isinstance(one, Failed)]
    found: dict[int, list[int]] = {}
    for one in events:
        if isinstance(one, Delta):
            found.setdefault(one.answer, []).extend(int(word) for word in one.text.split())
    wanted = {n: upstream(theirs, encoder(projected), ids, 40) for n, ids in enumerate(QUESTIONS)}
    assert found == wanted
    assert len({tuple(one) for one in wanted.values()}) > 1
    bare = [one.prompt_tokens for one in events if isinstance(one, Started)]
    assert bare == [len(ids) for ids in QUESTIONS], "what is learned is no part of a question"
    told = {one.answer: one.reused for one in events if isinstance(one, Answered)}
    assert told[0] == 0
    assert all(0 <= told[n] < len(ids) for n, ids in enumerate(QUESTIONS))


def _checkpoint(model: Any) -> Any:
    from tui.worker.checkpoint import Checkpoint

    return Checkpoint(
        path=BASE,
        family="chatglm3",
        architecture="chatglm3",
        tokenizer=Ids(),
        stop_ids=frozenset(),
        context=256,
        prompt_format="chatglm3",
        parameters=1,
        checkpoint_bytes=1,
        kv_values_per_token=1,
        build=lambda dtype, progress: model,
        build_deferred=lambda dtype, progress: model,
    )


def test_a_whole_checkpoint_may_hold_its_prefix(tmp_path: Path) -> None:
    folder = tmp_path / "whole"
    shutil.copytree(BASE, folder)
    index = json.loads((folder / "pytorch_model.bin.index.json").read_text())
    torch.save(encoder(False), folder / "prefix.bin")
    index["weight_map"] |= dict.fromkeys(encoder(False), "prefix.bin")
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    opened, model = open_weights(folder, "fp32")
    assert opened.prefix and opened.prefix.tokens == TOKENS
    assert opened.notes == (f"a learned prefix of {TOKENS} tokens stands before all it reads",)
    assert prefix_states(opened.prefix, model).tokens == TOKENS
    assert not is_prefix_folder(folder)


def test_it_is_a_reference_with_its_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "ptuning")
    base = tmp_path / "chatglm3-6b"
    shutil.copytree(BASE, base)
    monkeypatch.chdir(tmp_path)
    (base / "tokenizer.model").write_bytes(b"")
    for text in ("./ptuning", "./ptuning+./chatglm3-6b"):
        found = resolve(parse_reference(f"{text}@int8"), lambda _: False, lambda *_: None)
        assert (found.checkpoint, found.adapter, found.label) == (base, folder, "ptuning@int8")
    listed = {one.reference: one for one in discover([tmp_path])}
    assert listed["./ptuning"].state == "complete"
    assert listed["./ptuning"].family == "P-tuning, chatglm3-6b"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.pop(f"{PREFIX_ENCODER}embedding.weight"), "consists of"),
        (lambda t: t.pop(f"{PREFIX_ENCODER}trans.2.bias"), "consists of"),
        (lambda t: t.update({f"{PREFIX_ENCODER}trans.0.bias": torch.ones(3)}), "do not fit"),
        (lambda t: t.update({f"{PREFIX_ENCODER}embedding.weight": torch.ones(3)}), "has shape"),
    ],
)
def test_a_damaged_prefix_is_one_line(tmp_path: Path, change: Any, said: str) -> None:
    folder = write(tmp_path / "ptuning", projected=True)
    tensors = encoder(projected=True)
    change(tensors)
    torch.save(tensors, folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=said):
        read_learned_prefix(folder)


def test_a_prefix_of_another_base_is_said_to_be_that(tmp_path: Path) -> None:
    folder = write(tmp_path / "ptuning")
    qwen = BASE.parents[1] / "qwen-tiny-a" / "checkpoint"
    with pytest.raises(CheckpointError, match="its base is qwen"):
        open_folder(qwen, folder)
    torch.save(
        {f"{PREFIX_ENCODER}embedding.weight": torch.ones(4, 8)}, folder / "pytorch_model.bin"
    )
    with pytest.raises(CheckpointError, match="has 8 values a token, its base 192"):
        open_folder(BASE, folder)
