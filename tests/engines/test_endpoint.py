"""The endpoint engine against a server that behaves: text, figures, order, limits, keys."""

import itertools
import json
import logging
import os
import socket
import threading
import time
import traceback
from dataclasses import replace

import pytest

from tests.support.fault_server import Behaviour, FaultServer, Received, Reply, good
from tui.engines.base import EngineError, Message, Request, Sampling
from tui.engines.endpoint import EndpointEngine
from tui.engines.limiter import Limiter
from tui.engines.listing import probe
from tui.engines.services import Service
from tui.events import (
    Answered,
    Body,
    Cancelled,
    Delta,
    Event,
    Failed,
    Loaded,
    Note,
    Started,
    encode,
)

CANARY = "sk-canary-3f9a1c77d0e24b6f"
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def service_at(url: str, **changes: object) -> Service:
    base = Service("test", title="Test", base_url=url, key_required=False)
    return replace(base, **{"first_token_s": 5.0, "stall_s": 5.0} | changes)  # type: ignore[arg-type]


def engine_at(url: str, **changes: object) -> EndpointEngine:
    return EndpointEngine(service_at(url, **changes), "m", environ={}, first_wait_s=0.02)


def request(answer: int = 0, text: str = "hello", **changes: object) -> Request:
    made = Request(answer, (Message("user", text),), 64)
    return replace(made, **changes)  # type: ignore[arg-type]


def ask(engine: EndpointEngine, *requests: Request) -> list[tuple[int, Body]]:
    try:
        return list(engine.answer(requests or (request(),)))
    finally:
        engine.close()


def loaded(engine: EndpointEngine) -> Loaded:
    return engine.load(lambda _, __: None)


def only_answered(bodies: list[tuple[int, Body]]) -> Answered:
    last = bodies[-1][1]
    assert isinstance(last, Answered), last
    return last


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
        events = ask(engine_at(server.url))
    assert isinstance(events[0][1], Started)
    deltas = [(t, b) for t, b in events if isinstance(b, Delta)]
    assert [b.text for _, b in deltas] == ["你", "好", "!"]
    assert [t for t, _ in events] == sorted(t for t, _ in events)
    last = only_answered(events)
    assert (last.finish, last.prompt_tokens, last.output_tokens) == ("stop", 12, 3)
    assert last.token_source == "usage"
    assert last.ttft_ms is not None and last.e2e_ms is not None and last.tpot_ms is not None
    assert 100 <= last.ttft_ms < 200
    assert last.ttft_ms == pytest.approx((deltas[0][0] - events[0][0]) / 1e6)
    assert 150 <= last.e2e_ms - last.ttft_ms < 300
    assert last.tpot_ms == pytest.approx((last.e2e_ms - last.ttft_ms) / 2)
    assert last.chars_s == pytest.approx(3000 / last.e2e_ms)


def test_what_is_asked_is_what_was_meant() -> None:
    conversation = (
        Message("system", "Be brief."),
        Message("user", "一"),
        Message("assistant", "二"),
        Message("user", "三"),
    )
    sampling = Sampling(temperature=0.3, top_p=0.9, top_k=5, seed=7)
    with FaultServer(good("x")) as server:
        engine = engine_at(server.url, parameters=("temperature", "seed"), body={"think": False})
        events = ask(engine, request(messages=conversation, sampling=sampling))
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
    with FaultServer(good("x")) as server:
        sampling = Sampling(greedy=True, temperature=0.9, top_p=0.5)
        ask(engine_at(server.url), request(sampling=sampling))
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
        events = ask(engine_at(server.url))
    deltas = [(b.text, b.reasoning) for _, b in events if isinstance(b, Delta)]
    assert deltas == [("hm, ", True), ("yes", True), ("42", False)]
    last = only_answered(events)
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
        events = ask(engine_at(server.url))
    text = "".join(b.text for _, b in events if isinstance(b, Delta))
    assert text == "é字a😀b\ufffdc"
    text.encode()


