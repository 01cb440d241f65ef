"""The endpoint engine against a server that behaves: text, figures, order, limits."""

import itertools
import json
import os
import socket
import threading
import time

import pytest

from benchmarks.support.fault_server import (
    FaultServer,
    Received,
    Reply,
    error_status,
    good_answer,
)
from tests.support.endpoints import (
    collect_events,
    engine_at,
    load_engine,
    request,
    service_at,
    single_answered,
)
from tests.support.waiting import until
from tui.engines.base import EngineError, Message, SamplingOptions
from tui.engines.endpoint import EndpointEngine
from tui.engines.limiter import Limiter
from tui.engines.model_list import probe
from tui.events import Answered, Cancelled, Delta, Failed, Note, Started


def test_text_streams_with_the_services_own_counts() -> None:
    def behave(reply: Reply, _: Received) -> None:
        reply.head()
        time.sleep(0.1)
        for text in ("你", "好", "!"):
            reply.token(text)
            time.sleep(0.05)
        reply.finish()
        reply.usage(12, 3)
        reply.done()

    with FaultServer(behave) as server:
        events = collect_events(engine_at(server.url))
    assert isinstance(events[0][1], Started)
    deltas = [(t, b) for t, b in events if isinstance(b, Delta)]
    assert [b.text for _, b in deltas] == ["你", "好", "!"]
    assert [t for t, _ in events] == sorted(t for t, _ in events)
    last = single_answered(events)
    assert (last.finish, last.prompt_tokens, last.output_tokens) == ("stop", 12, 3)
    assert last.token_source == "usage"
    assert last.ttft_ms is not None and last.e2e_ms is not None and last.tpot_ms is not None
    assert last.ttft_ms >= 95
    assert last.ttft_ms == pytest.approx((deltas[0][0] - events[0][0]) / 1e6)
    assert last.e2e_ms - last.ttft_ms >= 100
    assert last.tpot_ms == pytest.approx((last.e2e_ms - last.ttft_ms) / 2)
    assert last.chars_s == pytest.approx(3000 / last.e2e_ms)


def test_what_is_asked_is_what_was_meant() -> None:
    conversation = (
        Message("system", "Be brief."),
        Message("user", "一"),
        Message("assistant", "二"),
        Message("user", "三"),
    )
    sampling = SamplingOptions(temperature=0.3, top_p=0.9, top_k=5, seed=7)
    with FaultServer(good_answer("x")) as server:
        engine = engine_at(server.url, parameters=("temperature", "seed"), body={"think": False})
        events = collect_events(engine, request(messages=conversation, sampling=sampling))
        sent = server.requests[-1]
    assert sent.path == "/v1/chat/completions"
    assert sent.body == {
        "model": "m",
        "messages": [{"role": m.role, "content": m.content} for m in conversation],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 64,
        "temperature": 0.3,
        "seed": 7,
        "think": False,
    }
    assert "authorization" not in sent.headers
    notes = [b.text for _, b in events if isinstance(b, Note)]
    assert notes == ["Test does not take top_p, top_k: left out"]


def test_greedy_is_temperature_zero() -> None:
    with FaultServer(good_answer("x")) as server:
        sampling = SamplingOptions(greedy=True, temperature=0.9, top_p=0.5)
        collect_events(engine_at(server.url), request(sampling=sampling))
        assert server.requests[-1].body["temperature"] == 0
        assert "top_p" not in server.requests[-1].body


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_is_told_apart_and_counts_as_tokens(field: str) -> None:
    def behave(reply: Reply, _: Received) -> None:
        reply.head()
        reply.data({"choices": [{"delta": {"content": None, field: "hm, "}}]})
        reply.data({"choices": [{"delta": {"content": "", field: "yes"}}]})
        reply.token("42")
        reply.finish()
        reply.done()

    with FaultServer(behave) as server:
        events = collect_events(engine_at(server.url))
    deltas = [(b.text, b.reasoning) for _, b in events if isinstance(b, Delta)]
    assert deltas == [("hm, ", True), ("yes", True), ("42", False)]
    last = single_answered(events)
    assert last.output_tokens == round(9 * 0.3)
    assert last.chars_s == pytest.approx(2000 / (last.e2e_ms or 0))


