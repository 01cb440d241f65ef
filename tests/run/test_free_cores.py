"""Models keep to the cores that other programs leave."""

import os

import pytest

from tests.support.engines import EchoEngine
from tests.support.runs import RunStage
from tests.support.waiting import until
from tui.engines import fork_server
from tui.host import cpu
from tui.run.core_allocator import CoreAllocator


def test_the_models_divide_what_is_left() -> None:
    one, two = EchoEngine(), EchoEngine()
    cores = CoreAllocator(4)
    with cores.allocate(one), cores.allocate(two):
        cores.set_available(2)
        cores.set_available(2)
        assert (one.threads, two.threads) == ([4, 2, 1], [2, 1])
        cores.set_available(9)
        assert (one.threads[-1], two.threads[-1]) == (2, 2)
    cores.set_available(1)
    with cores.allocate(one):
        assert one.threads[-1] == 1
        with cores.allocate(two):
            assert two.threads[-1] == 1, "nobody is kept waiting for what others take"


def test_the_import_of_libraries_is_nobody_elses(
    stage: RunStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two seconds of a core before there is a worker: the first answers would have one less."""
    seen: list[list[int]] = []

    def cores_used(_: cpu.OtherProcesses, own: list[int]) -> float:
        seen.append(own)
        return 0.0

    monkeypatch.setattr(cpu.OtherProcesses, "cores_used", cores_used)
    monkeypatch.setattr(fork_server, "server_pids", lambda: [4242])
    stage(EchoEngine())
    until(lambda: seen)
    assert {os.getpid(), 4242} <= set(seen[0])
