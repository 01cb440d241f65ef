"""Our own kernels, compiled once on the machine where they run.

torch's kernels for quantised weights reach half of what a CPU with AVX-512 VNNI can do above
one row and less without it, and their 4-bit ones compute in bfloat16. Ours are limited by memory
bandwidth up to a dozen rows, and multiply bytes above. They are compiled for the best
instruction set that the CPU has, and compute the same bits with each. They need a C compiler
with OpenMP (gcc has it), 3 seconds and 40 KB of the cache; where any of that is missing, torch's
kernels are used and the user is told why.
"""

import ctypes
import functools
import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from tui.host import child_process, cpu
from tui.host.errors import UserError
from tui.host.instruction_sets import InstructionSet, supported
from tui.host.paths import cache_dir
from tui.worker.kernels import abi

_SOURCES = Path(__file__).parent

_CAPABILITIES = ("DEFAULT", "AVX2", "AVX512")
"""torch's names for CPUs; each includes those before it."""
# Contracted products and sums would differ from one compiler to the next.
_FLAGS = ("-O3", "-fopenmp", "-fPIC", "-std=gnu11", "-ffp-contract=off")
_COMPILERS = ("cc", "gcc")
_TIMEOUT_S = 120


class KernelsUnavailableError(Exception):
    """The kernels cannot be used here; the message is a clause for the user."""


class _CompilerTimeoutError(KernelsUnavailableError):
    """The compiler hangs: other flags or another folder would only take as long again."""


def unavailable_reason() -> str:
    """Why the kernels cannot be used here; empty if they can."""
    return _try_load()[1]


def variant_name() -> str:
    """The instruction set that the kernels use here; empty where they cannot be used."""
    found = _try_load()[0]
    return "" if found is None else str(found.variant)


def library() -> Any:
    """The compiled kernels.

    Raises:
        KernelsUnavailableError: see `unavailable_reason`.
    """
    found, reason = _try_load()
    if found is None:
        raise KernelsUnavailableError(reason)
    return found


def stop_flag() -> Any:
    """The kernels' stop flag, a `ctypes.c_int`: while it is not 0 they leave products
    unfinished, with undefined values, for a forward pass that is aborted. None where no kernel
    is in use."""
    found = _try_load()[0] if _try_load.cache_info().currsize else None
    return None if found is None else ctypes.c_int.in_dll(found, "duibi_stop")


@functools.cache
def _try_load() -> tuple[Any, str]:
    try:
        return _load_library(), ""
    except KernelsUnavailableError as error:
        return None, str(error)
    except OSError as error:
        return None, f"the kernels cannot be loaded ({error})"


def _load_library() -> Any:
    *better, last = _usable_variants()
    for one in better:
        try:
            return _load_variant(one)
        except _CompilerTimeoutError:
            raise
        except KernelsUnavailableError:
            continue  # The compiler may not know the newest instructions.
    return _load_variant(last)


def _usable_variants() -> list[InstructionSet]:
    """The instruction sets of this CPU, no better than torch uses (ATEN_CPU_CAPABILITY)."""
    able, used = supported(cpu.flags()), torch.backends.cpu.get_cpu_capability()
    if not able:
        raise KernelsUnavailableError("this CPU has no AVX2 with FMA")
    reach = _CAPABILITIES.index(used) if used in _CAPABILITIES else 0
    able = [one for one in able if _CAPABILITIES.index(one.capability) <= reach]
    if not able:
        raise KernelsUnavailableError(f"torch keeps to {used} here (ATEN_CPU_CAPABILITY)")
    return able


def _load_variant(variant: InstructionSet) -> Any:
    try:
        made = _cached_library(cache_dir() / "kernels", variant)
    except _CompilerTimeoutError:
        raise
    except (OSError, UserError, KernelsUnavailableError):
        # The cache cannot be written or is full (the compiler reports that only as its own
        # failure): compile for this process only.
        with tempfile.TemporaryDirectory() as folder:
            made = _cached_library(Path(folder), variant)
    made.variant = variant.name
    try:
        abi.declare(made)
    except ValueError as error:
        raise KernelsUnavailableError(f"the kernels do not fit this program ({error})") from None
    return made


def _cached_library(folder: Path, variant: InstructionSet) -> Any:
    place = folder / _library_file_name(variant)
    if not place.exists():
        compiler = next(filter(None, map(child_process.find_program, _COMPILERS)), None)
        if compiler is None:
            raise KernelsUnavailableError("there is no C compiler (apt install gcc)")
        _compile(compiler, place, variant)
    return ctypes.CDLL(str(place))


def _openmp_library() -> str:
    """The OpenMP library that torch has loaded: with a second one, two thread pools would spin
    on the same cores, each while the other computes."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        path = line.partition("/")[2]
        if "libgomp" in path:
            return "/" + path
    raise KernelsUnavailableError("torch was built without GNU OpenMP")


def _library_file_name(variant: InstructionSet) -> str:
    """File name from a hash of flags, OpenMP path and sources."""
    digest = hashlib.sha256(" ".join([*_FLAGS, *variant.flags, _openmp_library()]).encode())
    for source in sorted(_SOURCES.glob("*.[ch]")):
        digest.update(source.read_bytes())
    return f"{digest.hexdigest()[:24]}.so"


def _compile(compiler: str, place: Path, variant: InstructionSet) -> None:
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as folder:
        made = Path(folder) / "kernels.so"
        objects = []
        for source in sorted(_SOURCES.glob("*.c")):
            objects.append(str(Path(folder) / f"{source.stem}.o"))
            _run_compiler([compiler, *_FLAGS, *variant.flags, "-c", str(source), "-o", objects[-1]])
        # Linked with torch's OpenMP by its path. Linking must fail rather than take another
        # OpenMP or leave symbols undefined.
        _run_compiler(
            [
                compiler,
                "-shared",
                *objects,
                "-Wl,-z,defs",
                _openmp_library(),
                "-lm",
                "-o",
                str(made),
            ]
        )
        made.replace(place)


def _run_compiler(command: list[str]) -> None:
    try:
        done = child_process.run(command, capture_output=True, timeout=_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise _CompilerTimeoutError("the C compiler took too long") from None
    if done.returncode:
        print(done.stderr[-2000:], file=sys.stderr, flush=True)
        raise KernelsUnavailableError(
            f"{Path(command[0]).name} could not compile them, the log says why"
        )