def test_halves_of_characters_are_put_together() -> None:
    line = '{"choices": [{"delta": {"content": "%s"}}]}'

    def behave(reply: Reply, _: Received) -> None:
        reply.head()
        whole = b"data: " + line.encode() % "é字".encode() + b"\n\n"
        for i in range(0, len(whole), 3):
            reply.chunk(whole[i : i + 3])
        for half in ("a\\ud83d", "\\ude00b", "\\udc00", "c\\ud83d"):
            reply.chunk(f"data: {line % half}\r\n\r\n".encode())
        reply.finish()
        reply.done()

    with FaultServer(behave) as server:
        events = collect_events(engine_at(server.url))
    text = "".join(b.text for _, b in events if isinstance(b, Delta))
    assert text == "é字a😀b\ufffdc"
    text.encode()


def test_cancel_closes_the_connection_at_once_and_leaves_the_others() -> None:
    def behave(reply: Reply, received: Received) -> None:
        if received.body["messages"][0]["content"] == "short":
            # Answered only once the other connection is closed.
            until(lambda: server.closed_at)
            return good_answer("done")(reply, received)
        reply.head()
        reply.token("begun")
        return reply.wait_for_close()

    with FaultServer(behave) as server:
        engine = engine_at(server.url, first_token_s=60.0)
        said = []
        for _, body in engine.answer([request(1, "long"), request(2, "short")]):
            said.append(body)
            if isinstance(body, Delta) and body.answer == 1:
                engine.cancel([1])
        engine.close()
    finals = [b for b in said if isinstance(b, Answered | Cancelled | Failed)]
    assert [(type(b), b.answer) for b in finals] == [(Cancelled, 1), (Answered, 2)]


def test_what_waits_for_its_turn_is_cancelled_without_being_asked() -> None:
    def behave(reply: Reply, _: Received) -> None:
        reply.head()
        reply.token("x")
        reply.wait_for_close()

    with FaultServer(behave) as server:
        engine = engine_at(server.url, concurrency=2)
        finals = []
        for _, body in engine.answer([request(i) for i in range(10)]):
            if isinstance(body, Delta) and server.asked == 2:
                engine.cancel()
            if isinstance(body, Answered | Cancelled | Failed):
                finals.append(body)
        assert server.asked == 2
        engine.close()
    assert sorted(b.answer for b in finals) == list(range(10))
    assert all(isinstance(b, Cancelled) for b in finals)


def test_closing_from_another_thread_ends_every_answer() -> None:
    with FaultServer(lambda reply, _: reply.wait_for_close()) as server:
        engine = engine_at(server.url, first_token_s=60.0)
        threading.Timer(0.1, engine.close).start()
        bodies = [b for _, b in engine.answer([request(i) for i in range(6)])]
    assert sum(isinstance(b, Cancelled) for b in bodies) == 6
    engine.close()


def test_closing_while_it_loads_ends_the_loading() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        engine = engine_at(f"http://127.0.0.1:{silent.getsockname()[1]}/v1")
        threading.Timer(0.1, engine.close).start()
        with pytest.raises(EngineError) as caught:
            load_engine(engine)
    assert caught.value.cause == "cancelled"


def test_a_stopped_iteration_stops_the_asking() -> None:
    with FaultServer(lambda reply, _: reply.wait_for_close()) as server:
        engine = engine_at(server.url, first_token_s=60.0)
        stream = engine.answer([request()])
        next(stream)
        until(lambda: server.asked)
        stream.close()  # type: ignore[attr-defined]
        until(lambda: server.closed_at)
        engine.close()


