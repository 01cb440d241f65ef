"""From the C sources of the worker's kernels to a library, without importing torch.

The library names no OpenMP: it takes the one that the process has loaded, which is torch's. With
a second one, two thread pools would spin on the same cores, each while the other computes.
"""

import contextlib
import hashlib
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
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


def compile_library(compiler: str, place: Path, variant: InstructionSet) -> None:
    """Compile the sources, one on each core, and link them to ``place``; objects stay beside it.

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
        list(pool.map(_run, commands))
    _run([compiler, "-shared", *objects, "-Wl,-z,now", "-lm", "-o", str(place)])
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
                compile_library(compiler, Path(temporary) / place.name, variant)
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


def _run(command: Sequence[str]) -> None:
    try:
        done = child_process.run(command, capture_output=True, timeout=_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise CompilerTimeoutError("the C compiler took too long") from None
    except OSError as error:
        raise CompilerError(f"{Path(command[0]).name} does not start ({error})") from None
    if done.returncode:
        print(done.stderr[-2000:], file=sys.stderr, flush=True)
        raise CompilerError(f"{Path(command[0]).name} could not compile them, the log says why")
