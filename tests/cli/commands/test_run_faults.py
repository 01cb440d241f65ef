"""Every way a service fails, through `duibi run`: its cause, its exit code, what is kept of the
answer, how often the service was asked, and that each repetition was told."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from benchmarks.support.fault_server import (
    Behaviour,
    FaultServer,
    Received,
    Reply,
    error_status,
    good_answer,
    hang_up,
    in_order,
    send_head,
    send_token,
)
from tests.support import endpoint_faults
from tests.support.endpoint_faults import ServiceFault
from tests.support.endpoints import clear_proxies, free_port, full_backlog
from tui.board import Answer, Board, fold
from tui.cli import run_command_line as run
from tui.host import paths
from tui.sessions import reader


def _once(code: int, **headers: str) -> Behaviour:
    def behave(reply: Reply, received: Received) -> None:
        (good_answer("fine") if received.number else error_status(code, **headers))(reply, received)

    return behave


_FAILING = (
    *("headers never", "first token never", "keep-alive comments only", "stall in mid stream"),
    *("cut in mid line", "cut before finish", "closed before finish"),
    *(
        "HTML 200",
        "JSON 200 that is not said to be complete",
        "invalid JSON line",
        "invalid UTF-8",
        "1 MiB line",
    ),
    *("error in mid stream", "401", "404", "429", "redirect"),
)
FAULTS: dict[str, ServiceFault] = {
    **{name: endpoint_faults.FAULTS[name] for name in _FAILING},
    "429 with an absurd Retry-After": ServiceFault(
        error_status(429, Retry_After="1e400"), "rate_limited", asked=3
    ),
    "cut after finish": ServiceFault(
        in_order(send_head, send_token, Reply.finish, hang_up), kept="half"
    ),
    "empty choices": ServiceFault(
        in_order(
            send_head,
            lambda r: r.data({"choices": []}),
            lambda r: r.token("fine"),
            Reply.finish,
            Reply.done,
        ),
        kept="fine",
    ),
    "missing usage": ServiceFault(
        in_order(send_head, lambda r: r.token("fine"), Reply.finish, Reply.done), kept="fine"
    ),
    "429 with Retry-After": ServiceFault(_once(429, Retry_After="0.05"), kept="fine", asked=2),
    "500 then success": ServiceFault(_once(500), kept="fine", asked=2),
}


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Waits that are short."""
    clear_proxies(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DUIBI_API_KEY", raising=False)
    monkeypatch.setattr("tui.engines.endpoint.FIRST_BACKOFF_S", 0.02)
    monkeypatch.setattr("tui.engines.endpoint.MAX_BACKOFF_S", 0.2)
    Path("one.txt").write_text("hello\n")


def asked_of(url: str, limits: Mapping[str, float]) -> tuple[int, Board, Answer]:
    """One question to the server at ``url``, with ``limits`` set as a person sets them: exit
    code, board, and the answer."""
    (paths.config_dir() / "duibi.toml").write_text(
        f'[services.box]\nbase_url = "{url}"\nkey_required = false\n'
        + "".join(f"{name} = {seconds}\n" for name, seconds in limits.items())
    )
    code = run(["run", "box:m", "--questions", "one.txt"])
    (path,) = paths.sessions_dir().glob("*.duibi")
    reading = reader.read(path)
    assert reading.verdict == "complete"
    board = fold(reading.events)
    (answer,) = board.answers.values()
    return code, board, answer


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_ends_as_documented(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    fault = FAULTS[name]
    with FaultServer(fault.behaviour) as server:
        code, _, answer = asked_of(server.url, fault.limits)
        assert (code, server.asked) == (3 if fault.cause else 0, fault.asked)
    told = capsys.readouterr().err
    assert answer.text == fault.kept and "Traceback" not in told
    assert told.count("trying again in") == fault.asked - 1 == len(answer.notes)
    if fault.cause:
        assert answer.state == "failed" and answer.figures is None and answer.failure is not None
        assert answer.failure.cause == fault.cause
        assert answer.failure.message in told and answer.failure.next_step in told
    else:
        assert answer.state == "answered" and answer.failure is None
    if name == "missing usage":
        assert answer.is_estimated and "~1 token\n" in told and "~ from an estimated" in told


@contextmanager
def _refused() -> Iterator[str]:
    yield f"http://127.0.0.1:{free_port()}/v1"


@contextmanager
def _unknown_host() -> Iterator[str]:
    yield "http://no-such-host.invalid/v1"


@contextmanager
def _no_tls() -> Iterator[str]:
    with FaultServer(good_answer("x")) as server:
        yield f"https://127.0.0.1:{server.port}/v1"


@contextmanager
def _full() -> Iterator[str]:
    with full_backlog() as port:
        yield f"http://127.0.0.1:{port}/v1"


@pytest.mark.parametrize(
    ("place", "cause", "again"),
    [
        (_refused, "refused", 2),
        (_unknown_host, "dns", 2),
        (_no_tls, "tls", 0),
        (_full, "connect_timeout", 2),
    ],
)
def test_a_service_that_cannot_be_reached_is_that(
    place: Callable[[], AbstractContextManager[str]],
    cause: str,
    again: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    connect_s = 0.3 if cause == "connect_timeout" else 60.0
    with place() as url:
        code, board, answer = asked_of(url, {"connect_s": connect_s})
    told = capsys.readouterr().err
    assert code == 3 and "Traceback" not in told
    assert board.models[0].failure is not None and board.models[0].failure.cause == cause
    assert answer.failure is not None and answer.failure.cause == cause and not answer.text
    assert told.count("trying again in") == again == len(board.models[0].notes)
