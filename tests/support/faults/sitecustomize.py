"""Put on a worker's path, lets a signal break it from inside while it computes.

Python runs signal handlers in the main thread, which is the one that computes: SIGUSR1
stops it for good, SIGUSR2 does so and keeps the interpreter's lock, SIGXCPU asks for more
memory than there can be, SIGXFSZ takes and uses more and more until something stops it,
SIGPWR does so after it lifted the limit that the parent set (RLIMIT_DATA).
"""

import ctypes
import resource
import signal
import sys
import threading
from types import FrameType


def _wait(_number: int, _frame: FrameType | None) -> None:
    threading.Event().wait()


def _wait_with_the_lock(_number: int, _frame: FrameType | None) -> None:
    ctypes.PyDLL(None).sleep(10_000)


def _want_memory(_number: int, _frame: FrameType | None) -> None:
    bytearray(1 << 60)


def _eat(_number: int, _frame: FrameType | None) -> None:
    eaten = []
    while True:
        eaten.append(b"\1" * (16 << 20))


def _eat_unbound(number: int, frame: FrameType | None) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))
    _eat(number, frame)


if {"tui.worker", "tui.worker.fork_server"} & {*getattr(sys, "orig_argv", [])}:
    signal.signal(signal.SIGUSR1, _wait)
    signal.signal(signal.SIGUSR2, _wait_with_the_lock)
    signal.signal(signal.SIGXCPU, _want_memory)
    signal.signal(signal.SIGXFSZ, _eat)
    signal.signal(signal.SIGPWR, _eat_unbound)
