"""The decode loop against `generate` of transformers, on a tiny random model."""

import dataclasses
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaForCausalLM

from benchmarks.support import tiny
from tui.events import Answered, Cancelled, Delta, Failed, Started, TimedBody
from tui.worker.control import Control, ForwardAborted, install_stop_hooks
from tui.worker.decode.batch import DecodeBatch
from tui.worker.decode.generate import generate_ids
from tui.worker.decode.sampling import SamplingParams, resolve_sampling
from tui.worker.load.loader import open_checkpoint
from tui.worker.loaded_model import LoadedModel
from tui.worker.measure import PeakMemory
from tui.worker_protocol import DecodeRequest

PROMPT = [5, 17, 200, 31, 8, 99]


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    torch.set_num_threads(2)
    checkpoint = open_checkpoint(tiny.write_llama(tmp_path_factory.mktemp("tiny")))
    checkpoint = dataclasses.replace(checkpoint, stop_ids=frozenset())
    return LoadedModel(checkpoint, checkpoint.build("fp32", lambda done, total: None), "cpu", 4096)


@pytest.fixture
def control(ready: LoadedModel) -> Control:
    return Control()


def stock(ready: LoadedModel, **settings: Any) -> list[int]:
    ids = torch.tensor([PROMPT])
    said = {"max_new_tokens": 48, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    with torch.inference_mode():
        out = ready.model.generate(ids, attention_mask=torch.ones_like(ids), **said | settings)
    made: list[int] = out[0, len(PROMPT) :].tolist()
    return made


def ours(ready: LoadedModel, sampling: SamplingParams, limit: int = 48) -> list[int]:
    with torch.inference_mode():
        return list(generate_ids(ready.model, ready.device, PROMPT, sampling, limit, Control()))


def test_greedy_ids_are_those_of_generate(ready: LoadedModel) -> None:
    assert ours(ready, SamplingParams()) == stock(ready)


@pytest.mark.parametrize("penalty", [1.05, 1.3, 0.8])
def test_also_with_a_repetition_penalty(ready: LoadedModel, penalty: float) -> None:
    with_penalty = ours(ready, SamplingParams(repetition_penalty=penalty))
    assert with_penalty == stock(ready, repetition_penalty=penalty)
    assert with_penalty != ours(ready, SamplingParams())


@pytest.mark.parametrize(
    "chosen",
    [
        {"temperature": 0.7, "top_p": 0.8, "top_k": 20},
        {"temperature": 1.0, "top_p": 1.0, "top_k": 50},
        {"temperature": 0.3, "top_p": 0.85, "top_k": 5, "repetition_penalty": 1.05},
        {"temperature": 2.0, "top_p": 0.5, "top_k": 0},
    ],
)
def test_sampled_ids_are_those_of_generate_with_the_same_seed(
    ready: LoadedModel, chosen: dict[str, Any]
) -> None:
    torch.manual_seed(7)
    expected = stock(ready, do_sample=True, **chosen)
    assert ours(ready, SamplingParams(greedy=False, seed=7, **chosen)) == expected


def test_a_seed_repeats_an_answer_and_none_varies_it(ready: LoadedModel) -> None:
    same = [ours(ready, SamplingParams(greedy=False, seed=3)) for _ in range(2)]
    assert same[0] == same[1] != ours(ready, SamplingParams(greedy=False, seed=4))
    assert len({tuple(ours(ready, SamplingParams(greedy=False))) for _ in range(4)}) > 1


def test_what_was_asked_goes_before_the_models_own_defaults() -> None:
    model = {"do_sample": True, "temperature": 0.3, "top_k": 5, "top_p": 0.85}
    own = SamplingParams(greedy=False, temperature=0.3, top_k=5, top_p=0.85)
    assert resolve_sampling(model, {"temperature": None, "seed": None}) == own
    assert resolve_sampling(model, {"greedy": True}).greedy
    assert resolve_sampling(model, {"temperature": 0}).greedy
    assert resolve_sampling({}, {}) == SamplingParams()
    assert not resolve_sampling({}, {"temperature": 0.7}).greedy
    with pytest.raises(ValueError, match="top_p"):
        resolve_sampling({}, {"top_p": 1.5})


def job(limit: int, **sampling: Any) -> DecodeRequest:
    return DecodeRequest(1, (("user", "hello 同济 👋"),), limit, sampling)


def answer_alone(
    ready: LoadedModel, asked: DecodeRequest, control: Control, peak: PeakMemory
) -> Iterator[TimedBody]:
    batch = DecodeBatch(ready, control, peak)
    yield from batch.admit(asked)
    while batch:
        yield from batch.step()


def run(ready: LoadedModel, asked: DecodeRequest, control: Control) -> list[Any]:
    control.register([asked.answer])
    return [body for _, body in answer_alone(ready, asked, control, PeakMemory())]


def test_an_answer_is_started_streamed_and_measured(ready: LoadedModel, control: Control) -> None:
    control.register([1])
    timed = list(answer_alone(ready, job(40), control, PeakMemory()))
    bodies = [body for _, body in timed]
    assert isinstance(bodies[0], Started)
    assert bodies[0].prompt_tokens > 10
    deltas = [b for b in bodies if isinstance(b, Delta)]
    done = bodies[-1]
    assert isinstance(done, Answered)
    assert sum(d.n for d in deltas) == done.output_tokens == 40
    assert (done.finish, done.prompt_tokens) == ("length", bodies[0].prompt_tokens)
    times = [t for t, _ in timed]
    assert times == sorted(times)
    assert done.ttft_ms == pytest.approx((times[1] - times[0]) / 1e6, abs=0.01)
    assert done.e2e_ms == pytest.approx((times[-2] - times[0]) / 1e6, abs=0.01)
    assert done.e2e_ms is not None and done.ttft_ms is not None
    assert done.tpot_ms == pytest.approx((done.e2e_ms - done.ttft_ms) / 39, abs=0.01)
    assert done.peak_private > 10 << 20


def test_the_streamed_text_is_that_of_all_ids(ready: LoadedModel, control: Control) -> None:
    prompt = ready.checkpoint.tokenizer.encode_chat(job(200).messages, 200).ids
    bodies = run(ready, job(200, repetition_penalty=1.2), control)
    with torch.inference_mode():
        ids = list(
            generate_ids(
                ready.model,
                ready.device,
                prompt,
                SamplingParams(repetition_penalty=1.2),
                200,
                Control(),
            )
        )
    text = "".join(b.text for b in bodies if isinstance(b, Delta))
    assert text == ready.checkpoint.tokenizer.decode(ids)
    assert len(text) > 50


def test_the_stop_id_ends_an_answer_and_is_not_shown(ready: LoadedModel, control: Control) -> None:
    prompt = ready.checkpoint.tokenizer.encode_chat(job(60).messages, 60).ids
    sampling = SamplingParams(repetition_penalty=1.3)
    with torch.inference_mode():
        ids = list(generate_ids(ready.model, ready.device, prompt, sampling, 60, Control()))
    stop = next(i for i, token in enumerate(ids) if i > 5 and token not in ids[:i])
    stopping = dataclasses.replace(ready.checkpoint, stop_ids=frozenset({ids[stop]}))
    bodies = run(
        dataclasses.replace(ready, checkpoint=stopping), job(60, repetition_penalty=1.3), control
    )
    assert (bodies[-1].finish, bodies[-1].output_tokens) == ("stop", stop + 1)
    text = "".join(b.text for b in bodies if isinstance(b, Delta))
    assert text == ready.checkpoint.tokenizer.decode(ids[:stop])


def test_zero_means_up_to_the_context(ready: LoadedModel, control: Control) -> None:
    short = dataclasses.replace(ready, context=128)
    bodies = run(short, job(0), control)
    assert bodies[0].prompt_tokens + bodies[-1].output_tokens == 128


def test_a_question_that_does_not_fit_fails_and_says_so(
    ready: LoadedModel, control: Control
) -> None:
    asked = DecodeRequest(1, (("user", "long " * 3000),), 10, {})
    assert [b.cause for b in run(ready, asked, control)] == ["too_long"]


def test_not_a_number_is_a_failure_and_no_token(ready: LoadedModel, control: Control) -> None:
    broken = LlamaForCausalLM(tiny.config())
    with torch.no_grad():
        broken.model.norm.weight.fill_(float("nan"))
    bodies = run(dataclasses.replace(ready, model=broken), job(5), control)
    assert isinstance(bodies[-1], Failed)
    assert (bodies[-1].cause, bodies[-1].answer) == ("nan", 1)
    assert not any(isinstance(b, Delta) for b in bodies)


def test_an_answer_cancelled_while_it_waits_never_starts(
    ready: LoadedModel, control: Control
) -> None:
    control.register([1, 2])
    control.cancel([1, 77])
    assert [type(b) for _, b in answer_alone(ready, job(5), control, PeakMemory())] == [Cancelled]
    second = dataclasses.replace(job(5), answer=2)
    assert isinstance(
        [b for _, b in answer_alone(ready, second, control, PeakMemory())][-1], Answered
    )


def test_a_prefill_is_left_between_two_layers(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = LlamaForCausalLM(tiny.config(num_hidden_layers=10)).eval()
    control = Control()
    control.register([1])
    control.begin(1)
    install_stop_hooks(model, control)
    ran: list[int] = []

    def cancel_after_the_sixth(number: int) -> None:
        ran.append(number)
        if number == 5:
            other = threading.Thread(target=control.cancel, args=(None,))
            other.start()
            other.join()

    for number, layer in enumerate(model.model.layers):
        layer.register_forward_hook(lambda *_, n=number: cancel_after_the_sixth(n))
    with torch.inference_mode(), pytest.raises(ForwardAborted):
        model(torch.randint(3, 300, (1, 200)), logits_to_keep=1)
    assert ran == [0, 1, 2, 3, 4, 5]
    assert control.steps > 1


@pytest.mark.parametrize(
    ("running", "never"),
    [
        ("self_attn.o_proj", "mlp.gate_proj"),
        ("mlp.up_proj", "mlp.down_proj"),
        ("mlp.down_proj", "self_attn.q_proj"),
    ],
)
def test_what_is_cancelled_ends_within_half_a_layer(running: str, never: str) -> None:
    model, control = LlamaForCausalLM(tiny.config()).eval(), Control()
    control.register([1])
    control.begin(1)
    install_stop_hooks(model, control)
    first, later = model.model.layers[1], model.model.layers[1 + (running == "mlp.down_proj")]
    reached: list[str] = []
    first.get_submodule(running).register_forward_hook(lambda *_: control.cancel(None))
    later.get_submodule(never).register_forward_hook(lambda *_: reached.append(never))
    with torch.inference_mode(), pytest.raises(ForwardAborted):
        model(torch.tensor([[3, 4, 5]]))
    assert not reached


def test_threads_change_between_two_tokens(ready: LoadedModel) -> None:
    control = Control()
    with torch.inference_mode():
        stream = generate_ids(ready.model, ready.device, PROMPT, SamplingParams(), 4, control)
        next(stream)
        control.threads = 1
        next(stream)
        assert torch.get_num_threads() == 1
        control.threads = 2
        next(stream)
        assert torch.get_num_threads() == 2
