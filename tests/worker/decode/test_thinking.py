"""A budget ends a thought cleanly, and the answer behind it has room of its own."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.support import tiny
from tests.support.bodies import expect, text_of
from tests.support.small_gguf import write_gguf
from tui.engines.base import Message, Request, SamplingOptions
from tui.engines.local import LocalEngine
from tui.events import Answered, Body, Delta, Note
from tui.text.thought import FORMATS
from tui.worker.control import Control
from tui.worker.decode.attention import attach
from tui.worker.decode.batch import DecodeBatch
from tui.worker.decode.request import NO_BUDGET, plan_answer
from tui.worker.load.loader import open_checkpoint
from tui.worker.load.template_thinking import NO_SWITCH
from tui.worker.loaded_model import LoadedModel
from tui.worker.measure import PeakMemory
from tui.worker_protocol import DecodeRequest

OPENS = tiny.TEMPLATE.replace("assistant\\n' }}{% endif", "assistant\\n<think>\\n' }}{% endif")
THINK, ANSWER = 7, 5


def thinker(folder: Path, template: str = OPENS, **more: Any) -> LoadedModel:
    """Random weights: a thought that never ends by itself."""
    tiny.write_llama(folder)
    said = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(said | {"chat_template": template}))
    torch.set_num_threads(1)
    checkpoint = dataclasses.replace(open_checkpoint(folder), stop_ids=frozenset())
    model = checkpoint.build("fp32", lambda done, total: None)
    attach(model)
    return LoadedModel(checkpoint, model, "cpu", **{"context": 4096} | more)


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return thinker(tmp_path_factory.mktemp("thinker"))


def job(id_: int, think_tokens: int | None, text: str = "hi", limit: int = ANSWER) -> DecodeRequest:
    return DecodeRequest(id_, (("user", text),), limit, think_tokens=think_tokens)


def run(batch: DecodeBatch, *jobs: DecodeRequest) -> list[Body]:
    events = [body for one in jobs for _, body in batch.admit(one)]
    while batch:
        events += [body for _, body in batch.step()]
    return events


def figures(events: list[Body]) -> dict[int, Answered]:
    return {body.answer: body for body in events if isinstance(body, Answered)}


def visible(events: list[Body], id_: int) -> int:
    return sum(
        body.n
        for body in events
        if isinstance(body, Delta) and body.answer == id_ and not body.reasoning
    )


@pytest.mark.parametrize("lookup", [False, True])
def test_a_thought_ends_at_its_budget_alone_and_in_a_batch(
    ready: LoadedModel, lookup: bool
) -> None:
    ending = len(ready.checkpoint.thought_ending)
    jobs = (job(1, THINK), job(2, None, "hello"), job(3, 0, "fox"), job(4, 2 * THINK, "the quick"))
    together = figures(run(DecodeBatch(ready, Control(), PeakMemory()), *jobs))
    for one in jobs:
        events = run(DecodeBatch(ready, Control(), PeakMemory(), lookup), one)
        alone = figures(events)[one.answer]
        for told in (alone, together[one.answer]):
            if one.think_tokens is None:
                # Nothing but thought, up to the bound of the whole answer.
                assert (told.output_tokens, told.thought_tokens) == (ANSWER, ANSWER)
                assert (told.answer_ttft_ms, told.thought_cut) == (None, False)
            else:
                # The model's own: what its end was forced with is no thought of it.
                assert told.thought_tokens == one.think_tokens
                assert told.output_tokens == told.thought_tokens + ending + ANSWER
                assert (told.finish, told.thought_cut) == ("length", True)
                assert told.answer_ttft_ms is not None and told.ttft_ms is not None
                assert told.ttft_ms < told.answer_ttft_ms
        assert visible(events, one.answer) == (0 if one.think_tokens is None else ANSWER)


def test_the_model_reads_the_end_of_its_thought(ready: LoadedModel) -> None:
    """What is forced stands in the cache like any token: the answer is what the whole text has."""
    plan = plan_answer(ready, job(1, THINK))
    ending = list(ready.checkpoint.thought_ending)
    batch = DecodeBatch(ready, Control(), PeakMemory())
    rows: list[Any] = []
    for _, _body in batch.admit(job(1, THINK)):
        rows = rows or list(batch._rows)
    while batch:
        rows = list(batch._rows)
        list(batch.step())
    made = rows[0].output_ids
    assert made[THINK : THINK + len(ending)] == ending
    with torch.inference_mode():
        logits = ready.model(input_ids=torch.tensor([[*plan.ids, *made]])).logits[0]
    begin = len(plan.ids) + THINK + len(ending) - 1
    assert logits[begin : begin + ANSWER].argmax(-1).tolist() == made[-ANSWER:]


def test_where_room_is_short_the_answer_goes_before_the_thought(tmp_path: Path) -> None:
    ready = thinker(tmp_path, context=64)
    prompt = len(plan_answer(ready, job(1, None)).ids)
    plan = plan_answer(ready, job(1, 1000, limit=10))
    ending = len(ready.checkpoint.thought_ending)
    assert plan.answer_tokens == 10
    assert plan.think_tokens == 64 - prompt - ending - 10
    assert plan.max_new_tokens == 64 - prompt


def test_a_budget_without_thoughts_is_said_to_have_no_effect(tmp_path: Path) -> None:
    ready = thinker(tmp_path, tiny.TEMPLATE)
    events = run(DecodeBatch(ready, Control(), PeakMemory()), job(1, THINK))
    assert [body.text for body in events if isinstance(body, Note)] == [NO_BUDGET]
    told = figures(events)[1]
    assert (told.output_tokens, told.thought_tokens) == (ANSWER, 0)
    assert told.answer_ttft_ms == told.ttft_ms
    both = plan_answer(ready, dataclasses.replace(job(1, THINK), think="high"))
    assert both.note == f"{NO_SWITCH}; {NO_BUDGET}", "one does not hide the other"


def test_a_gguf_file_as_published_keeps_the_budget_too(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    path = write_gguf(tmp_path / "thinker.gguf", template=OPENS)
    engine = LocalEngine(path, "gguf", 1, tmp_path / "log", batch=2)
    try:
        engine.load(lambda t_ns, body: None)
        ending = FORMATS[1].ending
        asked = [
            Request(
                n,
                (Message("user", text),),
                ANSWER,
                SamplingOptions(greedy=True),
                think_tokens=budget,
            )
            for n, (text, budget) in enumerate([("hi", THINK), ("fox", 0)])
        ]
        events = [body for _, body in engine.answer(asked)]
        for one in asked:
            mine = [body for body in events if getattr(body, "answer", -1) == one.answer]
            told = expect(Answered, mine[-1])
            if told.finish == "stop":
                continue  # Random weights may choose the end of the answer.
            assert told.thought_cut
            # llama.cpp gives the pieces of a character together.
            assert 0 <= told.thought_tokens - (one.think_tokens or 0) <= 4
            forced = told.output_tokens - told.thought_tokens - ANSWER
            assert 0 < forced <= len(ending)
            assert told.answer_ttft_ms is not None
            assert "</think>" not in text_of(mine)
    finally:
        engine.close()
