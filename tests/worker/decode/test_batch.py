"""Answers decoded together are those that each would have been alone."""

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.support import tiny
from tests.support.bodies import expect
from tests.support.gpu import needs_gpu
from tui.events import Answered, Cancelled, Delta, Failed, Logprobs, Started
from tui.text.repetition import TOKENS
from tui.worker.control import Control
from tui.worker.decode import kv_cache
from tui.worker.decode.attention import attach, supports_model
from tui.worker.decode.batch import DecodeBatch
from tui.worker.decode.buffered_cache import BUFFER_TOKENS
from tui.worker.decode.generate import generate_ids
from tui.worker.decode.sampling import SamplingParams
from tui.worker.kernels import build
from tui.worker.load.loader import open_checkpoint
from tui.worker.loaded_model import LoadedModel
from tui.worker.measure import PeakMemory
from tui.worker_protocol import DecodeRequest

TEXTS = ["hi", "hello 同济 👋 " * 9, "the quick brown fox", "x " * 40, "lazy dog, how are you?"]


def made(folder: Path, ours: bool, device: str = "cpu") -> LoadedModel:
    torch.set_num_threads(2)
    checkpoint = dataclasses.replace(open_checkpoint(folder), stop_ids=frozenset())
    model = checkpoint.build("fp32", lambda done, total: None).to(device)
    assert supports_model(model)
    if ours:
        attach(model)
    return LoadedModel(checkpoint, model, device, 4096)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_llama(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module", params=["kernels", "torch", pytest.param("cuda", marks=needs_gpu)])
def ready(request: pytest.FixtureRequest, folder: Path) -> Iterator[LoadedModel]:
    """By kernels of ours, by what torch has where they cannot be had, and so on a GPU."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param != "kernels":
            patch.setattr(build, "unavailable_reason", lambda: "not wanted here")
        yield made(folder, ours=True, device="cuda" if request.param == "cuda" else "cpu")


@pytest.fixture
def batch(ready: LoadedModel) -> DecodeBatch:
    return DecodeBatch(ready, Control(), PeakMemory())


def job(answer: int, text: str, limit: int, **sampling: Any) -> DecodeRequest:
    return DecodeRequest(answer, (("user", text),), limit, sampling)


def texts(events: list[Any]) -> dict[int, str]:
    found: dict[int, str] = {}
    for body in events:
        if isinstance(body, Delta):
            found[body.answer] = found.get(body.answer, "") + body.text
    return found


def run(batch: DecodeBatch, jobs: list[DecodeRequest], room: int) -> list[Any]:
    line, events = list(jobs), []
    while line or batch:
        while line and len(batch) < room and not batch.is_full:
            events += [body for _, body in batch.admit(line.pop(0))]
            if batch.deferred:
                line.insert(0, batch.deferred)
        events += [body for _, body in batch.step()]
    return events


def test_one_token_over_a_long_past_is_as_with_the_stock_attention(
    ready: LoadedModel, folder: Path
) -> None:
    stock = made(folder, ours=False)
    prompt = ready.checkpoint.tokenizer.encode_chat((("user", TEXTS[1]),)).ids
    count = 2 * BUFFER_TOKENS + 10
    with torch.inference_mode():
        one, two = (
            list(
                generate_ids(
                    r.model,
                    r.device,
                    prompt,
                    SamplingParams(repetition_penalty=1.1),
                    count,
                    Control(),
                )
            )
            for r in (ready, stock)
        )
    assert one == two


@pytest.mark.parametrize("room", [2, 3, 5])
def test_texts_are_those_of_answers_made_alone(
    batch: DecodeBatch, ready: LoadedModel, room: int
) -> None:
    # Some leave early and let others in, one outlives a full tail.
    limits = [BUFFER_TOKENS + 30, 5, 40, 17, 1]
    jobs = [
        job(n, text, limit, repetition_penalty=1.2)
        for n, (text, limit) in enumerate(zip(TEXTS, limits, strict=True))
    ]
    together = run(batch, jobs, room)
    alone: dict[int, str] = {}
    for each in jobs:
        alone |= texts(run(DecodeBatch(ready, Control(), PeakMemory()), [each], 1))
    assert texts(together) == alone
    ends = {body.answer: body for body in together if isinstance(body, Answered)}
    assert [ends[n].output_tokens for n in range(5)] == limits
    # The one of a single token never stays.
    assert ends[0].batch == min(room, 4)
    assert all(body.tpot_ms for body in ends.values() if body.answer != 4)


def test_a_seed_gives_the_same_answer_in_company(batch: DecodeBatch, ready: LoadedModel) -> None:
    seeded = {"greedy": False, "temperature": 1.2, "seed": 5}
    jobs = [job(n, text, 20, **seeded) for n, text in enumerate(TEXTS[:3])]
    alone = texts(run(DecodeBatch(ready, Control(), PeakMemory()), [jobs[1]], 1))
    assert texts(run(batch, jobs, 3))[1] == alone[1]


def test_one_is_cancelled_and_the_others_go_on(ready: LoadedModel) -> None:
    control = Control()
    batch = DecodeBatch(ready, control, PeakMemory())
    control.register(range(3))
    jobs = [job(n, text, 30, repetition_penalty=1.2) for n, text in enumerate(TEXTS[:3])]
    events = [body for each in jobs for _, body in batch.admit(each)]
    events += [body for _ in range(5) for _, body in batch.step()]
    control.cancel([1])
    while batch:
        events += [body for _, body in batch.step()]
    assert [body.answer for body in events if isinstance(body, Cancelled)] == [1]
    assert sum(body.n for body in events if isinstance(body, Delta) and body.answer == 1) == 6
    alone = texts(run(DecodeBatch(ready, Control(), PeakMemory()), [jobs[2]], 1))
    assert texts(events)[2] == alone[2]


def test_all_cancelled_in_the_middle_of_a_pass(ready: LoadedModel) -> None:
    control = Control()
    batch = DecodeBatch(ready, control, PeakMemory())
    control.register([0, 1])
    for n in range(2):
        list(batch.admit(job(n, TEXTS[n], 30)))
    inner = ready.model.model.layers[2].register_forward_pre_hook(lambda *_: control.cancel(None))
    events = [body for _, body in batch.step()]
    inner.remove()
    assert [expect(Cancelled, body).answer for body in events] == [0, 1]
    assert not batch
    again = [job(7, TEXTS[0], 12)]
    alone = texts(run(DecodeBatch(ready, Control(), PeakMemory()), again, 1))
    assert texts(run(batch, again, 1)) == alone


def test_a_row_that_fails_takes_no_other_with_it(ready: LoadedModel, batch: DecodeBatch) -> None:
    jobs = [job(0, TEXTS[0], 12), job(1, "long " * 5000, 12), job(2, TEXTS[2], 12)]
    events = run(batch, jobs, 3)
    assert [(b.answer, b.cause) for b in events if isinstance(b, Failed)] == [(1, "too_long")]
    assert {b.answer for b in events if isinstance(b, Answered)} == {0, 2}


def test_a_conversation_that_goes_on_is_not_computed_twice(ready: LoadedModel) -> None:
    seen: list[int] = []
    hook = ready.model.register_forward_pre_hook(
        lambda _m, _a, more: seen.append(more["input_ids"].shape[1]), with_kwargs=True
    )
    batch = DecodeBatch(ready, Control(), PeakMemory())
    first = run(batch, [job(0, TEXTS[1], 30)], 1)
    said = texts(first)[0]
    turns = (("user", TEXTS[1]), ("assistant", said), ("user", "and then?"))
    further = DecodeRequest(1, turns, 20, {})
    seen.clear()
    events = run(batch, [further], 1)
    hook.remove()
    whole = next(b for b in events if isinstance(b, Started)).prompt_tokens
    first_prompt = next(b for b in first if isinstance(b, Started)).prompt_tokens
    assert seen[0] <= whole - first_prompt + 1
    fresh = run(DecodeBatch(ready, Control(), PeakMemory()), [further], 1)
    assert texts(events) == texts(fresh)
    done = next(b for b in events if isinstance(b, Answered))
    assert done.ttft_ms is not None
    assert done.prefill_tok_s == pytest.approx(seen[0] / done.ttft_ms * 1000, rel=0.01)


def test_questions_with_one_system_prompt_compute_it_once(ready: LoadedModel) -> None:
    system = ("system", "You are a careful helper who answers in one short line. " * 3)
    jobs = [DecodeRequest(n, (system, ("user", text)), 20, {}) for n, text in enumerate(TEXTS[:4])]
    prompts = [ready.checkpoint.tokenizer.encode_chat(each.messages).ids for each in jobs[:2]]
    whole = kv_cache.shared_prefix_length(*prompts)
    assert whole > 60
    alone: dict[int, str] = {}
    for each in jobs:
        alone |= texts(run(DecodeBatch(ready, Control(), PeakMemory()), [each], 1))
    for room in (1, 4):
        seen = run(DecodeBatch(ready, Control(), PeakMemory()), jobs, room)
        ends = {body.answer: body for body in seen if isinstance(body, Answered)}
        assert ends[0].reused == 0
        for n in range(1, 4):
            assert ends[n].reused >= whole
            assert ends[n].reused < ends[n].prompt_tokens
        assert texts(seen) == alone


def test_nothing_computed_for_another_column_is_used_again(ready: LoadedModel) -> None:
    turns = (("user", TEXTS[1]),)
    jobs = [DecodeRequest(n, turns, 20, {}, column=n % 2) for n in range(4)]
    for room in (1, 4):
        seen = run(DecodeBatch(ready, Control(), PeakMemory()), jobs, room)
        ends = {body.answer: body for body in seen if isinstance(body, Answered)}
        assert ends[0].reused == ends[1].reused == 0


def test_a_prompt_of_a_set_makes_way_and_is_begun_again(ready: LoadedModel) -> None:
    control = Control()
    batch = DecodeBatch(ready, control, PeakMemory())
    control.register([0, 1])
    job_ = DecodeRequest(0, (("user", TEXTS[1]),), 12, {}, background=True)

    def hurry(*_: Any) -> None:
        control.preempt_requested = True

    inner = ready.model.model.layers[1].register_forward_pre_hook(hurry)
    watched = ready.model.model.layers[2].register_forward_pre_hook(lambda *_: control.check())
    events = [body for _, body in batch.admit(job_)]
    assert [type(body) for body in events] == [Started]
    assert batch.deferred is job_ and not batch
    # What a person waits for does not.
    list(batch.admit(dataclasses.replace(job_, answer=1, background=False)))
    assert len(batch) == 1 and batch.deferred is None
    inner.remove()
    watched.remove()
    control.preempt_requested = False
    again = DecodeBatch(ready, control, PeakMemory())
    fresh = texts(run(DecodeBatch(ready, Control(), PeakMemory()), [job(0, TEXTS[1], 12)], 1))
    assert texts(run(again, [job_], 1)) == fresh


def test_no_more_tokens_are_held_than_were_planned_for(ready: LoadedModel) -> None:
    jobs = [job(n, "one two three", 20) for n in range(6)] + [job(9, "x " * 40, 30)]
    long = [n for n, _ in enumerate(ready.checkpoint.tokenizer.encode_chat(jobs[0].messages).ids)]
    batch = DecodeBatch(ready, Control(), PeakMemory(), max_cached_tokens=3 * (len(long) + 20))
    events = run(batch, jobs, room=5)
    ends = {body.answer: body for body in events if isinstance(body, Answered)}
    assert [ends[n].batch for n in range(6)] == [3] * 6
    assert ends[9].batch == 1, "what is longer than all of it is answered alone"
    assert not any(isinstance(body, Failed) for body in events)


def test_an_answer_that_only_repeats_itself_is_ended_and_its_company_goes_on(
    folder: Path,
) -> None:
    """Layers that add nothing make the next token a function of the last: a circle, soon."""
    ready = made(folder, ours=True)
    with torch.no_grad():
        for name, weights in ready.model.named_parameters():
            if "o_proj" in name or "down_proj" in name:
                weights.zero_()
    jobs = [job(0, TEXTS[0], 400), job(1, TEXTS[1], 60)]
    free = run(DecodeBatch(ready, Control(), PeakMemory()), jobs, 2)
    ended = run(DecodeBatch(ready, Control(), PeakMemory(), loop_stop=True), jobs, 2)
    finish = {body.answer: body for body in ended if isinstance(body, Answered)}
    assert (finish[1].finish, finish[1].output_tokens) == ("length", 60)
    stopped = finish[0]
    assert stopped.finish == "repetition" and stopped.output_tokens < 400
    assert 1 <= stopped.repeats_from <= stopped.output_tokens - TOKENS.shortest_run + 1
    assert texts(free)[0].startswith(texts(ended)[0].rstrip("\ufffd"))
    assert texts(free)[1] == texts(ended)[1]


def test_the_likeliest_tokens_are_told_where_that_is_asked_for(ready: LoadedModel) -> None:
    """They are those of the model's own logits, and no token is another one for it."""
    batch = DecodeBatch(ready, Control(), PeakMemory())
    request = DecodeRequest(0, (("user", TEXTS[0]),), 6, {"greedy": True})
    asked = dataclasses.replace(request, answer=1, sampling={"greedy": True, "logprobs": 3})
    bodies = {}
    for one in (request, asked):
        told = [body for _, body in batch.admit(one)]
        while len(batch):
            told += [body for _, body in batch.step()]
        bodies[one.answer] = told
    texts = ["".join(b.text for b in bodies[answer] if isinstance(b, Delta)) for answer in (0, 1)]
    assert texts[0] == texts[1]
    assert not [b for b in bodies[0] if isinstance(b, Logprobs)]
    steps = [b for b in bodies[1] if isinstance(b, Logprobs)]
    assert len(steps) == 6 and all(len(s.top) == 3 for s in steps)
    for step in steps:
        logs = [log for _, log in step.top]
        assert logs == sorted(logs, reverse=True) and sum(map(math.exp, logs)) < 1.0001
        # Greedy: the chosen one is the likeliest.
        assert step.top[0] == [step.token, step.logprob]
