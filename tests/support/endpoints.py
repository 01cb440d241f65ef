"""Endpoint engines for tests, with clocks that do not make a test wait."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from tui.engines.base import Message, Request
from tui.engines.endpoint import EndpointEngine
from tui.events import Answered, Body, Loaded
from tui.services import Service


def clear_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy of the machine that runs the tests may stand between."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def free_port() -> int:
    """A port of this machine where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def full_backlog() -> Iterator[int]:
    """A port whose queue is full, so that no connection comes up."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for each in fillers:
            each.setblocking(False)
            each.connect_ex(listener.getsockname())
        yield int(listener.getsockname()[1])
        for each in fillers:
            each.close()


def service_at(url: str, **changes: object) -> Service:
    """A service without a key."""
    base = Service("test", title="Test", base_url=url, key_required=False)
    return replace(base, **{"first_token_s": 5.0, "stall_s": 5.0} | changes)  # type: ignore[arg-type]


def engine_at(url: str, **changes: object) -> EndpointEngine:
    """The model ``m`` of a service without a key, which repeats soon."""
    return EndpointEngine(service_at(url, **changes), "m", environ={}, first_backoff_s=0.02)


def request(answer: int = 0, text: str = "hello", **changes: object) -> Request:
    """One question."""
    return replace(Request(answer, (Message("user", text),), 64), **changes)  # type: ignore[arg-type]


def collect_events(engine: EndpointEngine, *requests: Request) -> list[tuple[int, Body]]:
    """All events of the answers; the engine is closed."""
    try:
        return list(engine.answer(requests or (request(),)))
    finally:
        engine.close()


def load_engine(engine: EndpointEngine) -> Loaded:
    """What loading reports."""
    return engine.load(lambda _, __: None)


def single_answered(events: list[tuple[int, Body]]) -> Answered:
    """The figures of an answer that must be complete."""
    last = events[-1][1]
    assert isinstance(last, Answered), last
    return last


def patient_engine(url: str, **changes: float) -> EndpointEngine:
    """The model ``m`` of a service without a key, with limits that do not run out however
    loaded the machine is, except for those of ``changes``."""
    return engine_at(url, **{"connect_s": 60.0, "first_token_s": 60.0, "stall_s": 60.0} | changes)


def bodies_of(engine: EndpointEngine, *answers: int) -> list[Body]:
    """What comes of asking, without the times; the engine is closed."""
    return [
        body for _, body in collect_events(engine, *(request(answer) for answer in answers or (0,)))
    ]
