"""A key reaches its service and nothing else; proxies are used where they may be."""

import json
import logging
import traceback

import pytest

from benchmarks.support.fault_server import Behaviour, FaultServer, Received, Reply, good_answer
from tests.support.endpoints import (
    collect_events,
    engine_at,
    load_engine,
    service_at,
)
from tui.engines.base import EngineError
from tui.engines.endpoint import EndpointEngine
from tui.engines.model_list import probe
from tui.events import Body, Delta, Event
from tui.events.json_form import encode
from tui.services import find_service

CANARY = "sk-canary-3f9a1c77d0e24b6f"


def with_key(url: str, **changes: object) -> EndpointEngine:
    service = service_at(url, key_variable="TEST_API_KEY", key_required=True, **changes)
    return EndpointEngine(service, "m", first_backoff_s=0.01)


def test_a_missing_key_is_one_line_with_the_variables_name() -> None:
    with pytest.raises(EngineError) as caught:
        load_engine(with_key("http://127.0.0.1:1/v1"))
    error = caught.value
    assert (error.cause, error.exit_code) == ("missing_key", 2)
    assert "TEST_API_KEY" in error.message and "TEST_API_KEY" in error.next_step


def test_a_server_that_wants_a_key_and_got_none_names_the_variable() -> None:
    def refuse(reply: Reply, _: Received) -> None:
        reply.whole(401, b'{"error":{"message":"who are you?"}}')

    with FaultServer(refuse) as server:
        service, model = find_service(f"{server.url}/deeper#m", {}, {})
        with pytest.raises(EngineError) as caught:
            load_engine(EndpointEngine(service, model, environ={}))
    assert caught.value.cause == "unauthorized" and "DUIBI_API_KEY" in caught.value.next_step


def test_probe_tells_a_missing_key_from_a_missing_service() -> None:
    def refuse(reply: Reply, _: Received) -> None:
        reply.whole(401, b"{}")

    with FaultServer(refuse) as server:
        service = service_at(f"{server.url}/deeper", key_variable="TEST_API_KEY", key_required=True)
        without, wrong = probe(service, {}), probe(service, {"TEST_API_KEY": CANARY})
    assert without.reachable and not without.key_present
    assert without.fault is not None and without.fault.cause == "missing_key"
    assert wrong.reachable and wrong.key_present
    assert wrong.fault is not None and wrong.fault.cause == "unauthorized"
    gone = probe(service, {"TEST_API_KEY": CANARY})
    assert not gone.reachable and gone.key_present and gone.round_trip_ms is None


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
            seen += [encode(Event(0, t, 0, body)) for t, body in collect_events(engine)]
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
        load_engine(with_key("http://127.0.0.1:1/v1"))
    assert caught.value.cause == "bad_key"
    assert key not in _with_variables(caught.value)


def test_a_key_over_plain_http_to_another_host_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_API_KEY", CANARY)
    with FaultServer(good_answer("x")) as server:
        here = load_engine(with_key(server.url))
        assert not here.notes
        # This machine by its own name is not the loopback address as far as anyone can tell.
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{server.port}")
        there = load_engine(with_key("http://gpu-box.invalid:8000/v1"))
    assert any("unencrypted" in note and "gpu-box.invalid:8000" in note for note in there.notes)


# -- proxies ---------------------------------------------------------------------------------


def test_proxies_are_honoured_but_never_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        FaultServer(good_answer("by proxy")) as proxy,
        FaultServer(good_answer("direct")) as server,
    ):
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        for url in (server.url, server.url.replace("127.0.0.1", "localhost")):
            bodies = [b for _, b in collect_events(engine_at(url))]
            assert [b.text for b in bodies if isinstance(b, Delta)] == ["direct"]
        assert proxy.asked == 0
        events = collect_events(engine_at("http://model.invalid/v1"))
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
        load_engine(engine_at("http://model.invalid/v1"))
    assert caught.value.cause in ("proxy", "refused") and caught.value.exit_code == 3
    assert "pw" not in caught.value.message