def test_cancel_closes_the_connection_at_once_and_leaves_the_others() -> None:
    def behave(reply: Reply, received: Received) -> None:
        if received.body["messages"][0]["content"] == "short":
            time.sleep(0.4)
            return good("done")(reply, received)
        reply.head()
        reply.token("begun")
        return reply.wait_for_close()

    with FaultServer(behave) as server:
        engine = engine_at(server.url)
        said, cancelled_at = [], 0.0
        for _, body in engine.answer([request(1, "long"), request(2, "short")]):
            said.append(body)
            if isinstance(body, Delta) and body.answer == 1:
                cancelled_at = time.monotonic()
                engine.cancel([1])
            if isinstance(body, Cancelled):
                assert time.monotonic() - cancelled_at < 0.1
        until = time.monotonic() + 2
        while not server.closed_at and time.monotonic() < until:
            time.sleep(0.01)
        engine.close()
        assert server.closed_at[0] - cancelled_at < 0.2
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
        began = time.monotonic()
        bodies = [b for _, b in engine.answer([request(i) for i in range(6)])]
    assert time.monotonic() - began < 1
    assert sum(isinstance(b, Cancelled) for b in bodies) == 6
    engine.close()


def test_closing_while_it_loads_ends_the_loading() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        engine = engine_at(f"http://127.0.0.1:{silent.getsockname()[1]}/v1")
        threading.Timer(0.1, engine.close).start()
        began = time.monotonic()
        with pytest.raises(EngineError) as caught:
            loaded(engine)
    assert caught.value.cause == "cancelled" and time.monotonic() - began < 1


def test_a_stopped_iteration_stops_the_asking() -> None:
    with FaultServer(lambda reply, _: reply.wait_for_close()) as server:
        engine = engine_at(server.url, first_token_s=60.0)
        stream = engine.answer([request()])
        next(stream)
        while not server.asked:
            time.sleep(0.01)
        stream.close()  # type: ignore[attr-defined]
        until = time.monotonic() + 2
        while not server.closed_at and time.monotonic() < until:
            time.sleep(0.01)
        assert server.closed_at
        engine.close()


def test_no_thread_and_no_connection_is_left() -> None:
    with FaultServer(good("x")) as server:
        before = threading.active_count() - server.connections
        for _ in range(3):
            engine = engine_at(server.url)
            loaded(engine)
            only_answered(ask(engine))
            engine.close()
        names = [t.name for t in threading.enumerate()]
        until = time.monotonic() + 2
        while any("endpoint-" in n for n in names) and time.monotonic() < until:
            time.sleep(0.01)
            names = [t.name for t in threading.enumerate()]
        assert not any("endpoint-" in n for n in names), (before, names)
        assert server.connections == 3  # what `load` opened, the answer uses


def test_the_limit_of_a_service_holds_for_all_its_models() -> None:
    def behave(reply: Reply, received: Received) -> None:
        time.sleep(0.02)
        good("x")(reply, received)

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


def test_429_slows_the_whole_service_down_and_success_speeds_it_up() -> None:
    refused = 0

    def behave(reply: Reply, received: Received) -> None:
        nonlocal refused
        if refused < 1:
            refused += 1
            return reply.whole(429, b"{}", Retry_After="0.3")
        time.sleep(0.01)
        return good("x")(reply, received)

    with FaultServer(behave) as server:
        limiter = Limiter(4)
        service = service_at(server.url)
        engine = EndpointEngine(service, "m", limiter, environ={}, first_wait_s=0.02)
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
    with FaultServer(good("x"), models=("other",)) as server:
        engine = engine_at(server.url)
        remarks = loaded(engine).notes
        assert len(remarks) == 1 and "m is not in the list" in remarks[0]
        only_answered(ask(engine))


def test_a_server_without_a_list_is_asked_all_the_same() -> None:
    def behave(reply: Reply, received: Received) -> None:
        if received.path.endswith("/models"):
            return reply.whole(404, b"404 page not found", "text/plain")
        return good("x")(reply, received)

    with FaultServer(behave) as server:
        engine = engine_at(f"{server.url}/deeper")
        assert "HTTP 404: 404 page not found" in loaded(engine).notes[0]
        only_answered(ask(engine))


def test_probe_says_what_a_service_offers() -> None:
    with FaultServer(good("x"), models=("a", "b\x1b[2J")) as server:
        found = probe(service_at(server.url), {})
    assert found.reachable and found.models == ("a", "b [2J") and found.fault is None
    assert found.round_trip_ms is not None and 0 < found.round_trip_ms < 1000
    gone = probe(service_at(server.url), {})
    assert not gone.reachable and gone.fault is not None and gone.fault.cause == "refused"


# -- keys ------------------------------------------------------------------------------------


def with_key(url: str, **changes: object) -> EndpointEngine:
    service = service_at(url, key_variable="TEST_API_KEY", key_required=True, **changes)
    return EndpointEngine(service, "m", first_wait_s=0.01)


