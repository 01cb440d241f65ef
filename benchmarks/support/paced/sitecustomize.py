"""Put on a worker's path, makes it answer at a reading rate and leave the cores to others.

Python runs signal handlers in the main thread, which is the one that computes: a timer has it
rest most of the time while it answers. ``DUIBI_TEST_REST_S`` is how long it rests, for a
millisecond of work.
"""

import os
import signal
import sys
import time
from types import FrameType

_REST_S = float(os.environ.get("DUIBI_TEST_REST_S", "0.15"))
_WORK_S = 0.001
_ELSE_S = 0.05


def _rest(_number: int, frame: FrameType | None) -> None:
    while frame is not None and frame.f_code.co_name != "_advance":
        frame = frame.f_back
    if frame is not None:
        time.sleep(_REST_S)
    signal.setitimer(signal.ITIMER_REAL, _ELSE_S if frame is None else _WORK_S)


if "tui.worker" in getattr(sys, "orig_argv", []):
    signal.signal(signal.SIGALRM, _rest)
    signal.setitimer(signal.ITIMER_REAL, _ELSE_S)
