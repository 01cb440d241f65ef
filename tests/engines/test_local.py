"""A real worker process from load to death."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.support import tiny
from benchmarks.support.demo import demo_gguf
from tests.support.bodies import expect, text_of
from tests.support.kernels import needs_kernels
from tests.support.waiting import process_gone, until
from tui.engines import worker_process as child_module
from tui.engines.base import EngineError, Message, Request, SamplingOptions
from tui.engines.local import LocalEngine, WorkerMemoryLimits
from tui.engines.worker_process import explain_exit, worker_environment
from tui.events import Answered, Body, Cancelled, Delta, Failed, Load, Note, Started
from tui.host import cpu
from tui.worker_protocol import CancelOrder, Order

_with_model: dict[int, int | None] = {}
GREEDY = SamplingOptions(greedy=True, repetition_penalty=1.2)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # Many small layers: slow enough to be caught in the middle.
    made = tiny.write_llama(tmp_path_factory.mktemp("tiny"), num_hidden_layers=30, hidden_size=128)
    (made / "generation_config.json").write_text("{}")
    return made


@pytest.fixture(scope="module")
def engine(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEngine]:
    made = LocalEngine(checkpoint, "fp32", 1, tmp_path_factory.mktemp("log") / "log")
    made.start()
    yield made
    made.close()


@pytest.fixture
def loaded(engine: LocalEngine) -> LocalEngine:
    # Tests kill the worker, and may be run alone.
    if engine.pid is None or engine.pid != _with_model.get(id(engine)):
        engine.load(lambda t_ns, body: None)
        _with_model[id(engine)] = engine.pid
    return engine


def ask(id_: int, text: str = "hello 同济 👋", limit: int = 30, **more: Any) -> Request:
    return Request(id_, (Message("user", text),), limit, more.get("sampling", GREEDY))


def bodies(engine: LocalEngine, *requests: Request) -> list[Body]:
    return [body for _, body in engine.answer(requests)]


def test_it_loads_and_tells_how(engine: LocalEngine) -> None:
    told: list[Body] = []
    loaded = engine.load(lambda t_ns, body: told.append(body))
    assert {body.stage for body in told if isinstance(body, Load)} >= {"import", "weights"}
    last = [body for body in told if isinstance(body, Load)][-1]
    assert last.done == last.total == loaded.checkpoint_bytes > 0
    assert (loaded.family, loaded.dtype, loaded.device) == ("llama", "fp32", "cpu")
    assert loaded.parameters > 100_000
    assert loaded.context == 4096
    assert loaded.threads == 1
    assert 0 < loaded.import_s <= loaded.load_s
    private, mapped = engine.memory()
    assert private > 50 << 20
    assert mapped > 10 << 20
    assert abs(private - loaded.private) < 100 << 20


def test_weights_that_are_made_once_are_told_as_a_conversion(tmp_path: Path) -> None:
    folder = tiny.write_llama(tmp_path / "tiny")
    first, again = (_stages_of_a_load(folder, tmp_path / "log") for _ in range(2))
    assert {"convert", "weights"} <= first
    assert "weights" in again and "convert" not in again


def _stages_of_a_load(folder: Path, log: Path) -> set[str]:
    told: list[Body] = []
    engine = LocalEngine(folder, "int8", 1, log)
    try:
        engine.load(lambda t_ns, body: told.append(body))
    finally:
        engine.close()
    return {body.stage for body in told if isinstance(body, Load) and body.total}


def test_answers_come_in_order_and_each_ends_once(loaded: LocalEngine) -> None:
    found = bodies(loaded, ask(1), ask(2, limit=5), ask(3, "x " * 9000))
    ends = [b for b in found if isinstance(b, Answered | Failed | Cancelled)]
    assert [(type(b), b.answer) for b in ends] == [(Answered, 1), (Answered, 2), (Failed, 3)]
    begun = next(b for b in found if isinstance(b, Started))
    assert expect(Answered, ends[0]).prompt_tokens == begun.prompt_tokens
    assert sum(b.n for b in found if isinstance(b, Delta) and b.answer == 2) == 5
    assert expect(Failed, ends[2]).cause == "too_long"


def test_a_seed_repeats_an_answer_over_the_wire(loaded: LocalEngine) -> None:
    seeded = SamplingOptions(greedy=False, temperature=1.5, seed=11)
    first, again = (text_of(bodies(loaded, ask(1, sampling=seeded))) for _ in range(2))
    other = text_of(bodies(loaded, ask(1, sampling=SamplingOptions(greedy=False, temperature=1.5))))
    assert first == again != other


@pytest.mark.parametrize(("text", "limit"), [("short", 3000), ("long " * 700, 10)])
def test_cancel_is_felt_in_prefill_and_in_decode(
    loaded: LocalEngine, text: str, limit: int
) -> None:
    def stop() -> None:
        loaded.cancel([7])

    found = []
    for _, body in loaded.answer([ask(7, text, limit), ask(8, limit=2)]):
        found.append(body)
        if isinstance(body, Started) and body.answer == 7:
            threading.Timer(0.15 if limit > 100 else 0.02, stop).start()
    assert any(isinstance(b, Cancelled) and b.answer == 7 for b in found)
    assert any(isinstance(b, Delta) and b.answer == 7 for b in found) == (limit > 100)
    assert isinstance(found[-1], Answered)
    assert found[-1].answer == 8


def test_cancel_all_reaches_those_that_wait(loaded: LocalEngine) -> None:
    found = []
    for _, body in loaded.answer([ask(1, limit=3000), ask(2, limit=3000)]):
        found.append(body)
        if isinstance(body, Started):
            loaded.cancel()
    assert [b.answer for b in found if isinstance(b, Cancelled)] == [1, 2]
    assert not any(isinstance(b, Started) and b.answer == 2 for b in found)


def test_what_is_no_longer_read_is_cancelled(
    loaded: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[Order] = []
    send = child_module.WorkerProcess.send

    def spy(child: child_module.WorkerProcess, order: Order) -> None:
        sent.append(order)
        send(child, order)

    monkeypatch.setattr(child_module.WorkerProcess, "send", spy)
    stream = loaded.answer([ask(1, limit=3000)])
    next(stream)
    assert isinstance(stream, Generator)
    stream.close()
    assert sent[-1] == CancelOrder((1,))
    assert isinstance(bodies(loaded, ask(2, limit=2))[-1], Answered)


def test_threads_may_change_while_it_computes(loaded: LocalEngine) -> None:
    found = []
    for _, body in loaded.answer([ask(1, limit=40)]):
        if isinstance(body, Started):
            loaded.set_threads(2)
        found.append(body)
    last = expect(Answered, found[-1])
    assert (last.threads, last.contended, last.contended_by) == (2, True, "threads")
    loaded.set_threads(1)


def test_a_killed_worker_fails_the_answer_at_once_and_is_started_anew(
    loaded: LocalEngine,
) -> None:
    found, killed = [], False
    for _, body in loaded.answer([ask(1, limit=3000), ask(2)]):
        found.append(body)
        if isinstance(body, Delta) and not killed:
            killed = True
            assert loaded.pid
            os.kill(loaded.pid, signal.SIGKILL)
    ends = [b for b in found if isinstance(b, Failed)]
    assert [(b.answer, b.cause) for b in ends] == [(1, "crashed"), (2, "crashed")]
    assert "SIGKILL" in ends[0].message
    assert re.fullmatch(r"the log has the details: \S+/\S+", ends[0].next_step)
    assert loaded.memory() == (0, 0)
    assert expect(Failed, bodies(loaded, ask(3))[-1]).cause == "not_loaded"
    again = loaded.load(lambda t_ns, body: None)
    assert again.import_s > 0
    assert isinstance(bodies(loaded, ask(4))[-1], Answered)


def test_a_stopped_worker_is_told_of_in_a_second_and_ended_when_it_stays_so(
    loaded: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.engines.watchdog.SILENT_HANG_S", 1.5)
    found: list[Body] = []
    for _, body in loaded.answer([ask(1, limit=3000)]):
        found.append(body)
        if isinstance(body, Started):
            assert loaded.pid
            os.kill(loaded.pid, signal.SIGSTOP)
        if isinstance(body, Note):
            assert body.answer == 1 and "does not answer" in body.text
            assert loaded.trouble
    assert any(isinstance(body, Note) for body in found[:-1]), "told before it is ended"
    assert isinstance(found[-1], Failed)
    assert found[-1].cause == "hung"
    assert loaded.pid is None


def test_one_that_comes_back_goes_on(loaded: LocalEngine) -> None:
    found: list[Body] = []
    for _, body in loaded.answer([ask(1, limit=60)]):
        found.append(body)
        assert loaded.pid
        if isinstance(body, Started):
            os.kill(loaded.pid, signal.SIGSTOP)
        if isinstance(body, Note) and "does not answer" in body.text:
            os.kill(loaded.pid, signal.SIGCONT)
    assert isinstance(found[-1], Answered)
    assert sum(b.n for b in found if isinstance(b, Delta)) == 60
    assert loaded.trouble == ""


def test_stopping_one_that_does_not_answer_ends_it(
    loaded: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only the order to stop can end it within the test.
    for limit in ("SILENT_HANG_S", "STUCK_HANG_S", "MAX_SILENCE_S"):
        monkeypatch.setattr(f"tui.engines.watchdog.{limit}", 3600.0)
    found: list[Body] = []
    for _, body in loaded.answer([ask(1, limit=3000)]):
        found.append(body)
        if isinstance(body, Started):
            assert loaded.pid
            os.kill(loaded.pid, signal.SIGSTOP)
        if isinstance(body, Note):
            loaded.cancel([1])
    assert isinstance(found[-1], Failed) and found[-1].cause == "hung"


def test_a_worker_that_dies_while_nothing_is_asked_is_told_of(loaded: LocalEngine) -> None:
    assert loaded.unexpected_exit() is None
    assert loaded.pid
    os.kill(loaded.pid, signal.SIGSEGV)
    until(loaded.unexpected_exit)
    assert "SIGSEGV" in expect(Failed, loaded.unexpected_exit()).message
    loaded.close()
    assert loaded.unexpected_exit() is None


def test_one_that_must_make_room_says_why(loaded: LocalEngine) -> None:
    why = Failed("out_of_memory", "stopped before the kernel had to", "x")
    found = []
    for _, body in loaded.answer([ask(1, limit=3000)]):
        found.append(body)
        if isinstance(body, Delta):
            loaded.abort(why)
    assert found[-1] == Failed("out_of_memory", "stopped before the kernel had to", "x", 1)


def test_it_is_held_to_its_allowance_and_survives(checkpoint: Path, tmp_path: Path) -> None:
    engine = LocalEngine(
        checkpoint, "fp32", 1, tmp_path / "log", memory_limits=WorkerMemoryLimits(30 << 20, 8 << 20)
    )
    try:
        engine.load(lambda t_ns, body: None)
        pid = engine.pid
        failed = bodies(engine, ask(1, "long " * 700, 300))[-1]
        assert isinstance(failed, Failed) and failed.cause == "out_of_memory"
        assert "allocate" in failed.message or "memory" in failed.message
        assert engine.pid == pid, "the answer failed, not the process"
    finally:
        engine.close()


def test_a_checkpoint_that_cannot_be_loaded_is_one_line(checkpoint: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(40))
    engine = LocalEngine(broken, "fp32", 1, tmp_path / "log")
    with pytest.raises(EngineError) as caught:
        engine.load(lambda t_ns, body: None)
    assert caught.value.cause in ("damaged", "unsupported")
    assert "\n" not in caught.value.message
    assert engine.pid is None


def test_it_dies_with_its_parent(checkpoint: Path, tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from tui.engines.base import Message, Request
from tui.engines.local import LocalEngine
engine = LocalEngine(Path({str(checkpoint)!r}), "fp32", 1, Path({str(tmp_path / "log")!r}))
engine.load(lambda t, b: None)
for _, body in engine.answer([Request(1, (Message("user", "long " * 700),), 3000)]):
    print(engine.pid, flush=True)
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    )
    assert parent.stdout
    pid = int(parent.stdout.readline())
    assert Path(f"/proc/{pid}/oom_score_adj").read_text().strip() == "1000"
    assert os.getsid(pid) == pid
    parent.kill()
    parent.wait()
    until(lambda: process_gone(pid))


def test_close_ends_the_process_and_may_be_repeated(engine: LocalEngine) -> None:
    engine.start()
    until(lambda: engine.pid)
    pid = engine.pid
    assert pid
    # Even where it does not listen.
    os.kill(pid, signal.SIGSTOP)
    engine.close()
    engine.close()
    until(lambda: process_gone(pid))
    assert engine.memory() == (0, 0)


def test_what_computes_leaves_the_cores_to_what_is_short(loaded: LocalEngine) -> None:
    bodies(loaded, ask(1))
    own = os.getpriority(os.PRIO_PROCESS, 0)
    threads = [int(task.name) for task in Path(f"/proc/{loaded.pid}/task").iterdir()]
    nice = {tid: os.getpriority(os.PRIO_PROCESS, tid) - own for tid in threads}
    assert nice[loaded.pid or 0] == 3
    assert sum(one == 0 for one in nice.values()) == 2, "control and signs of life"


def test_no_secret_reaches_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    monkeypatch.setenv("modelscope_api_token", "x")
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    seen = worker_environment(3)
    assert int(seen["GOMP_SPINCOUNT"]) < 300_000, "spinning threads keep others from the cores"
    assert not {name for name in seen if name.upper().endswith(("_KEY", "_TOKEN", "_SECRET"))}
    assert seen["OMP_NUM_THREADS"] == "3"
    assert seen["HF_HUB_OFFLINE"] == "1"


def test_threads_sleep_soon_where_others_compute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    shorter, longer = (int(worker_environment(2, on)["GOMP_SPINCOUNT"]) for on in (False, True))
    assert shorter < longer < 300_000
    monkeypatch.setenv("GOMP_SPINCOUNT", "77")
    assert worker_environment(2, True)["GOMP_SPINCOUNT"] == "77", "what a person sets is kept"
    endless = [sys.executable, "-c", "while True: pass"]
    with subprocess.Popen(endless) as neighbour:
        try:
            assert not child_module._cores_are_free()
        finally:
            neighbour.kill()
    used = iter((0.0, 0.1))
    monkeypatch.setattr(cpu.OtherProcesses, "cores_used", lambda *_: next(used))
    assert child_module._cores_are_free()


def test_why_a_worker_died() -> None:
    killed = explain_exit(-9, True, 3 << 30, "")
    assert (killed.cause, killed.message) == (
        "out_of_memory",
        "killed by the kernel: out of memory (it held 3.2 GB)",
    )
    assert "SIGKILL" in explain_exit(-9, False, 0, "").message
    assert "SIGSEGV" in explain_exit(-11, False, 0, "").message
    assert "it was built for another" in explain_exit(-4, False, 0, "").message
    assert "was cut short" in explain_exit(-7, False, 0, "").message
    assert explain_exit(1, False, 0, "ImportError: no x").message.endswith("1: ImportError: no x")
    thrown = "terminate called\n  what():  std::bad_alloc\nFatal Python error: Aborted\n  File x"
    aborted = explain_exit(-6, False, 0, thrown)
    assert aborted.cause == "out_of_memory" and "std::bad_alloc" in aborted.message


def test_a_kill_for_memory_explains_one_workers_end(monkeypatch: pytest.MonkeyPatch) -> None:
    count = 3
    monkeypatch.setattr(child_module, "oom_kills", lambda: count)
    kills = child_module.OomKillCounter()
    before = kills.unclaimed()
    assert not kills.claim(before)
    count = 4
    assert kills.claim(before)
    assert not kills.claim(before), "a second worker was killed by somebody else"
    assert not kills.claim(kills.unclaimed()), "and so was one that was started since"


def test_a_worker_that_cannot_start_tells_its_last_words(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('this torch is broken')")
    given = worker_environment(1)
    given["PYTHONPATH"] = f"{tmp_path}{os.pathsep}{given['PYTHONPATH']}"
    monkeypatch.setattr(child_module, "worker_environment", lambda *_: given)
    engine = LocalEngine(checkpoint, "fp32", 1, tmp_path / "log")
    with pytest.raises(EngineError, match="exit code 1: ImportError: this torch is broken"):
        engine.load(lambda t_ns, body: None)


@pytest.mark.slow
def test_a_worker_at_rest_gives_back_what_an_answer_took(tmp_path: Path) -> None:
    engine = LocalEngine(demo_gguf(), "bf16", 1, tmp_path / "log")
    try:
        engine.load(lambda t_ns, body: None)
        assert isinstance(bodies(engine, ask(1, "word " * 1400, 8))[-1], Answered)
        after, _ = engine.memory()
        until(lambda: engine.memory()[0] <= after - 30e6)
    finally:
        engine.close()


@pytest.mark.slow
@needs_kernels
@pytest.mark.parametrize("dtype", ["bf16", "int8", "int4"])
def test_guessed_tokens_leave_the_text_as_it_is(dtype: str, tmp_path: Path) -> None:
    story = "The river rises in the northern hills and flows past three old towns to the sea. "
    asked = ask(
        1,
        "Write this text again, word for word: " + story * 3,
        60,
        sampling=SamplingOptions(greedy=True),
    )
    found = []
    for lookup in (False, True):
        engine = LocalEngine(demo_gguf(), dtype, 1, tmp_path / "log", lookup=lookup)
        try:
            engine.load(lambda t_ns, body: None)
            found.append(bodies(engine, asked))
        finally:
            engine.close()
    plain, guessed = found
    assert text_of(plain) == text_of(guessed)
    assert isinstance(plain[-1], Answered) and isinstance(guessed[-1], Answered)
    assert (plain[-1].guessed, plain[-1].output_tokens) == (0, guessed[-1].output_tokens)
    assert guessed[-1].accepted > 10


def test_a_worker_that_breaks_ends_without_the_interpreters_own_end() -> None:
    program = """
import atexit
from tui.worker import __main__ as worker
class Broken:
    def __init__(self, channel, import_s): pass
    def run(self): raise MemoryError("no more")
worker.Worker, worker.Channel = Broken, int
atexit.register(print, "late")
worker.main()
"""
    command = [sys.executable, "-c", program, "0"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1 and not ended.stdout
    assert ended.stderr.rstrip().endswith("MemoryError: no more")
