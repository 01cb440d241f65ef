"""A worker process seen from outside: started, spoken to, watched, and ended."""

import contextlib
import functools
import os
import queue
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from tui.checkpoints.llama_cpp import PUBLISHED
from tui.engines.fork_server import ForkedProcess, fork_worker
from tui.engines.watchdog import ProcessUsage, process_usage
from tui.events import Failed, Load, TimedBody
from tui.host import cgroup, child_process, cpu, memory, system
from tui.host.paths import shown
from tui.host.save_file import open_log
from tui.worker_protocol import (
    LOG_STEP,
    Alive,
    CloseOrder,
    Order,
    ProtocolError,
    decode_report,
    encode_order,
)

_T = TypeVar("_T")
_SHORT_SPIN_COUNT = "20000"
"""How often a thread of GNU OpenMP looks for work before it sleeps (libgomp's manual). Its own
300,000 and more keep cores from a busy neighbour's threads and from each other's: beside one
busy process a small model then makes 5 tokens a second instead of 29."""
_LONG_SPIN_COUNT = "100000"
"""The same where nobody else computes. Threads meet several times a layer and wait for the sampler
after each token; a core that sleeps meanwhile wakes late in a virtual machine: with the lower count
a model of less than half a billion weights loses up to a tenth of its tokens a second."""
_LOOK_S = 0.1
_LIBRARY_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TQDM_DISABLE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONFAULTHANDLER": "1",
}
SMALLER_MODEL_HINT = "take a smaller dtype or model, or fewer models at a time"
"""What to do when memory ran out."""
_LOG_TAIL_BYTES = 8192
_EXIT_TIMEOUT_S = 0.5
_OOM_MARKERS = ("bad_alloc", "MemoryError", "can't allocate memory", "Cannot allocate memory")


