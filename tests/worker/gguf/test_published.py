"""A GGUF file as published, through a worker: llama.cpp computes, the events are ours."""

import math
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from gguf import GGMLQuantizationType as GgmlType

from benchmarks.support.demo import demo_gguf
from tests.support.bodies import expect, text_of
from tests.support.small_gguf import write_gguf
from tui.checkpoints.gguf_header import read_header
from tui.engines.base import EngineError, Message, Request, SamplingOptions
from tui.engines.local import LocalEngine
from tui.engines.standard_measure import run_round
from tui.events import Answered, Body, Cancelled, Delta, Failed, Loaded, Logprobs, Started
from tui.worker.gguf.convert import convert_gguf
from tui.worker.gguf.llama_server import LlamaServer
from tui.worker.gguf.vocabulary import read_chat_format
from tui.worker.load.loader import open_checkpoint

pytest.importorskip("xllamacpp")
GREEDY = SamplingOptions(greedy=True)
LONG = 100_000


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEngine]:
    made = LocalEngine(
        demo_gguf(), "gguf", 1, tmp_path_factory.mktemp("log") / "log", context=2048, batch=2
    )
    _loaded[id(made)] = made.load(lambda t_ns, body: None)
    yield made
    made.close()


_loaded: dict[int, Loaded] = {}


def ask(id_: int, text: str, limit: int = 24, sampling: SamplingOptions = GREEDY) -> Request:
    return Request(id_, (Message("user", text),), limit, sampling)


def bodies(engine: LocalEngine, *requests: Request) -> list[Body]:
    return [body for _, body in engine.answer(requests)]


def test_it_loads_as_what_it_is(engine: LocalEngine) -> None:
    loaded = _loaded[id(engine)]
    assert (loaded.family, loaded.dtype, loaded.stored) == ("llama", "gguf", "Q4_1")
    assert loaded.checkpoint_bytes == demo_gguf().stat().st_size
    assert (loaded.context, loaded.device) == (2048, "cpu")
    assert "computed as published by llama.cpp" in loaded.notes[0]
    assert loaded.prompt_format == "template"


def test_its_worker_has_no_memory_of_torch(engine: LocalEngine) -> None:
    mapped = Path(f"/proc/{engine.pid}/maps").read_text(encoding="utf-8")
    assert "xllamacpp" in mapped
    assert not [name for name in ("libtorch", "tokenizers", "safetensors") if name in mapped]


def test_an_answer_has_the_events_and_figures_of_every_other(engine: LocalEngine) -> None:
    told = bodies(engine, ask(1, "What is 1 + 1?"))
    assert "2" in text_of(told)
    answered = expect(Answered, told[-1])
    assert isinstance(told[0], Started)
    assert answered.finish == "stop"
    assert sum(body.n for body in told if isinstance(body, Delta)) == answered.output_tokens
    assert answered.prompt_tokens == told[0].prompt_tokens
    assert answered.ttft_ms is not None and answered.ttft_ms > 0
    again = bodies(engine, ask(2, "What is 1 + 1?"))
    assert text_of(again) == text_of(told)
    assert expect(Answered, again[-1]).reused > 0


