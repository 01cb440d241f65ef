"""Watches, while a run lasts, for memory that runs out and for workers that died."""

import contextlib
import logging
import time
from collections.abc import Sequence

from tui.engines.worker_process import SMALLER_MODEL_HINT
from tui.events import Failed
from tui.host import memory
from tui.host.errors import UserError
from tui.run.lane import Lane
from tui.run.monitor_thread import MonitorThread
from tui.text.units import format_gigabytes as _gb

_log = logging.getLogger(__name__)

CHECK_INTERVAL_S = 0.075
"""Short enough that the reserve (`MemoryReading.reserve`) is rarely used up between two checks."""
_KILL_COOLDOWN_S = 1.0
"""What a worker held is not free the moment it is killed."""


class OomGuard(MonitorThread):
    """A thread that ends the worker with most private memory before the kernel would, which
    might take the screen instead, and wakes the lane of a worker that died unasked."""

    def __init__(self, lanes: Sequence[Lane]) -> None:
        super().__init__("guard")
        self._all_lanes = lanes

    @property
    def _lanes(self) -> list[Lane]:
        """Those with a process to watch."""
        return [lane for lane in self._all_lanes if lane.engine.has_process]

    def _run(self) -> None:
        gauge = memory.find_gauge()
        renewed = time.monotonic()
        killed = renewed - _KILL_COOLDOWN_S
        while not self._stop.wait(CHECK_INTERVAL_S):
            now = time.monotonic()
            if now - renewed >= gauge.renewed_after_s:
                with contextlib.suppress(UserError):
                    gauge = memory.find_gauge()
                renewed = now
            seen = gauge.read()
            if (
                seen.free < seen.reserve
                and now - killed >= _KILL_COOLDOWN_S
                and self._kill_largest(seen)
            ):
                killed = now
            for lane in self._lanes:
                if lane.engine.unexpected_exit():
                    with lane.shared.changed:
                        lane.shared.changed.notify_all()

    def _kill_largest(self, seen: memory.MemoryReading) -> bool:
        """Whether there was somebody to end."""
        lanes = self._lanes
        if not lanes:
            return False
        held = {lane.index: lane.engine.memory()[0] for lane in lanes}
        victim = max(lanes, key=lambda lane: held[lane.index])
        if not held[victim.index]:
            return False
        why = Failed(
            "out_of_memory",
            f"stopped while it held {_gb(held[victim.index])} GB, before memory ran out: "
            f"{_gb(seen.free)} of {_gb(seen.limit)} GB were free ({seen.source})",
            SMALLER_MODEL_HINT,
        )
        _log.warning("model %d: %s", victim.index, why.message)
        victim.engine.abort(why)
        return True
