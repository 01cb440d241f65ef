"""One worker asked by several threads at once."""

import threading
from collections.abc import Generator, Iterator
from dataclasses import replace

import pytest

from benchmarks.support import tiny
from tests.support.bodies import expect, text_of
from tui.engines.base import Message, Request, SamplingOptions
from tui.engines.event_router import EventRouter, WorkerOutput
from tui.engines.local import LocalEngine
from tui.engines.worker_process import WorkerExit
from tui.events import Answered, Body, Cancelled, Delta, Failed, Started

GREEDY = SamplingOptions(greedy=True, repetition_penalty=1.2)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEngine]:
    folder = tiny.write_llama(
        tmp_path_factory.mktemp("tiny"), num_hidden_layers=20, hidden_size=128
    )
    (folder / "generation_config.json").write_text("{}")
    log = tmp_path_factory.mktemp("log") / "log"
    made = LocalEngine(folder, "fp32", 1, log, batch=3)
    made.load(lambda t_ns, body: None)
    yield made
    made.close()


def ask(id_: int, text: str, limit: int = 60) -> Request:
    return Request(id_, (Message("user", text),), limit, GREEDY)


def together(engine: LocalEngine, requests: list[Request]) -> dict[int, list[Body]]:
    found: dict[int, list[Body]] = {request.answer: [] for request in requests}

    def one(request: Request) -> None:
        found[request.answer] += [body for _, body in engine.answer([request])]

    threads = [threading.Thread(target=one, args=(request,)) for request in requests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return found


def test_each_caller_gets_its_own_answer_made_in_company(engine: LocalEngine) -> None:
    assert engine.concurrency == 3
    requests = [ask(n, f"question {n} " * (n + 1)) for n in range(5)]
    found = together(engine, requests)
    for number, bodies in found.items():
        assert {getattr(body, "answer", number) for body in bodies} == {number}
        assert isinstance(bodies[0], Started)
        assert isinstance(bodies[-1], Answered)
    assert max(expect(Answered, bodies[-1]).batch for bodies in found.values()) == 3
    for request in requests:
        alone = [body for _, body in engine.answer([request])]
        assert text_of(alone) == text_of(found[request.answer])
        assert isinstance(alone[-1], Answered)
        assert alone[-1].batch == 1


def test_one_caller_cancels_and_the_others_are_answered(engine: LocalEngine) -> None:
    timer = threading.Timer(0.2, engine.cancel, ([7],))
    timer.start()
    found = together(engine, [ask(7, "long", 3000), ask(8, "short", 40), ask(9, "also", 40)])
    assert isinstance(found[7][-1], Cancelled)
    assert isinstance(found[8][-1], Answered)
    assert isinstance(found[9][-1], Answered)


def test_who_stops_reading_leaves_the_line_to_others(engine: LocalEngine) -> None:
    stream = engine.answer([ask(1, "first", 3000)])
    next(stream)
    assert isinstance(stream, Generator)
    stream.close()
    assert isinstance([body for _, body in engine.answer([ask(2, "second", 5)])][-1], Answered)


def test_an_error_where_events_are_taken_leaves_nobody_waiting() -> None:
    def events() -> Iterator[WorkerOutput]:
        yield 1, Started(3)
        raise ZeroDivisionError

    board = EventRouter(events)
    taken = iter(board.subscribe([3]))
    assert next(taken) == (1, Started(3))
    lost = next(taken)
    assert isinstance(lost, WorkerExit) and lost.failure and lost.failure.cause == "internal"
    board.wait_until_idle()
    assert isinstance(next(iter(board.subscribe([4]))), WorkerExit)


def test_what_a_person_asks_goes_before_a_set(engine: LocalEngine) -> None:
    """It does not wait for the set, has the model alone, and the set goes on after it."""
    found: list[tuple[int, Body]] = []
    begun = threading.Event()

    def background() -> None:
        requests = [replace(ask(n, f"question {n}", 400), background=True) for n in (1, 2, 3)]
        for t_ns, body in engine.answer(requests):
            found.append((t_ns, body))
            if len(found) > 30:
                begun.set()

    thread = threading.Thread(target=background)
    thread.start()
    assert begun.wait(60)
    own = list(engine.answer([ask(9, "mine", 30)]))
    still = thread.is_alive()
    thread.join(120)
    assert still
    assert isinstance(own[-1][1], Answered)
    assert own[-1][1].batch == 1 and own[-1][1].contended_by in ("", "programs")
    first, last = own[0][0], own[-1][0]
    assert not [b for t_ns, b in found if first < t_ns < last and isinstance(b, Delta)]
    ends = [body for _, body in found if isinstance(body, Answered)]
    assert len(ends) == 3
    assert all(body.contended and body.batch == 3 for body in ends)


def test_a_lost_worker_fails_every_caller_once(engine: LocalEngine) -> None:
    threading.Timer(0.3, lambda: engine.abort(Failed("out_of_memory", "killed"))).start()
    found = together(engine, [ask(n, f"question {n}", 3000) for n in range(3)])
    for number, bodies in found.items():
        ends = [body for body in bodies if isinstance(body, Failed)]
        assert [(body.answer, body.cause) for body in ends] == [(number, "out_of_memory")]
    *_, (_, last) = engine.answer([ask(5, "x")])
    assert expect(Failed, last).cause == "not_loaded"