class OomKillCounter:
    """The own control group's kills for memory, each of which explains one worker's end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._claimed = 0

    def unclaimed(self) -> int:
        """So many are no end that was explained."""
        return oom_kills() - self._claimed

    def claim(self, before: int) -> bool:
        """Whether there are more than ``before``; one of them is then explained."""
        with self._lock:
            risen = self.unclaimed() > before
            self._claimed += risen
        return risen


_kills = OomKillCounter()


@dataclass(frozen=True, slots=True)
class WorkerExit:
    """The worker is gone; ``failure`` says why, None where it was ended on purpose."""

    failure: Failed | None


class WorkerProcess:
    """One worker process. `inbox` gets its events in order and, last of all, one `WorkerExit`.
    ``is_published``: it computes GGUF files as published, by llama.cpp alone."""

    def __init__(self, threads: int, log: Path, is_published: bool = False) -> None:
        self.inbox: queue.SimpleQueue[TimedBody | WorkerExit] = queue.SimpleQueue()
        self.last_heard = time.monotonic()
        """When the worker last gave a sign of life."""
        self.steps = 0
        """Steps its computing thread had taken then."""
        self.kill_reason: Failed | None = None
        """Why it is being killed, where the reason is known before it is dead."""
        self.exited: WorkerExit | None = None
        """Set once it is gone."""
        self.trouble = ""
        """One line while it does not respond."""
        self._closing = False
        self._awaits_fork = True
        self._write_lock = threading.Lock()
        self._kills_before = _kills.unclaimed()
        self._last_memory = (0, 0)
        ours, theirs = socket.socketpair()
        self._socket, self._log = ours, log
        with theirs, os.fdopen(open_log(log), "ab") as output:
            self._log_start = log.stat().st_size
            ends = theirs.fileno(), output.fileno()
            is_free = _cores_are_free() if is_published else _cores_were_free()
            environment = worker_environment(threads, is_free)
            self.process = _start(environment, *ends, is_published)
        self.inbox.put((time.monotonic_ns(), Load("import")))
        threading.Thread(target=self._read, name="worker events", daemon=True).start()

    @property
    def is_alive(self) -> bool:
        """Whether it can be spoken to."""
        return not self._closing and self.kill_reason is None and self.process.poll() is None

    @property
    def pid(self) -> int | None:
        """Its process id; None until it is forked."""
        return self.process.pid or None

    def usage(self) -> ProcessUsage:
        """What it has used so far, or what it is forked from while its libraries are imported."""
        if not isinstance(self.process, ForkedProcess):
            return process_usage(self.process.pid)
        if not self.process.pid:
            return process_usage(self.process.server_pid)
        if self._awaits_fork:
            # Its figures begin at nothing: the imports were another process's work.
            self._awaits_fork, self.last_heard = False, time.monotonic()
        return process_usage(self.process.pid)

    def send(self, order: Order) -> None:
        """Give an order; to a dead worker it is lost, and `inbox` tells of the death."""
        line = encode_order(order)
        with self._write_lock, contextlib.suppress(OSError):
            self._socket.sendall(line)

    def memory(self) -> tuple[int, int]:
        """Private and mapped bytes; (0, 0) once it is gone."""
        pid = self.pid if self.process.poll() is None else None
        found = memory.process_memory(pid) if pid else (0, 0)
        if any(found):
            self._last_memory = found
        return found

    def limit_memory_growth(self, nbytes: int) -> None:
        """Let its private memory grow by so many bytes from now on: what asks for more
        fails, which the worker survives, before the kernel has to kill somebody.

        Counted as RLIMIT_DATA does (getrlimit(2)): reserved, not only touched, and
        mapped files that are private and writable, as weights are, too.
        """
        system.limit_data_growth(self.process.pid, nbytes)

    def kill(self, why: Failed | None = None) -> None:
        """End it at once, whatever it is doing."""
        self.kill_reason = self.kill_reason or why
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        # One that is still to be forked holds its end open.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self, timeout_s: float = 1.0) -> None:
        """End it: by asking, then by force. Returns when it is gone."""
        self._closing = True
        self.send(CloseOrder())
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            self.process.wait()

    def _read(self) -> None:
        try:
            with self._socket, self._socket.makefile("rb") as lines:
                for line in lines:
                    # A killed process may leave an incomplete last line: ignore it.
                    if line.endswith(b"\n"):
                        self._handle_line(line)
        except OSError:
            pass
        except ProtocolError as error:
            self.kill(_failed("crashed", f"the worker sent what is no event: {error}"))
        self.exited = WorkerExit(self._post_mortem())
        self.inbox.put(self.exited)

    def _handle_line(self, line: bytes) -> None:
        t_ns, body = decode_report(line)
        if isinstance(self.process, ForkedProcess):
            self.process.wait_until_forked()
        self.last_heard = time.monotonic()
        if isinstance(body, Alive):
            self.steps = body.steps
        else:
            self.inbox.put((t_ns, self._with_log(body)))

    def _post_mortem(self) -> Failed | None:
        try:
            code = self.process.wait(_EXIT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            code = self.process.wait()
        if self._closing:
            return None
        if self.kill_reason:
            return self._with_log(self.kill_reason)
        by_kernel = code == -signal.SIGKILL and _kills.claim(self._kills_before)
        memory_bytes = max(self._last_memory)
        return self._with_log(explain_exit(code, by_kernel, memory_bytes, self._log_tail()))

    def _with_log(self, body: _T) -> _T:
        """An event, with the place of the log where it sends a person there."""
        if isinstance(body, Failed) and body.next_step == LOG_STEP:
            return replace(body, next_step=f"{LOG_STEP}: {shown(self._log)}")
        return body

    def _log_tail(self) -> str:
        """The end of what it wrote to the log."""
        with contextlib.suppress(OSError), self._log.open("rb") as file:
            file.seek(max(self._log_start, file.seek(0, os.SEEK_END) - _LOG_TAIL_BYTES))
            return file.read().decode("utf-8", "replace")
        return ""


def _start(
    environment: Mapping[str, str], channel: int, output: int, is_published: bool
) -> "subprocess.Popen[bytes] | ForkedProcess":
    # What is forked holds torch, which llama.cpp has no use for.
    if system.HAS_FORK_SERVER and not is_published:
        return fork_worker(environment, channel, output)
    kind = (PUBLISHED,) if is_published else ()
    return child_process.start(
        child_process.module_command("tui.worker", str(channel), *kind),
        environment,
        pass_fds=(channel,),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )


def explain_exit(code: int, oom_killed: bool, memory_bytes: int, log_tail: str) -> Failed:
    """Why a worker ended that nobody ended: its return code, whether the kernel killed it
    for memory, the memory it was last seen with, and the end of what it wrote."""
    if oom_killed:
        size = f" (it held {memory_bytes / 1e9:.1f} GB)" if memory_bytes else ""
        return _failed(
            "out_of_memory", f"killed by the kernel: out of memory{size}", SMALLER_MODEL_HINT
        )
    lines = [line.strip() for line in log_tail.split("\n") if line.strip()]
    for line in lines:
        # std::bad_alloc aborts after printing this.
        if any(words in line for words in _OOM_MARKERS):
            return _failed("out_of_memory", f"not enough memory: {line[:200]}", SMALLER_MODEL_HINT)
    if code == -signal.SIGILL:
        said = "the worker has instructions that this CPU has not: it was built for another"
        return _failed("crashed", said, "`duibi doctor` tells which builds compute here")
    if code == -signal.SIGBUS:
        # What a read of mapped weights behind the end of their file does.
        said = "a file of the model was cut short or cannot be read, while the worker computed"
        return _failed("crashed", said, "check the file, then load the model again")
    if code < 0:
        name = child_process.signal_name(-code)
        return _failed("crashed", f"the worker was ended by {name}")
    said = f": {lines[-1][:200]}" if lines else ""
    return _failed("crashed", f"the worker ended with exit code {code}{said}")


def worker_environment(threads: int, spins_long: bool = False) -> dict[str, str]:
    """What the worker sees: no secret, no network, nothing that writes to the terminal. With
    ``spins_long`` its threads wait for each other awake, which is of use on free cores."""
    kept = child_process.with_own_modules(child_process.environment())
    own = {"OMP_NUM_THREADS": str(threads)}
    spins = _LONG_SPIN_COUNT if spins_long else _SHORT_SPIN_COUNT
    return {"GOMP_SPINCOUNT": spins} | kept | _LIBRARY_ENVIRONMENT | own


def _cores_are_free() -> bool:
    """Whether other processes leave the cores to the worker that is to start."""
    return cpu.sample_others(_LOOK_S) <= cpu.NEGLIGIBLE


@functools.cache
def _cores_were_free() -> bool:
    """The same when the first worker of our own kernels started: those that are forked from one
    process have its OpenMP, which reads its settings once."""
    return _cores_are_free()


def oom_kills() -> int:
    """How many processes of the own control group were killed for memory so far."""
    found = cgroup.find_groups("memory", "memory.max")
    if found is None:
        return 0
    name = "memory.events" if found.version == 2 else "memory.oom_control"
    return cgroup.read_table(found.folders[0] / name).get("oom_kill", 0)


def _failed(cause: str, message: str, next_step: str = LOG_STEP) -> Failed:
    return Failed(cause, message, next_step)