def test_no_thread_and_no_connection_is_left() -> None:
    with FaultServer(good_answer("x")) as server:
        before = set(threading.enumerate())
        for _ in range(3):
            engine = engine_at(server.url)
            load_engine(engine)
            single_answered(collect_events(engine))
            engine.close()
        until(
            lambda: not any("endpoint-" in t.name for t in set(threading.enumerate()) - before),
            lambda: [t.name for t in set(threading.enumerate()) - before],
        )
        assert server.connections == 3  # what `load` opened, the answer uses


def test_the_limit_of_a_service_holds_for_all_its_models() -> None:
    def behave(reply: Reply, received: Received) -> None:
        time.sleep(0.02)
        good_answer("x")(reply, received)

    with FaultServer(behave) as server:
        limiter = Limiter(3)
        engines = [
            EndpointEngine(service_at(server.url), name, limiter, environ={}) for name in "ab"
        ]
        got: list[list[int]] = [[], []]

        def run(index: int) -> None:
            for _, body in engines[index].answer([request(i) for i in range(15)]):
                if isinstance(body, Started):
                    got[index].append(body.answer)
            engines[index].close()

        threads = [threading.Thread(target=run, args=(i,)) for i in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert server.most_open == 3
    assert got == [list(range(15))] * 2  # asked in order
    assert limiter.limit == 3


def test_waiting_for_a_turn_is_no_latency() -> None:
    def behave(reply: Reply, received: Received) -> None:
        time.sleep(0.2)
        good_answer("x", "y")(reply, received)

    with FaultServer(behave) as server:
        engine = engine_at(server.url, concurrency=1)
        began = time.monotonic()
        bodies = [b for _, b in collect_events(engine, *(request(i) for i in range(5)))]
        took = 1000 * (time.monotonic() - began)
    figures = [b for b in bodies if isinstance(b, Answered)]
    assert len(figures) == 5 and took >= 1000
    # One after the other, each from its own start: together they take as long as it all took.
    assert all(f.ttft_ms is not None and f.ttft_ms >= 195 for f in figures)
    assert sum(f.e2e_ms or 0 for f in figures) <= took


def test_several_threads_may_ask_one_engine() -> None:
    four = threading.Barrier(4)  # none is answered before as many are open as may be

    def behave(reply: Reply, received: Received) -> None:
        four.wait(60)
        good_answer(received.body["messages"][0]["content"])(reply, received)

    with FaultServer(behave) as server:
        engine = engine_at(server.url)
        got: dict[int, str] = {}

        def run(number: int) -> None:
            for _, body in engine.answer([request(number, f"text {number}")]):
                assert getattr(body, "answer", number) == number
                if isinstance(body, Delta):
                    got[number] = body.text

        threads = [threading.Thread(target=run, args=(i,)) for i in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        engine.close()
        assert server.most_open == engine.concurrency == 4
    assert got == {i: f"text {i}" for i in range(12)}


def test_429_slows_the_whole_service_down_and_success_speeds_it_up() -> None:
    refused = 0

    def behave(reply: Reply, received: Received) -> None:
        nonlocal refused
        if refused < 1:
            refused += 1
            return reply.whole(429, b"{}", Retry_After="0.3")
        time.sleep(0.01)
        return good_answer("x")(reply, received)

    with FaultServer(behave) as server:
        limiter = Limiter(4)
        service = service_at(server.url)
        engine = EndpointEngine(service, "m", limiter, environ={}, first_backoff_s=0.02)
        limits: set[int] = set()
        failed = 0
        for _, body in engine.answer([request(i) for i in range(40)]):
            limits.add(limiter.limit)
            failed += isinstance(body, Failed)
        engine.close()
        at = sorted(r.at for r in server.requests)
    assert failed == 0 and {2, 3, 4} <= limits and limiter.limit == 4
    assert max(b - a for a, b in itertools.pairwise(at)) > 0.2  # everyone waited


# -- loading ---------------------------------------------------------------------------------


def test_a_model_that_is_not_listed_is_said_and_may_still_be_asked() -> None:
    with FaultServer(good_answer("x"), models=("other",)) as server:
        engine = engine_at(server.url)
        remarks = load_engine(engine).notes
        assert len(remarks) == 1 and "m is not in the list" in remarks[0]
        single_answered(collect_events(engine))


def test_a_server_without_a_list_is_asked_all_the_same() -> None:
    def behave(reply: Reply, received: Received) -> None:
        if received.path.endswith("/models"):
            return reply.whole(404, b"404 page not found", "text/plain")
        return good_answer("x")(reply, received)

    with FaultServer(behave) as server:
        engine = engine_at(f"{server.url}/deeper")
        assert "HTTP 404: 404 page not found" in load_engine(engine).notes[0]
        single_answered(collect_events(engine))


def test_probe_says_what_a_service_offers() -> None:
    with FaultServer(good_answer("x"), models=("a", "b\x1b[2J")) as server:
        found = probe(service_at(server.url), {})
    assert found.reachable and found.models == ("a", "b [2J") and found.fault is None
    assert found.round_trip_ms is not None and found.round_trip_ms > 0
    gone = probe(service_at(server.url), {})
    assert not gone.reachable and gone.fault is not None and gone.fault.cause == "refused"


def test_nothing_heavy_is_imported_for_a_service() -> None:
    import subprocess
    import sys

    code = (
        "import sys, tui.engines.endpoint, tui.engines.pasted, tui.engines.recorded;"
        "print([m for m in ('httpx2', 'tiktoken', 'textual', 'torch') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.strip() == "[]"


def test_an_answer_that_only_repeats_itself_is_ended_and_its_connection_closed() -> None:
    def behave(reply: Reply, _: Received) -> None:
        reply.head()
        reply.token("一二三四五")
        for _number in range(4000):
            reply.token("；")
        reply.finish()
        reply.done()

    with FaultServer(behave) as server:
        engine = EndpointEngine(service_at(server.url), "m", environ={}, loop_stop=True)
        events = collect_events(engine)
        last = single_answered(events)
        assert last.finish == "repetition" and last.is_cut
        assert 1 <= last.repeats_from <= 6
        assert sum(len(b.text) for _, b in events if isinstance(b, Delta)) < 4000
        long = collect_events(engine_at(server.url), request(max_new_tokens=4000))
        assert single_answered(long).finish == "stop"


def test_an_attempt_that_failed_leaves_nothing_to_the_next_one() -> None:
    def behave(reply: Reply, received: Received) -> None:
        if received.number == 0:
            error = {"error": {"code": 429, "message": "slowly", "type": "rate_limit_error"}}
            return reply.whole(200, json.dumps(error).encode())
        return good_answer("It is ", "half past nine")(reply, received)

    with FaultServer(behave) as server:
        engine = engine_at(server.url)
        load_engine(engine)
        answered = single_answered(collect_events(engine))
        engine.close()
    assert server.asked == 2, "the first was refused for now"
    assert answered.ttft_ms and answered.tpot_ms and answered.e2e_ms
    assert 0 < answered.ttft_ms <= answered.e2e_ms


def test_several_answers_learn_at_once_what_a_service_refuses() -> None:
    together = threading.Barrier(3)

    def behave(reply: Reply, received: Received) -> None:
        if "stream_options" in received.body:
            together.wait(30)
            return error_status(400, "Unsupported parameter: stream_options")(reply, received)
        return good_answer("x")(reply, received)

    with FaultServer(behave) as server:
        engine = engine_at(server.url)
        load_engine(engine)
        said = [body for _, body in engine.answer([request(i) for i in range(3)])]
        engine.close()
    ends = [body for body in said if isinstance(body, Answered | Cancelled | Failed)]
    assert [type(end) for end in ends] == [Answered] * 3