def test_limits_seeds_and_probabilities(engine: LocalEngine) -> None:
    cut = bodies(engine, ask(3, "Tell me a long story.", 7))
    assert (expect(Answered, cut[-1]).finish, expect(Answered, cut[-1]).output_tokens) == (
        "length",
        7,
    )
    drawn = [
        text_of(
            bodies(
                engine,
                ask(
                    4 + n,
                    "Name a colour.",
                    12,
                    SamplingOptions(temperature=1.5, top_k=0, seed=seed),
                ),
            )
        )
        for n, seed in enumerate((5, 5, 6))
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    steps = [
        body
        for body in bodies(engine, ask(8, "Hello", 5, SamplingOptions(greedy=True, logprobs=3)))
        if isinstance(body, Logprobs)
    ]
    assert len(steps) == 5
    # A character of several tokens: each has its place.
    parts = bodies(engine, ask(9, "Hi", 9, SamplingOptions(temperature=3.0, seed=5, logprobs=1)))
    assert (
        sum(isinstance(one, Logprobs) for one in parts) == expect(Answered, parts[-1]).output_tokens
    )
    assert all(len(step.top) == 3 and step.logprob == step.top[0][1] for step in steps)


def test_weights_that_are_no_numbers_are_a_failure(tmp_path: Path) -> None:
    """llama.cpp ends such an answer at its first token, or writes any."""
    file = write_gguf(tmp_path / "nan.gguf", scale=math.nan, kinds=(GgmlType.F32,))
    engine = LocalEngine(file, "gguf", 1, tmp_path / "log", context=256)
    engine.load(lambda t_ns, body: None)
    for id_, sampling in enumerate((GREEDY, SamplingOptions(seed=1))):
        failed = expect(Failed, bodies(engine, ask(id_, "Hello", 4, sampling))[-1])
        assert failed.cause == "nan"
    engine.close()


def test_two_are_decoded_together_and_one_is_cancelled(engine: LocalEngine) -> None:
    told: list[Body] = []
    requests = (ask(10, "Write a very long story.", 1500), ask(11, "What is 1 + 1?", 12))
    for _, body in engine.answer(requests):
        told.append(body)
        if isinstance(body, Answered):
            engine.cancel((10,))
    ended = {body.answer: body for body in told if isinstance(body, Answered | Cancelled)}
    assert isinstance(ended[10], Cancelled)
    assert expect(Answered, ended[11]).batch == 2


def test_a_measure_has_exactly_its_tokens(engine: LocalEngine) -> None:
    for _ in range(2):
        (answered,) = run_round(engine, 64, 9).answers
        assert (answered.prompt_tokens, answered.output_tokens) == (64, 9)
        assert (answered.finish, answered.reused) == ("length", 0)


def test_prompts_of_others_are_no_decoding(engine: LocalEngine) -> None:
    told = bodies(
        engine,
        Request(21, (), 40, GREEDY, background=True, prompt_tokens=8),
        Request(22, (), 2, GREEDY, background=True, prompt_tokens=1400),
    )
    beside, long = (
        next(one for one in told if isinstance(one, Answered) and one.answer == id_)
        for id_ in (21, 22)
    )
    assert beside.waited_ms > 0
    assert long.waited_ms == 0
    assert beside.ttft_ms is not None and beside.tpot_ms is not None
    decoding = beside.tpot_ms * (beside.output_tokens - 1)
    assert beside.ttft_ms + decoding + beside.waited_ms == pytest.approx(beside.e2e_ms, abs=1)
    (alone,) = run_round(engine, 8, 20).answers
    assert alone.waited_ms == 0


def test_what_does_not_fit_is_said(engine: LocalEngine) -> None:
    failed = expect(Failed, bodies(engine, ask(20, "word " * LONG))[-1])
    assert failed.cause == "too_long"


def test_other_threads_are_taken_before_the_next_answer(engine: LocalEngine) -> None:
    engine.set_threads(2)
    started = next(body for body in bodies(engine, ask(21, "Hi", 3)) if isinstance(body, Started))
    assert started.threads == 2


def test_answers_that_do_not_fit_together_wait_for_each_other(tmp_path: Path) -> None:
    """There is room for 512 tokens: two answers of 250, and not for the third."""
    made = LocalEngine(write_gguf(tmp_path / "tiny.gguf"), "gguf", 1, tmp_path / "log", batch=3)
    try:
        made.load(lambda t_ns, body: None)
        requests = [
            Request(n, (), 240, GREEDY, background=True, prompt_tokens=10) for n in (1, 2, 3)
        ]
        told = bodies(made, *requests)
    finally:
        made.close()
    ends = [n for n, body in enumerate(told) if isinstance(body, Answered)]
    begins = [n for n, body in enumerate(told) if isinstance(body, Started)]
    assert len(ends) == len(begins) == 3
    assert begins[1] < ends[0] < begins[2]
    assert all(expect(Answered, told[n]).output_tokens == 240 for n in ends)


def test_there_is_room_for_an_answer_that_is_longer_than_others(tmp_path: Path) -> None:
    file = write_gguf(tmp_path / "tiny.gguf", context=4096)
    made = LocalEngine(file, "gguf", 1, tmp_path / "log")
    try:
        made.load(lambda t_ns, body: None)
        told: list[Body] = []
        for _, body in made.answer([Request(1, (), 3000, GREEDY, prompt_tokens=16)]):
            told.append(body)
            if isinstance(body, Delta):
                made.cancel((1,))
        assert isinstance(told[-1], Cancelled)
        assert isinstance(bodies(made, ask(2, "hello", 4))[-1], Answered)
    finally:
        made.close()


def test_a_persons_question_is_answered_beside_a_set(engine: LocalEngine) -> None:
    background = [replace(ask(30 + n, f"Tell story {n}.", 400), background=True) for n in (0, 1)]
    ends: list[tuple[str, int]] = []

    def set_of_questions() -> None:
        for _, body in engine.answer(background):
            if isinstance(body, Started):
                is_busy.set()
            if isinstance(body, Answered | Cancelled):
                ends.append((type(body).__name__, body.answer))

    is_busy = threading.Event()
    thread = threading.Thread(target=set_of_questions)
    thread.start()
    assert is_busy.wait(60)
    asked = bodies(engine, ask(40, "What is 1 + 1?", 8))
    ends.append(("asked", 40))
    engine.cancel((30, 31))
    thread.join(60)
    assert isinstance(asked[-1], Answered)
    assert ends[0][0] == "asked"


def test_a_template_by_hand_is_used(tmp_path: Path) -> None:
    told = []
    for template in ("", "{% for m in messages %}Q: {{ m.content }}\nA:{% endfor %}"):
        made = LocalEngine(demo_gguf(), "gguf", 1, tmp_path / "log", chat_template=template)
        try:
            made.load(lambda t_ns, body: None)
            started = next(b for b in bodies(made, ask(1, "Hi", 2)) if isinstance(b, Started))
            told.append(started.prompt_tokens)
        finally:
            made.close()
    assert told[0] > told[1]


def test_a_split_model_answers_as_the_whole_one(tmp_path: Path) -> None:
    said = []
    for file in (write_gguf(tmp_path / "a.gguf"), write_gguf(tmp_path / "b.gguf", parts=3)):
        made = LocalEngine(file, "gguf", 1, tmp_path / "log")
        try:
            loaded = made.load(lambda t_ns, body: None)
            said.append((loaded.parameters, text_of(bodies(made, ask(1, "hello", 8)))))
        finally:
            made.close()
    assert said[0] == said[1]


def test_a_small_file_of_many_formats_and_a_broken_one(tmp_path: Path) -> None:
    engine = LocalEngine(write_gguf(tmp_path / "tiny.gguf"), "gguf", 1, tmp_path / "log")
    try:
        engine.load(lambda t_ns, body: None)
        assert isinstance(bodies(engine, ask(1, "hello", 4))[-1], Answered)
        broken = write_gguf(tmp_path / "broken.gguf", without=("blk.0.attn_q",))
    finally:
        engine.close()
    engine = LocalEngine(broken, "gguf", 1, tmp_path / "log")
    with pytest.raises(EngineError, match=r"llama.cpp cannot load broken.gguf"):
        engine.load(lambda t_ns, body: None)


@pytest.mark.parametrize(
    "text", ["hello 汉字 12 345", "<|im_end|> typed", "  spaces\n\n\ttabs", "é👋🏽"]
)
def test_our_template_and_its_tokens_are_those_of_the_converted_file(
    text: str, both: tuple[Any, Any]
) -> None:
    turns = [("system", "Be brief."), ("user", "a"), ("assistant", "b"), ("user", text)]
    ours, converted = (one.encode_chat(turns).ids for one in both)
    assert ours == converted


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """The vocabulary by llama.cpp, and that of the file made into a folder."""
    path, folder = demo_gguf(), tmp_path_factory.mktemp("converted")
    server = LlamaServer(path, 256, 1, 1)
    ours = read_chat_format(server, read_header(path, words=True), 2048)
    converted = open_checkpoint(convert_gguf(path, lambda done, total: None, folder))
    return ours.tokenizer, converted.tokenizer


def refusal(file: Path) -> EngineError:
    """Why a file is not loaded."""
    engine = LocalEngine(file, "gguf", 1, file.with_name("log"))
    with pytest.raises(EngineError) as refused:
        engine.load(lambda t_ns, body: None)
    engine.close()
    return refused.value


def test_why_llama_cpp_refuses_a_file_is_said(tmp_path: Path) -> None:
    file = write_gguf(tmp_path / "odd.gguf", pre="nonsense")
    assert refusal(file).message == (
        "llama.cpp cannot load odd.gguf: unknown pre-tokenizer type: 'nonsense'"
    )


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("block_count", 2**31 - 1, "tells of 2147483647 layers"),
        ("block_count", 0, "tells of 0 layers"),
        ("expert_count", 7, "tells of 7 experts, and holds none"),
        ("context_length", 1, "tells of a context of 1 tokens"),
        ("context_length", 2**32 - 1, "tells of a context of 4294967295 tokens"),
        ("context_length", "many", "tells of a context of many tokens"),
        ("attention.layer_norm_rms_epsilon", math.nan, "has no usable number for llama.attention"),
        ("attention.layer_norm_rms_epsilon", -1.0, "has no usable number for llama.attention"),
        ("rope.freq_base", math.inf, "has no usable number for llama.rope.freq_base"),
        ("rope.scaling.type", "", "which nobody knows"),
        ("rope.scaling.type", "nonsense", "scales its positions by nonsense, which nobody knows"),
    ],
)
def test_values_that_end_llama_cpp_are_refused_before(
    tmp_path: Path, key: str, value: float | str, told: str
) -> None:
    file = write_gguf(tmp_path / "odd.gguf", metadata={f"llama.{key}": value})
    refused = refusal(file)
    assert (refused.cause, told in refused.message) == ("damaged", True)


