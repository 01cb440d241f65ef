"""Kernels of our own, compiled once on the machine where they run, and called from Python.

torch's kernels for reduced weights reach half of what a CPU with AVX-512 VNNI can do above
one row and less without it, and their 4-bit ones compute in bfloat16. Those in ``kernels/``
read weights at the speed of the memory up to a dozen rows, and multiply bytes above. They are
compiled for the best instruction set that the CPU has, and compute the same bits with each.
They need a C compiler that knows OpenMP (gcc does), 3 seconds and 40 KB of the cache; where
anything of that is missing, torch's kernels are used and the reason is said.
"""

import contextlib
import ctypes
import functools
import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import torch

from tui.host import cpu
from tui.host.errors import UserError
from tui.host.paths import cache_dir

_SOURCES = Path(__file__).parent


class _KernelVariant(NamedTuple):
    """The kernels as one instruction set has them: what a CPU must have, by the names of
    /proc/cpuinfo, what torch may use, and how the compiler is told."""

    name: str
    needs: frozenset[str]
    capability: str
    flags: tuple[str, ...]


_VARIANTS = (
    _KernelVariant(
        "AVX-512 VNNI",
        frozenset({"avx512f", "avx512bw", "avx512vl", "avx512_vnni", "fma"}),
        "AVX512",
        ("-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512vnni", "-mfma"),
    ),
    _KernelVariant(
        "AVX-VNNI",
        frozenset({"avx2", "fma", "avx_vnni"}),
        "AVX2",
        ("-mavx2", "-mfma", "-mavxvnni"),
    ),
    _KernelVariant("AVX2", frozenset({"avx2", "fma"}), "AVX2", ("-mavx2", "-mfma")),
)
"""The best first."""
_CAPABILITIES = ("DEFAULT", "AVX2", "AVX512")
"""What torch says of a CPU; each has what those before it have."""
_FLAGS = ("-O3", "-fopenmp", "-fPIC", "-std=gnu11")
_COMPILERS = ("cc", "gcc")
_TIMEOUT_S = 120

_P, _N = ctypes.c_void_p, ctypes.c_int64
_SIGNATURES: dict[str, tuple[list[Any], Any]] = {
    "duibi_linear": ([ctypes.c_int, _P, _N, _N, _N, _P, _P, _P, _P], ctypes.c_int),
    "duibi_plain": ([_P, _N, _N, _P, _N, _P], ctypes.c_int),
    "duibi_norm": ([_P, _N, _N, _P, ctypes.c_float, _P, ctypes.c_int], None),
    "duibi_gate": ([_P, _N, _N, _P, ctypes.c_int], None),
    "duibi_attend": (
        [_P, *[_N] * 5, *[_P] * 4, *[_N] * 3, _P, ctypes.c_float, _P, ctypes.c_int],
        ctypes.c_int,
    ),
    "duibi_turn": (
        [_P, *[_N] * 5, _P, _P, _N, _P, _P, ctypes.c_float, *[_P] * 3, _N, _N, ctypes.c_int],
        None,
    ),
    "duibi_pack": ([ctypes.c_int, _P, _P, _N, _N, _P, _P], None),
}


class KernelsUnavailableError(Exception):
    """The kernels cannot be had here; the message is a clause for a person."""


def unavailable_reason() -> str:
    """Why the kernels cannot be had here; empty if they can."""
    return _try_load()[1]


def variant_name() -> str:
    """The instruction set that the kernels use here; empty where they cannot be had."""
    found = _try_load()[0]
    return "" if found is None else str(found.variant)


def library() -> Any:
    """The compiled kernels.

    Raises:
        Unavailable: see `unavailable_reason`.
    """
    found, reason = _try_load()
    if found is None:
        raise KernelsUnavailableError(reason)
    return found


def stop_flag() -> Any:
    """The number that, while it is not 0, has products left unfinished, their values whatever
    lay there: for a pass that is given up (`ctypes.c_int`). None where no kernel is in use."""
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
        # A compiler may be older than the best instructions are.
        with contextlib.suppress(KernelsUnavailableError):
            return _load_variant(one)
    return _load_variant(last)


def _usable_variants() -> list[_KernelVariant]:
    """The variants that this CPU computes, as far as torch is let go (ATEN_CPU_CAPABILITY)."""
    has, used = cpu.flags(), torch.backends.cpu.get_cpu_capability()
    able = [one for one in _VARIANTS if one.needs <= has]
    if not able:
        raise KernelsUnavailableError("this CPU has no AVX2 with FMA")
    reach = _CAPABILITIES.index(used) if used in _CAPABILITIES else 0
    able = [one for one in able if _CAPABILITIES.index(one.capability) <= reach]
    if not able:
        raise KernelsUnavailableError(f"torch keeps to {used} here (ATEN_CPU_CAPABILITY)")
    return able


def _load_variant(variant: _KernelVariant) -> Any:
    try:
        made = _cached_library(cache_dir() / "kernels", variant)
    except (OSError, UserError, KernelsUnavailableError):
        # A cache that cannot be written, or is full, which the compiler only reports as
        # its own failure: for this process only.
        with tempfile.TemporaryDirectory() as folder:
            made = _cached_library(Path(folder), variant)
    made.variant = variant.name
    for name, (arguments, result) in _SIGNATURES.items():
        function = getattr(made, name)
        function.argtypes, function.restype = arguments, result
    return made


def _cached_library(folder: Path, variant: _KernelVariant) -> Any:
    place = folder / _library_file_name(variant)
    if not place.exists():
        compiler = next((path for name in _COMPILERS if (path := shutil.which(name))), None)
        if compiler is None:
            raise KernelsUnavailableError("there is no C compiler (apt install gcc)")
        _compile(compiler, place, variant)
    return ctypes.CDLL(str(place))


def _openmp_library() -> str:
    """The OpenMP library that torch has loaded: with a second one, two teams of threads
    would wait for work on the same cores, each spinning while the other computes."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        path = line.partition("/")[2]
        if "libgomp" in path:
            return "/" + path
    raise KernelsUnavailableError("torch was built without GNU OpenMP")


def _library_file_name(variant: _KernelVariant) -> str:
    """Says all that the library is made of."""
    digest = hashlib.sha256(" ".join([*_FLAGS, *variant.flags, _openmp_library()]).encode())
    for source in sorted(_SOURCES.glob("*.[ch]")):
        digest.update(source.read_bytes())
    return f"{digest.hexdigest()[:24]}.so"


def _compile(compiler: str, place: Path, variant: _KernelVariant) -> None:
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as folder:
        made = Path(folder) / "kernels.so"
        objects = []
        for source in sorted(_SOURCES.glob("*.c")):
            objects.append(str(Path(folder) / f"{source.stem}.o"))
            _run_compiler([compiler, *_FLAGS, *variant.flags, "-c", str(source), "-o", objects[-1]])
        # Linked with torch's OpenMP by its path; with whatever the compiler would take
        # otherwise, or with names left open, it must not succeed.
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
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_S,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise KernelsUnavailableError("the C compiler took too long") from None
    if done.returncode:
        print(done.stderr[-2000:], file=sys.stderr, flush=True)
        raise KernelsUnavailableError(
            f"{Path(command[0]).name} could not compile them, the log says why"
        )
