"""Guessed tokens change when an answer comes, never what it says."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.support import tiny
from tui.events import Answered, Delta, Failed
from tui.worker.control import Control
from tui.worker.decode.attention import attach
from tui.worker.decode.batch import DecodeBatch
from tui.worker.decode.buffered_cache import BUFFER_TOKENS
from tui.worker.decode.prompt_lookup import MAX_GUESSED, PromptLookup, rounds_rows_alike
from tui.worker.kernels import build
from tui.worker.load import prepare
from tui.worker.load.loader import open_checkpoint
from tui.worker.loaded_model import LoadedModel
from tui.worker.measure import PeakMemory
from tui.worker_protocol import DecodeRequest

TEXT = "the quick brown fox jumps over the lazy dog, " * 6
NEW = 2 * BUFFER_TOKENS + 30


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        place = tmp_path_factory.mktemp("cache")
        patch.setenv("DUIBI_CACHE_DIR", str(place))
        yield place


def made(
    folder: Path, dtype: str, ours: bool = True, stop: frozenset[int] = frozenset()
) -> LoadedModel:
    torch.set_num_threads(1)
    checkpoint = dataclasses.replace(open_checkpoint(folder), stop_ids=stop)
    model, device, _ = prepare.prepare_model(checkpoint, dtype, lambda done, total: None)
    if ours:
        attach(model)
    return LoadedModel(checkpoint, model, device, 4096)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # With so small weights it soon repeats itself, and guesses are right.
    made = tmp_path_factory.mktemp("tiny")
    return tiny.write_llama(made, initializer_range=0.06, num_hidden_layers=2)


FORMATS = ["fp32", "bf16", "int8", "int4"]


@pytest.fixture(
    scope="module",
    params=[*((name, True) for name in FORMATS), *((name, False) for name in FORMATS[1:])],
    ids=[*FORMATS, *(f"{name}-by-torch" for name in FORMATS[1:])],
)
def ready(request: pytest.FixtureRequest, cache: Path, folder: Path) -> Iterator[LoadedModel]:
    """In each format, by what the machine has and by what is left without our kernels."""
    dtype, kernels = request.param
    with pytest.MonkeyPatch.context() as patch:
        if not kernels:
            patch.setattr(build, "unavailable_reason", lambda: "not wanted here")
        yield made(folder, dtype)


def answer(
    ready: LoadedModel, lookup: bool, new: int = NEW, **sampling: Any
) -> tuple[str, list[Any]]:
    batch = DecodeBatch(ready, Control(), PeakMemory(), prompt_lookup=lookup)
    bodies = [b for _, b in batch.admit(DecodeRequest(0, (("user", TEXT),), new, sampling))]
    while batch:
        bodies += [b for _, b in batch.step()]
    return "".join(b.text for b in bodies if isinstance(b, Delta)), bodies


def figures(bodies: list[Any]) -> Answered:
    assert isinstance(bodies[-1], Answered), bodies[-1]
    return bodies[-1]


@pytest.mark.parametrize("sampling", [{}, {"repetition_penalty": 1.02}])
def test_the_text_is_the_same_in_every_format(ready: LoadedModel, sampling: dict[str, Any]) -> None:
    plain, _ = answer(ready, False, **sampling)
    guessed, bodies = answer(ready, True, **sampling)
    assert guessed == plain
    end = figures(bodies)
    assert end.output_tokens == NEW == sum(b.n for b in bodies if isinstance(b, Delta))
    if not rounds_rows_alike(ready.model):
        assert end.guessed == 0
    elif not sampling:
        assert end.accepted > NEW / 4


def test_the_bound_of_new_tokens_holds_within_a_guess(ready: LoadedModel) -> None:
    is_guessing = rounds_rows_alike(ready.model)
    accepted = 0
    for new in range(40, 40 + (MAX_GUESSED if is_guessing else 1)):
        plain, _ = answer(ready, False, new)
        guessed, bodies = answer(ready, True, new)
        assert (guessed, figures(bodies).output_tokens) == (plain, new)
        accepted += figures(bodies).accepted
    assert bool(accepted) is is_guessing


def test_a_stop_token_within_a_guess_ends_the_answer_there(ready: LoadedModel) -> None:
    seen: list[list[int]] = []
    hook = ready.model.register_forward_pre_hook(
        lambda _m, _a, more: seen.append(more["input_ids"][0].tolist()), with_kwargs=True
    )
    answer(ready, True)
    hook.remove()
    runs = [ids for ids in seen[1:] if len(ids) > 2 or not rounds_rows_alike(ready.model)]
    assert runs
    for stop in {ids[min(2, len(ids) - 1)] for ids in runs[:3]}:
        stopping = dataclasses.replace(
            ready, checkpoint=dataclasses.replace(ready.checkpoint, stop_ids=frozenset({stop}))
        )
        (plain, one), (guessed, two) = answer(stopping, False), answer(stopping, True)
        assert guessed == plain
        assert figures(two).output_tokens == figures(one).output_tokens
        assert figures(two).finish == figures(one).finish


def test_a_conversation_goes_on_from_what_was_guessed(ready: LoadedModel) -> None:
    found = []
    for lookup in (False, True):
        batch = DecodeBatch(ready, Control(), PeakMemory(), prompt_lookup=lookup)
        turns: tuple[tuple[str, str], ...] = (("user", TEXT),)
        said: list[str] = []
        for number in range(2):
            bodies = [b for _, b in batch.admit(DecodeRequest(number, turns, 70, {}))]
            while batch:
                bodies += [b for _, b in batch.step()]
            said.append("".join(b.text for b in bodies if isinstance(b, Delta)))
            turns = (*turns, ("assistant", said[-1]), ("user", "and then?"))
        found.append(said)
    assert found[0] == found[1]


def test_a_seeded_draw_is_the_same(ready: LoadedModel) -> None:
    seeded: dict[str, Any] = {"greedy": False, "temperature": 0.3, "seed": 5}
    assert answer(ready, True, **seeded)[0] == answer(ready, False, **seeded)[0]


def test_with_the_attention_of_transformers(cache: Path, tmp_path: Path) -> None:
    ready = made(tiny.write_llama(tmp_path / "m", initializer_range=0.08), "fp32", ours=False)
    assert rounds_rows_alike(ready.model)
    plain, _ = answer(ready, False)
    guessed, bodies = answer(ready, True)
    assert guessed == plain
    assert figures(bodies).accepted > NEW / 4


def test_nan_within_a_guess_fails_after_what_was_right(ready: LoadedModel) -> None:
    plain, _ = answer(ready, False)
    passes = 0

    def spoil(_module: Any, _given: Any, out: Any) -> None:
        nonlocal passes
        passes += 1
        if passes > 3 and (out.logits.shape[1] > 2 or not rounds_rows_alike(ready.model)):
            out.logits[:, min(1, out.logits.shape[1] - 1)] = torch.nan

    hook = ready.model.register_forward_hook(spoil)
    text, bodies = answer(ready, True)
    hook.remove()
    assert isinstance(bodies[-1], Failed)
    assert bodies[-1].cause == "nan"
    assert plain.startswith(text)


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("dtype", [*FORMATS, "fp16"])
def test_tokens_are_guessed_where_several_rows_are_rounded_like_one(
    dtype: str, compiled: bool, cache: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not compiled:
        monkeypatch.setattr(build, "unavailable_reason", lambda: "not wanted here")
    model, exact = made(folder, dtype, ours=False).model, ["fp32"]
    if not build.unavailable_reason():
        exact.append("bf16")
    assert rounds_rows_alike(model) == (dtype in exact)
    attach(model)
    ours = [] if build.unavailable_reason() else ["int8", "int4"]
    assert rounds_rows_alike(model) == (dtype in exact + ours)


def test_what_is_never_right_is_tried_ever_more_rarely() -> None:
    lookup, tried = PromptLookup([1, 2, 3, 9] * 2), []
    for number in range(600):
        for token in (1, 2, 3):
            lookup.push(token)
        if guess := lookup.guess(MAX_GUESSED):
            tried.append(number)
            lookup.record_result(len(guess), 0)
        lookup.push(100 + number)
    assert 5 < len(tried) < 25
    lookup.record_result(4, 4)
    assert lookup.accepted == 4


def test_what_is_always_right_is_guessed_further_ahead() -> None:
    lookup = PromptLookup([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13] * 2)
    lengths = []
    for _ in range(3):
        guess = lookup.guess(MAX_GUESSED)
        lengths.append(len(guess))
        lookup.record_result(len(guess), len(guess))
    assert lengths == [4, MAX_GUESSED, MAX_GUESSED]
    assert lookup.guess(2) == [1, 2]
