"""The standard measure: the same work for every model, through the real worker."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from benchmarks.support import tiny
from tests.support.waiting import until
from tui.engines import standard_measure as sm
from tui.engines.base import Message, Request, SamplingOptions
from tui.engines.local import LocalEngine
from tui.events import Answered, Loaded, Started


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LocalEngine, Loaded]]:
    folder = tiny.write_llama(tmp_path_factory.mktemp("tiny"), num_hidden_layers=20)
    (folder / "generation_config.json").write_text('{"repetition_penalty": 1.3, "eos_token_id": 5}')
    made = LocalEngine(folder, "fp32", 1, tmp_path_factory.mktemp("log") / "log", batch=3)
    yield made, made.load(lambda t_ns, body: None)
    made.close()


def test_it_computes_exactly_so_many_tokens(engine: tuple[LocalEngine, Loaded]) -> None:
    here, loaded = engine
    told = sm.measure(here, loaded)
    assert (told.prompt_tokens, told.output_tokens) == (256, 64), "no stop id ends it"
    assert 1 <= told.rounds <= 3 and told.threads == 1
    assert told.ttft_ms and told.tpot_ms and told.prefill_tok_s and told.decode_tok_s
    assert told.load_s == loaded.load_s > 0 and told.file_cache == loaded.file_cache == 1
    assert 0 < loaded.import_s + loaded.read_s + loaded.prepare_s <= loaded.load_s
    assert loaded.read_s > 0 and loaded.prepare_s > 0
    held = loaded.private + loaded.mapped
    assert told.load_private + told.load_mapped >= held, "the highest while it loaded"
    assert told.peak_private > 0 and told.peak_mapped > 0


def test_nothing_of_an_earlier_measure_is_used_again(engine: tuple[LocalEngine, Loaded]) -> None:
    rounds = [sm.run_round(engine[0], 40, 12, 2) for _ in range(2)]
    assert [one.reused for each in rounds for one in each.answers] == [0, 0, 0, 0]


def test_several_at_once_are_one_batch(engine: tuple[LocalEngine, Loaded]) -> None:
    seen = sm.run_round(engine[0], 40, 12, 3)
    assert {(one.prompt_tokens, one.output_tokens) for one in seen.answers} == {(40, 12)}
    assert max(one.batch for one in seen.answers) == 3
    # The first of them waited for the prompts of the others.
    waits = sorted(one.waited_ms for one in seen.answers)
    assert waits[0] == 0 < waits[1] < waits[2]


def test_it_is_left_at_once(engine: tuple[LocalEngine, Loaded]) -> None:
    here = engine[0]
    switch = sm.StopSwitch(here)
    ended: list[BaseException] = []

    def measure() -> None:
        try:
            sm.run_round(here, 300, 4000, switch=switch)
        except sm.MeasureStopped as stopped:
            ended.append(stopped)

    thread = threading.Thread(target=measure)
    thread.start()
    until(lambda: bool(switch._ids))
    switch.stop()
    thread.join(60)
    (stopped,) = ended
    assert isinstance(stopped, sm.MeasureStopped) and stopped.failure is None
    assert switch._ids[0] >= sm.FIRST_MEASURE_ID
    with pytest.raises(sm.MeasureStopped):
        sm.measure(here, None, switch)


def seen(ttft_ms: float, tpot_ms: float) -> Answered:
    return Answered(1, "length", 32, 4, ttft_ms=ttft_ms, tpot_ms=tpot_ms)


def test_a_slow_model_computes_fewer_tokens() -> None:
    assert sm.affordable_tokens(seen(100, 50)) == (256, 64)
    # 32 tokens in 4 s: 64 of them take 8 s, and 12 s are left for tokens of a second.
    assert sm.affordable_tokens(seen(4000, 1000)) == (64, 12)
    # A fast prompt leaves its time to the answer.
    assert sm.affordable_tokens(seen(320, 500)) == (256, 34)
    assert sm.affordable_tokens(seen(9e5, 9e5)) == (32, 8), "some at least"
    assert sm.affordable_tokens(seen(0, 0)) == (256, 64)


@pytest.mark.parametrize("times", [[(100, 50)], [(100, 50), (300, 10)], [(1, 9), (2, 4), (9, 1)]])
def test_speeds_follow_from_times(times: list[tuple[float, float]]) -> None:
    rounds = [replace(seen(*each), prefill_tok_s=1.0, decode_tok_s=1.0) for each in times]
    told = sm.summarise(rounds, None)
    assert told.ttft_ms and told.tpot_ms and told.prefill_tok_s and told.decode_tok_s
    assert told.prefill_tok_s * told.ttft_ms / 1000 == pytest.approx(told.prompt_tokens)
    assert told.decode_tok_s * told.tpot_ms / 1000 == pytest.approx(1)


def stop_for(pid: int, seconds: float) -> None:
    end = time.monotonic() + seconds
    os.kill(pid, signal.SIGSTOP)
    try:
        until(lambda: time.monotonic() > end)
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_worker_that_was_stopped_says_so(engine: tuple[LocalEngine, Loaded]) -> None:
    here = engine[0]
    pid = here.pid
    assert pid
    request = Request(1, (Message("user", "hi"),), 300, SamplingOptions(greedy=True))
    for _, body in here.answer([request]):
        if isinstance(body, Started):
            stop_for(pid, 1.6)
    assert isinstance(body, Answered)
    assert body.contended and body.contended_by == "stopped" and body.lost > 0.1
