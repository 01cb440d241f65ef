"""Starts worker processes by fork (`tui.worker.fork_server`): the libraries that each needs are
imported once, and lie once in memory.

A server belongs to one environment. Variables of this program's own are read when they are used,
so they may differ from worker to worker; those of libraries are read when these are imported, and
another value there means another server.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
from collections import deque
from collections.abc import Mapping

from tui.host import child_process

_READ_WHEN_USED = "DUIBI_"
"""How variables begin that our own modules read, none of them when it is imported."""
_THREADS = "OMP_NUM_THREADS"
"""Read by OpenMP when it is loaded; a forked worker sets its threads itself."""
_MAX_MESSAGE_BYTES = 65536


class ForkedProcess:
    """A worker that a fork server starts. The methods are those of `subprocess.Popen`."""

    def __init__(self, server_pid: int) -> None:
        self.server_pid = server_pid
        self.pid = 0
        """The worker's process id; 0 until it is forked."""
        self._changed = threading.Condition()
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code once it has ended, below 0 for a signal; else None."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end.

        Raises:
            subprocess.TimeoutExpired: it has not ended within ``timeout`` seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self.returncode is not None, timeout):
                raise subprocess.TimeoutExpired("worker", timeout or 0.0)
            assert self.returncode is not None
            return self.returncode

    def kill(self) -> None:
        """End it at once, also before it was forked."""
        with self._changed:
            if self.returncode is not None:
                return
            if not self.pid:
                self._end(-signal.SIGKILL)
            else:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pid, signal.SIGKILL)

    def wait_until_forked(self) -> None:
        """Wait until `pid` is its own; for one that has spoken already."""
        with self._changed:
            self._changed.wait_for(lambda: self.pid or self.returncode is not None)

    def forked(self, pid: int) -> None:
        """It runs now."""
        with self._changed:
            if self.returncode is None:
                self.pid = pid
                self._changed.notify_all()
                return
        # Killed while it was waited for.
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def ended(self, code: int) -> None:
        """It is gone."""
        with self._changed:
            if self.returncode is None:
                self._end(code)

    def _end(self, code: int) -> None:
        self.returncode = code
        self._changed.notify_all()


class _ForkServer:
    def __init__(self, environment: Mapping[str, str], output: int) -> None:
        self.environment = dict(environment)
        self._lock = threading.Lock()
        self._waiting: deque[ForkedProcess] = deque()
        self._running: dict[int, ForkedProcess] = {}
        self.is_gone = False
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = child_process.start(
                child_process.module_command("tui.worker.fork_server", str(theirs.fileno())),
                environment,
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        threading.Thread(target=self._read, name="fork server", daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def serves(self, environment: Mapping[str, str]) -> bool:
        return not self.is_gone and _imported_with(environment) == _imported_with(self.environment)

    def fork(self, environment: Mapping[str, str], channel: int, output: int) -> ForkedProcess:
        """A worker of this server.

        Raises:
            OSError: the server is gone.
        """
        ours = {name: value for name, value in environment.items() if _is_own(name)}
        message = json.dumps(ours).encode()
        with self._lock:
            socket.send_fds(self._socket, [message], [channel, output])
            made = ForkedProcess(self.pid)
            self._waiting.append(made)
            if self.is_gone:
                raise OSError("the fork server is gone")
        return made

    def close_if_unused(self) -> None:
        with self._lock:
            if not self._waiting and not self._running:
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            while message := self._socket.recv(_MAX_MESSAGE_BYTES):
                name, pid, code = json.loads(message)
                with self._lock:
                    if name == "forked":
                        self._running[pid] = self._waiting.popleft()
                        self._running[pid].forked(pid)
                    else:
                        self._running.pop(pid).ended(code)
        # Without the server nobody learns how its workers end: they are ended.
        code = self._process.wait()
        with self._lock:
            self.is_gone = True
            left = [*self._running.values()]
            for one in self._waiting:
                one.ended(code or 1)
        for one in left:
            one.kill()
            one.ended(-signal.SIGKILL)
        self._socket.close()


_lock = threading.Lock()
_servers: list[_ForkServer] = []


def fork_worker(environment: Mapping[str, str], channel: int, output: int) -> ForkedProcess:
    """A worker process (`tui.worker`) with this environment, which speaks through the socket
    ``channel`` and prints to ``output``; both may be closed afterwards. Returns at once, while
    the first one's libraries are still being imported.

    Raises:
        OSError: no process can be started.
    """
    with _lock:
        for server in _servers:
            if server.serves(environment):
                with contextlib.suppress(OSError):
                    return server.fork(environment, channel, output)
        for server in _servers:
            server.close_if_unused()
        made = _ForkServer(environment, output)
        _servers[:] = [made, *(one for one in _servers if not one.is_gone)]
        return made.fork(environment, channel, output)


def server_pids() -> list[int]:
    """The process ids of the servers that run: what they compute is ours."""
    with _lock:
        return [server.pid for server in _servers if not server.is_gone]


def _is_own(name: str) -> bool:
    return name.startswith(_READ_WHEN_USED) or name == _THREADS


def _imported_with(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not _is_own(name)}
