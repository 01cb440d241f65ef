"""``python -m tui.worker.fork_server FD``: imports what every worker needs, then forks a
worker for each message of the socket ``FD``. See `tui.engines.fork_server`.

A message is a JSON object of variables of the environment, with two file descriptors: the worker's
channel and its output. The answers are JSON lists: ``["forked", pid, 0]`` and ``["ended", pid,
exit code]``. The process ends when the socket does. It has one thread when it forks.
"""

import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from typing import NoReturn

from tui.host import system
from tui.worker.measure import process_age_s
from tui.worker.process.wire import exit_process

_MAX_MESSAGE_BYTES = 1 << 20


def main() -> None:
    """Serve until the parent is gone."""
    control = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with _ended_with(control):
        try:
            # What is imported stays: to look through it again and again takes half a second.
            gc.disable()
            from tui.worker.__main__ import run_worker
            from tui.worker.process.loop import import_libraries, import_the_rest

            import_libraries()
            import_the_rest()
        except BaseException:
            # Ending the interpreter takes a second with what is imported already.
            traceback.print_exc()
            exit_process(1)
    # The objects so far live as long as the process: the collector never scans them, and so
    # does not write to memory that the workers share.
    gc.collect()
    gc.freeze()
    gc.enable()
    serve(control, partial(run_worker, import_s=process_age_s()))


def serve(control: socket.socket, run_worker: Callable[[int], NoReturn]) -> None:
    """Fork until the other end is closed; each copy calls ``run_worker`` with its channel."""
    wake, woken = socket.socketpair()
    for end in (wake, woken):
        end.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
    while True:
        ready, _, _ = select.select([control, wake], [], [])
        if wake in ready:
            with contextlib.suppress(BlockingIOError):
                wake.recv(4096)
            for pid, code in _ended_children():
                _send(control, "ended", pid, code)
        if control in ready:
            message, fds, _, _ = socket.recv_fds(control, _MAX_MESSAGE_BYTES, 2)
            if not message:
                os._exit(0)
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for end in (control, wake, woken):
                    end.close()
                _prepare_worker(json.loads(message), fds[1])
                run_worker(fds[0])
            for fd in fds:
                os.close(fd)
            _send(control, "forked", pid, 0)


def _prepare_worker(variables: dict[str, str], output: int) -> None:
    for fd in (1, 2):
        os.dup2(output, fd)
    os.close(output)
    for name in [name for name in os.environ if name.startswith("DUIBI_")]:
        del os.environ[name]
    os.environ.update(variables)


def _ended_children() -> Iterator[tuple[int, int]]:
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            yield pid, os.waitstatus_to_exitcode(status)


def _send(control: socket.socket, name: str, pid: int, code: int) -> None:
    try:
        control.send(json.dumps([name, pid, code]).encode())
    except OSError:
        os._exit(0)


@contextlib.contextmanager
def _ended_with(control: socket.socket) -> Iterator[None]:
    """End this process when the other end of ``control`` is closed meanwhile."""
    stop_reading, stop = os.pipe()

    def watch() -> None:
        waiting = select.poll()
        waiting.register(control, system.HANG_UP)
        waiting.register(stop_reading, select.POLLIN)
        if waiting.poll()[0][0] == control.fileno():
            os._exit(0)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        os.write(stop, b".")
        watcher.join()
        os.close(stop)
        os.close(stop_reading)


if __name__ == "__main__":
    main()
