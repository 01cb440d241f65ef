"""Watches memory and cores while a run lasts, and says only what changed."""

import os
import time
from collections.abc import Sequence

from tui.engines import fork_server
from tui.events import RUN, Memory
from tui.host import cpu, memory
from tui.run.core_allocator import CoreAllocator
from tui.run.lane import Lane
from tui.run.monitor_thread import MonitorThread
from tui.run.recorder import Recorder

CHECK_INTERVAL_S = 0.25
MODEL_CHANGE_BYTES = 1_000_000
RUN_CHANGE_BYTES = 8_000_000
_RUN_EVERY = 4
_TRIM_EVERY = 240


class ResourceMonitor(MonitorThread):
    """A thread that reads each model's memory at 4 Hz, and at 1 Hz the container's and the
    cores that other programs leave."""

    def __init__(self, recorder: Recorder, lanes: Sequence[Lane], cores: CoreAllocator) -> None:
        super().__init__("memory")
        self._recorder = recorder
        self._lanes = lanes
        self._cores, self._other_processes, self._cores_taken = cores, cpu.OtherProcesses(), 0.0
        self._gauge, self._renewed_s = memory.find_gauge(), time.monotonic()
        self._models: dict[int, tuple[int, int]] = {}
        self._container = (0, 0)

    def _run(self) -> None:
        tick = 0
        while True:
            if tick % _RUN_EVERY == 0:
                self._read_container()
                self._read_cores()
            for lane in self._lanes:
                self._read_model(lane)
            tick += 1
            if tick % _TRIM_EVERY == 0:
                memory.trim_heap()
            if self._stop.wait(CHECK_INTERVAL_S):
                return

    def _read_container(self) -> None:
        now = time.monotonic_ns()
        if time.monotonic() - self._renewed_s >= self._gauge.renewed_after_s:
            self._gauge, self._renewed_s = memory.find_gauge(), time.monotonic()
        seen = self._gauge.read()
        used, limit = self._container
        if abs(seen.used - used) >= RUN_CHANGE_BYTES or seen.limit != limit:
            self._container = seen.used, seen.limit
            self._recorder.emit(RUN, Memory(used=seen.used, limit=seen.limit), now)

    def _read_cores(self) -> None:
        workers = [pid for lane in self._lanes if (pid := lane.engine.pid)]
        # Libraries are imported before there is a worker.
        own = [os.getpid(), *fork_server.server_pids(), *workers]
        taken = self._other_processes.cores_used(own)
        # Lower of the last two samples, so that a short burst changes nothing.
        self._cores.set_available(cpu.free_cores(min(taken, self._cores_taken)))
        self._cores_taken = taken

    def _read_model(self, lane: Lane) -> None:
        now = time.monotonic_ns()
        private, mapped = lane.engine.memory()
        before = self._models.get(lane.index, (0, 0))
        change = max(abs(private - before[0]), abs(mapped - before[1]))
        # Always report the drop to zero.
        if change >= MODEL_CHANGE_BYTES or (change and not private and not mapped):
            self._models[lane.index] = private, mapped
            for column in lane.columns:
                self._recorder.emit(column, Memory(private, mapped), now)
