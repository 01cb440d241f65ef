"""From the C sources of the worker's kernels to a library, without importing torch.

The library names no OpenMP: it takes the one that the process has loaded, which is torch's. With
a second one, two thread pools would spin on the same cores, each while the other computes.
"""

import contextlib
import hashlib
import os
import platform
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from tui.host import child_process, cpu, system
from tui.host.instruction_sets import INSTRUCTION_SETS, InstructionSet

SOURCES = Path(__file__).parents[1] / "worker" / "kernels"
PREBUILT = SOURCES / "prebuilt"
"""Libraries that came with the program: a wheel has them, a checkout has none."""

_COMPILERS = ("gcc", "clang", "cc")
# Contracted products and sums would differ from one compiler to the next.
FLAGS = ("-O3", "-fopenmp", "-fPIC", "-std=gnu11", "-ffp-contract=off")
_BASELINES = {"x86_64": ("-march=x86-64", "-mtune=generic")}
"""What every CPU of a machine has. A compiler may be set to this one's instructions by default,
and a home folder be shared with a machine that lacks them."""
_TIMEOUT_S = 120
"""For all sources and compilers together."""
_SILENCE_S = 60
"""A compiler that has not finished one source by then hangs."""
_LOOK_S = 0.5
_MOST_SAID = 2000
"""Bytes of what a failing compiler says that go to the log."""


class CompilerError(Exception):
    """A compiler makes no library; the message is a clause for the user."""


class CompilerTimeoutError(CompilerError):
    """It hangs: other flags or another folder would only take as long again."""


def compilers() -> list[str]:
    """Paths of the C compilers of this machine, the one to try first first."""
    found: dict[Path, str] = {}
    for name in _COMPILERS if system.HAS_OWN_KERNELS else ():
        if path := child_process.find_program(name):
            found.setdefault(Path(path).resolve(), path)
    return list(found.values())


def library_file_name(variant: InstructionSet) -> str:
    """File name from a hash of machine, flags and sources: a library of this name has only
    instructions of ``variant``, and is of this version."""
    digest = hashlib.sha256(" ".join([variant.machine, *_flags(variant)]).encode())
    for source in sorted(SOURCES.glob("*.[ch]")):
        digest.update(source.read_bytes())
    return f"{digest.hexdigest()[:24]}.so"


def deadline() -> float:
    """Until when compilers that begin now may work, on the monotonic clock."""
    return time.monotonic() + _TIMEOUT_S


def compile_library(compiler: str, place: Path, variant: InstructionSet, until: float) -> None:
    """Compile the sources, one on each core, and link them to ``place``, before the time
    ``until`` of `deadline`; objects stay beside it.

    Raises:
        CompilerError: it fails; what it says goes to stderr.
        CompilerTimeoutError: it takes too long.
    """
    flags, sources = _flags(variant), sorted(SOURCES.glob("*.c"))
    objects = [str(place.with_name(f"{source.stem}.o")) for source in sources]
    # A compiler takes 50 MB, which count as the run's own: no more of them than of cores.
    with ThreadPoolExecutor(min(len(sources), cpu.cores())) as pool:
        commands = [
            [compiler, *flags, "-c", str(source), "-o", made]
            for source, made in zip(sources, objects, strict=True)
        ]
        list(pool.map(partial(_run_unless, threading.Event(), until), commands))
    _run(until, [compiler, "-shared", *objects, "-Wl,-z,now", "-lm", "-o", str(place)])
    made = place.read_bytes()
    if b"GOMP_parallel" not in made:
        raise CompilerError(f"{Path(compiler).name} compiles for another OpenMP than torch's")
    place.write_bytes(made + hashlib.sha256(made).digest())
    # Whatever the umask says: others must not be able to write to what is loaded.
    place.chmod(0o700)


def compile_all(folder: Path) -> list[Path]:
    """Libraries in ``folder`` for the instruction sets of this machine, whatever its CPU has,
    without those that no compiler here knows."""
    made = []
    for variant in INSTRUCTION_SETS:
        place = folder / library_file_name(variant)
        for compiler in compilers() if variant.machine == platform.machine() else ():
            with tempfile.TemporaryDirectory() as temporary, contextlib.suppress(CompilerError):
                compile_library(compiler, Path(temporary) / place.name, variant, deadline())
                shutil.copy2(Path(temporary) / place.name, place)
                made.append(place)
                break
    return made


def is_whole(library: bytes) -> bool:
    """Whether a file of `compile_library` is as it was written: it ends in the hash of the rest.
    Loading one that was cut short ends the process."""
    size = hashlib.sha256().digest_size
    return hashlib.sha256(library[:-size]).digest() == library[-size:]


def _flags(variant: InstructionSet) -> tuple[str, ...]:
    return (*FLAGS, *_BASELINES.get(variant.machine, ()), *variant.flags)


def _run_unless(failed: threading.Event, until: float, command: Sequence[str]) -> None:
    """As `_run`, unless a compiler has ``failed``: the next source would only hang as well."""
    if failed.is_set():
        return
    try:
        _run(until, command)
    except CompilerError:
        failed.set()
        raise


def _run(until: float, command: Sequence[str]) -> None:
    """Run a compiler, at most ``until`` a time of the monotonic clock, with what it starts."""
    until = min(until, time.monotonic() + _SILENCE_S)
    try:
        child = child_process.start(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            process_group=0,
        )
    except OSError as error:
        raise CompilerError(f"{Path(command[0]).name} does not start ({error})") from None
    with child:
        said = _last_words(child, until)
        if said is None:
            with contextlib.suppress(OSError):
                os.killpg(child.pid, signal.SIGKILL)
            raise CompilerTimeoutError(f"{Path(command[0]).name} took too long to compile them")
    if child.returncode:
        print(said.decode(errors="replace"), file=sys.stderr, flush=True)
        raise CompilerError(f"{Path(command[0]).name} could not compile them, the log says why")


def _last_words(child: "subprocess.Popen[bytes]", until: float) -> bytes | None:
    """The end of what a compiler says, which may have no end; None: it does not finish."""
    assert child.stderr
    poll, said = select.poll(), b""
    poll.register(child.stderr, select.POLLIN)
    while (left := until - time.monotonic()) > 0:
        if poll.poll(min(left, _LOOK_S) * 1000):
            part = os.read(child.stderr.fileno(), 65536)
            if not part:
                return said if _ends(child, until) else None
            said = (said + part)[-_MOST_SAID:]
        elif child.poll() is not None:
            return said  # what it left running may hold the other end
    return None


def _ends(child: "subprocess.Popen[bytes]", until: float) -> bool:
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(max(0.0, until - time.monotonic()))
        return True
    return False
