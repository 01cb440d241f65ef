"""Workers are copies of one process that has imported their libraries."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.waiting import until
from tui.engines import fork_server
from tui.engines.worker_process import WorkerExit, WorkerProcess
from tui.host.process import read_stat


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def workers(log: Path) -> Iterator[list[WorkerProcess]]:
    made: list[WorkerProcess] = []
    yield made
    for one in made:
        one.close()


def started(workers: list[WorkerProcess], log: Path) -> WorkerProcess:
    made = WorkerProcess(1, log)
    workers.append(made)
    return made


def ended(worker: WorkerProcess) -> WorkerExit:
    while not isinstance(item := worker.inbox.get(timeout=60), WorkerExit):
        pass
    return item


def server_of(worker: WorkerProcess) -> int:
    until(lambda: worker.pid)
    stat = read_stat(worker.pid or 0)
    assert stat
    return stat.parent


def test_two_workers_share_one_import(workers: list[WorkerProcess], log: Path) -> None:
    first, second = started(workers, log), started(workers, log)
    assert server_of(first) == server_of(second) != os.getpid()
    assert server_of(first) in fork_server.server_pids()
    # Only with one thread is a copy of a process whole.
    stat = read_stat(first.pid or 0)
    assert stat and stat.cpu_s < 1.0, "it imported nothing again"
    second.kill()
    assert ended(second).failure is not None
    assert second.process.wait(10) == -signal.SIGKILL
    assert first.is_alive, "each is a process of its own"


def test_variables_of_ours_reach_each_worker(
    workers: list[WorkerProcess], log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = started(workers, log)
    monkeypatch.setenv("DUIBI_MEMORY_LIMIT", "5G")
    second = started(workers, log)
    assert server_of(first) == server_of(second)
    # The others are kept, and the new one need not import all.
    monkeypatch.setattr(fork_server, "_servers", [*fork_server._servers])
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")
    third = started(workers, log)
    assert isinstance(third.process, fork_server.ForkedProcess)
    assert third.process.server_pid != server_of(first), "torch reads it when it is imported"
    third.close(0.1)
    os.kill(third.process.server_pid, signal.SIGKILL)


def test_one_that_is_closed_while_the_libraries_load_ends_at_once(
    workers: list[WorkerProcess], log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fork_server, "_servers", [])
    waiting = started(workers, log)
    server = waiting.usage()
    assert waiting.pid is None and waiting.is_alive and waiting.memory() == (0, 0)
    waiting.close(0.1)
    assert ended(waiting).failure is None
    assert waiting.pid is None, "it was not waited for until it was forked"
    assert server.cpu_s >= 0.0


def test_a_worker_is_not_silent_while_its_libraries_are_imported_and_ends_with_its_server(
    workers: list[WorkerProcess], log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fork_server, "_servers", [])
    made = started(workers, log)
    before = made.last_heard
    imported = 0.0
    while not made.pid:
        imported = max(imported, made.usage().cpu_s)
    assert imported > 0.5, "the work of the process that imports counts"
    made.inbox.get(timeout=60)
    assert made.usage().cpu_s < imported
    assert made.last_heard > before, "else a slow import and an idle start look like a hang"
    # A server that is killed ends its workers, and another one takes its place.
    killed = server_of(made)
    os.kill(killed, signal.SIGKILL)
    assert ended(made).failure is not None
    second = started(workers, log)
    assert isinstance(second.process, fork_server.ForkedProcess)
    assert second.process.server_pid != killed
    os.kill(second.process.server_pid, signal.SIGKILL)


def test_libraries_that_cannot_be_imported_are_told(
    workers: list[WorkerProcess], log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken" / "transformers"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text('raise ImportError("no such version of transformers")')
    monkeypatch.setenv("PYTHONPATH", str(broken.parent))
    monkeypatch.setattr(
        "tui.engines.worker_process.child_process.with_own_modules",
        lambda variables: {**variables, "PYTHONPATH": f"{broken.parent}:{Path.cwd()}"},
    )
    failure = ended(started(workers, log)).failure
    assert failure is not None and failure.cause == "crashed"
    assert "no such version of transformers" in failure.message


def test_the_server_forks_with_one_thread(log: Path) -> None:
    """A lock that another thread holds while a process is copied is never released."""
    code = "import os, threading\nimport tui.worker.__main__\nprint(threading.active_count())\n"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd()
    )
    assert done.stdout.split() == ["1"]