def test_a_missing_key_is_one_line_with_the_variables_name() -> None:
    with pytest.raises(EngineError) as caught:
        loaded(with_key("http://127.0.0.1:1/v1"))
    error = caught.value
    assert (error.cause, error.exit_code) == ("missing_key", 2)
    assert "TEST_API_KEY" in error.message and "TEST_API_KEY" in error.next_step


def echo(code: int) -> Behaviour:
    """A server that gives back the key it got, in every way it can."""

    def behave(reply: Reply, received: Received) -> None:
        key = received.headers.get("authorization", "").removeprefix("Bearer ")
        body = json.dumps({"error": {"message": f"wrong key {key}", "code": key}}).encode()
        if code == 200:
            reply.head()
            reply.token("x")
            reply.data({"error": {"message": f"key {key} is worn out"}})
            reply.done()
        else:
            reply.whole(code, body, Location=f"http://other/{key}", X_Key=key)

    return behave


@pytest.mark.parametrize("code", [200, 302, 400, 401, 429, 500])
def test_a_key_appears_nowhere(
    code: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TEST_API_KEY", f" {CANARY}\n")
    caplog.set_level(logging.DEBUG)
    seen: list[str] = []

    def progress(t: int, body: Body) -> None:
        seen.append(encode(Event(0, t, 0, body)))

    with FaultServer(echo(code)) as server:
        for url in (server.url, f"{server.url}/elsewhere"):
            engine = with_key(url)
            try:
                engine.load(progress)
            except EngineError as error:
                seen += [error.message, error.next_step, "".join(traceback.format_exception(error))]
                seen.append(_with_variables(error))
            seen += [encode(Event(0, t, 0, body)) for t, body in ask(engine)]
            seen += [repr(vars(engine)), repr(engine.service)]
        keys = {r.headers.get("authorization") for r in server.requests}
    assert keys == {f"Bearer {CANARY}"}  # it did arrive where it belongs
    assert seen and CANARY not in "\n".join(seen) + caplog.text
    assert any("***" in line for line in seen)


def _with_variables(error: BaseException) -> str:
    """The traceback as a crash screen shows it, with the local variables of every frame but
    the test's own."""
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    del shown.stack[0]
    return "".join(shown.format())


@pytest.mark.parametrize("key", ["sk-\u4e2d", "sk-a b", "sk-a\nX-Evil: 1", "k" * 5000])
def test_a_key_that_cannot_be_one_is_not_shown(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_API_KEY", key)
    with pytest.raises(EngineError) as caught:
        loaded(with_key("http://127.0.0.1:1/v1"))
    assert caught.value.cause == "bad_key"
    assert key not in _with_variables(caught.value)


def test_a_key_over_plain_http_to_another_host_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_API_KEY", CANARY)
    with FaultServer(good("x")) as server:
        here = loaded(with_key(server.url))
        assert not here.notes
        # This machine by its own name is not the loopback address as far as anyone can tell.
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{server.port}")
        there = loaded(with_key("http://gpu-box.invalid:8000/v1"))
    assert any("unencrypted" in note and "gpu-box.invalid:8000" in note for note in there.notes)


# -- proxies ---------------------------------------------------------------------------------


def test_proxies_are_honoured_but_never_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultServer(good("by proxy")) as proxy, FaultServer(good("direct")) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        for url in (server.url, server.url.replace("127.0.0.1", "localhost")):
            bodies = [b for _, b in ask(engine_at(url))]
            assert [b.text for b in bodies if isinstance(b, Delta)] == ["direct"]
        assert proxy.asked == 0
        events = ask(engine_at("http://model.invalid/v1"))
        assert "by proxy" in [b.text for _, b in events if isinstance(b, Delta)]
        assert proxy.requests[-1].path == "http://model.invalid/v1/chat/completions"


@pytest.mark.parametrize(
    "proxy", ["socks5://127.0.0.1:1", "nonsense://x", "http://u:pw@127.0.0.1:1"]
)
def test_a_proxy_that_cannot_be_used_is_said_without_its_password(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy)
    with pytest.raises(EngineError) as caught:
        loaded(engine_at("http://model.invalid/v1"))
    assert caught.value.cause in ("proxy", "refused") and caught.value.exit_code == 3
    assert "pw" not in caught.value.message


def test_nothing_heavy_is_imported_for_a_service() -> None:
    import subprocess
    import sys

    code = (
        "import sys, tui.engines.endpoint, tui.engines.pasted, tui.engines.recorded;"
        "print([m for m in ('httpx', 'tiktoken', 'textual', 'torch') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.strip() == "[]"