def test_a_vocabulary_that_ends_llama_cpp_is_refused_before(tmp_path: Path) -> None:
    file = write_gguf(tmp_path / "odd.gguf")
    seven, eight = (b"\1" + bytes(7) + digit for digit in (b"7", b"8"))
    raw = file.read_bytes()
    assert raw.count(seven) == raw.count(eight) == 1
    file.write_bytes(raw.replace(seven, eight))
    refused = refusal(file)
    assert (refused.cause, refused.message) == (
        "damaged",
        "odd.gguf has the same token twice in its vocabulary",
    )


def test_a_file_that_is_cut_while_it_computes_is_one_sentence(tmp_path: Path) -> None:
    file = write_gguf(tmp_path / "cut.gguf")
    engine = LocalEngine(file, "gguf", 1, tmp_path / "log", context=256)
    engine.load(lambda t_ns, body: None)
    os.truncate(file, 4096)
    failed = expect(Failed, bodies(engine, ask(1, "hello", 2))[-1])
    assert (failed.cause, "was cut short" in failed.message) == ("crashed", True)
    assert "cut.gguf" in refusal(file).message
    engine.close()


def test_a_file_that_was_replaced_answers_for_no_other(tmp_path: Path) -> None:
    """The model is loaded anew for other threads: by then its name may lead to another."""
    file = write_gguf(tmp_path / "model.gguf")
    engine = LocalEngine(file, "gguf", 1, tmp_path / "log", context=256)
    engine.load(lambda t_ns, body: None)
    write_gguf(tmp_path / "other.gguf", seed=1).replace(file)
    assert isinstance(bodies(engine, ask(1, "hello", 2))[-1], Answered)
    engine.set_threads(2)
    failed = expect(Failed, bodies(engine, ask(2, "hello", 2))[-1])
    assert failed.message == "model.gguf was changed after it was loaded"
    engine.load(lambda t_ns, body: None)
    assert isinstance(bodies(engine, ask(3, "hello", 2))[-1], Answered)
    engine.close()


def test_a_model_that_is_given_back_at_once_is_given_back(tmp_path: Path) -> None:
    """llama.cpp's server never ends where it is ended before its loop has begun: one of some
    hundred times."""
    made = (
        "import sys, pathlib; from tui.worker.gguf.llama_server import LlamaServer\n"
        "for _ in range(40): LlamaServer(pathlib.Path(sys.argv[1]), 256, 1, 1, for_words=True)"
    )
    file = write_gguf(tmp_path / "tiny.gguf")
    asked = [sys.executable, "-c", made, str(file)]
    running = [subprocess.Popen(asked, stdin=subprocess.DEVNULL) for _ in range(4)]
    try:
        assert [one.wait(60) for one in running] == [0] * len(running)
    finally:
        for one in running:
            one.kill()
            one.wait()
