"""Every way a service fails has its documented cause, nothing is repeated unseen, and no
answer that is not whole passes for one."""

import socket

import pytest

from benchmarks.support.fault_server import (
    FaultServer,
    Received,
    Reply,
    good_answer,
)
from tests.support.bodies import text_of
from tests.support.endpoint_faults import FAULTS
from tests.support.endpoints import (
    bodies_of,
    free_port,
    full_backlog,
    patient_engine,
)
from tui.engines.base import EngineError
from tui.engines.errors import CAUSES
from tui.events import Answered, Body, Cancelled, Failed, Note, Started

FINAL = (Answered, Failed, Cancelled)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_has_its_cause_and_keeps_what_came(name: str) -> None:
    fault = FAULTS[name]
    with FaultServer(fault.behaviour) as server:
        bodies = bodies_of(patient_engine(server.url, **fault.limits))
        assert server.asked == fault.asked
    last = bodies[-1]
    assert isinstance(last, Failed)
    assert (last.cause, last.answer) == (fault.cause, 0)
    assert last.message and last.next_step and "\n" not in last.message
    assert text_of(bodies) == fault.kept
    assert not any(isinstance(b, Answered) for b in bodies)
    notes = [b for b in bodies if isinstance(b, Note)]
    assert len(notes) == fault.asked - 1  # every repetition is seen
    assert all(n.answer == 0 and "trying again" in n.text for n in notes)
    assert sum(isinstance(b, Started) for b in bodies) == fault.asked
    assert sum(isinstance(b, FINAL) for b in bodies) == 1


def load_fault(url: str, **changes: float) -> tuple[EngineError, list[Body]]:
    seen: list[Body] = []
    engine = patient_engine(url, **changes)
    with pytest.raises(EngineError) as caught:
        engine.load(lambda _, body: seen.append(body) if isinstance(body, Note) else None)
    assert caught.value.exit_code == CAUSES[caught.value.cause].exit_code == 3
    assert caught.value.__cause__ is None and caught.value.next_step
    return caught.value, seen


def test_refused() -> None:
    error, seen = load_fault(f"http://127.0.0.1:{free_port()}/v1")
    assert error.cause == "refused"
    assert len(seen) == 2 and all(isinstance(b, Note) and b.answer == -1 for b in seen)
    error, _ = load_fault(f"http://localhost:{free_port()}/v1")
    assert error.cause == "refused"


def test_refused_in_mid_run_is_the_answers_failure() -> None:
    bodies = bodies_of(patient_engine(f"http://127.0.0.1:{free_port()}/v1"))
    assert isinstance(bodies[-1], Failed) and bodies[-1].cause == "refused"
    assert sum(isinstance(b, Note) for b in bodies) == 2


def test_dns() -> None:
    error, seen = load_fault("http://no-such-host.invalid/v1")
    assert error.cause == "dns" and "no-such-host.invalid" in error.message
    assert len(seen) == 2


def test_tls() -> None:
    with FaultServer(good_answer("x")) as server:
        error, seen = load_fault(f"https://127.0.0.1:{server.port}/v1")
    assert error.cause == "tls" and not seen


def test_connect_timeout() -> None:
    with full_backlog() as port:
        error, seen = load_fault(f"http://127.0.0.1:{port}/v1", connect_s=0.2)
    assert error.cause == "connect_timeout" and len(seen) == 2


def test_a_tls_handshake_that_never_comes_is_a_connect_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        error, _ = load_fault(f"https://127.0.0.1:{port}/v1", connect_s=0.2)
    assert error.cause == "connect_timeout"


def test_401_is_known_when_the_model_is_loaded() -> None:
    def refuse(reply: Reply, _: Received) -> None:
        reply.whole(401, b'{"error":{"message":"no"}}')

    with FaultServer(refuse) as server:
        error, seen = load_fault(f"{server.url}/other")
    assert error.cause == "unauthorized" and not seen
