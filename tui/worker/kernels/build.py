"""Our own kernels: found where they came with the program, else compiled once on this machine.

torch's kernels for quantised weights reach half of what a CPU with AVX-512 VNNI can do above
one row and less without it, and their 4-bit ones compute in bfloat16. Ours are limited by memory
bandwidth up to a dozen rows, and multiply bytes above. The library for the best instruction set of
the CPU is loaded; each computes the same bits. A library comes from the wheel, from the cache, or
from a C compiler with OpenMP (gcc, clang), which takes 2 seconds. Where none is to be had, torch's
kernels are used and the user is told why.
"""

import contextlib
import ctypes
import fcntl
import functools
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from tui.host import cpu, kernel_compiler, kernel_library, system
from tui.host.errors import UserError
from tui.host.instruction_sets import InstructionSet, supported
from tui.host.kernel_compiler import CompilerError, CompilerTimeoutError
from tui.host.kernel_library import CacheUnusableError
from tui.host.paths import cache_dir
from tui.worker.kernels import abi

_CAPABILITIES = ("DEFAULT", "AVX2", "AVX512")
"""torch's names for CPUs; each includes those before it."""


class KernelsUnavailableError(Exception):
    """The kernels cannot be used here; the message is a clause for the user."""


def _say_nothing() -> None:
    """What is called before a compiler is, where nobody wants to know."""


_on_compile: Callable[[], None] = _say_nothing


def prepare(on_compile: Callable[[], None]) -> None:
    """Find the kernels now rather than when one is first wanted; ``on_compile`` is called before a
    compiler is."""
    global _on_compile
    before, _on_compile = _on_compile, on_compile
    try:
        _try_load()
    finally:
        _on_compile = before


def unavailable_reason() -> str:
    """Why the kernels cannot be used here; empty if they can."""
    return _try_load()[1]


def variant_name() -> str:
    """The instruction set that the kernels use here; empty where they cannot be used."""
    found = _try_load()[0]
    return "" if found is None else str(found.variant)


def remark() -> str:
    """A clause for the user: why the kernels cannot be used, or are compiled at every start; empty
    where all is well."""
    found, reason = _try_load()
    if found is None:
        return reason
    if found.uncached:
        return f"compiled at every start: {found.uncached}"
    return cpu.unknown_hidden()


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
    except (OSError, CompilerError) as error:
        return None, f"the kernels cannot be loaded ({error})"


def _load_library() -> Any:
    variants, reason, until = _usable_variants(), "", kernel_compiler.deadline()
    for variant in variants:
        try:
            return _load_variant(variant, until)
        except CompilerTimeoutError as error:
            raise KernelsUnavailableError(str(error)) from None
        except KernelsUnavailableError as error:
            reason = reason or str(error)  # The compiler may not know the newest instructions.
    raise KernelsUnavailableError(reason)


def _usable_variants() -> list[InstructionSet]:
    """The instruction sets of this CPU, no better than torch uses (ATEN_CPU_CAPABILITY)."""
    able, used = supported(cpu.flags()), torch.backends.cpu.get_cpu_capability()
    if not able:
        raise KernelsUnavailableError(kernel_library.lacking_instructions())
    reach = _CAPABILITIES.index(used) if used in _CAPABILITIES else 0
    able = [one for one in able if _CAPABILITIES.index(one.capability) <= reach]
    if not able:
        raise KernelsUnavailableError(f"torch keeps to {used} here (ATEN_CPU_CAPABILITY)")
    return able


def _load_variant(variant: InstructionSet, until: float) -> Any:
    _share_openmp()
    made, uncached = _prebuilt(variant), ""
    if made is None:
        try:
            made = _cached_library(cache_dir() / "kernels", variant, until)
        except (UserError, CacheUnusableError) as error:
            made, uncached = _compiled_for_this_process(variant, until), str(error)
    made.variant, made.uncached = variant.name, uncached
    try:
        abi.declare(made)
    except (ValueError, AttributeError) as error:
        raise KernelsUnavailableError(f"the kernels do not fit this program ({error})") from None
    return made


def _share_openmp() -> None:
    """Let libraries that are loaded from now on find the OpenMP that torch has loaded."""
    for path in system.mapped_files():
        if "libgomp" in path:
            with contextlib.suppress(OSError):
                ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL | os.RTLD_NOLOAD)
            return


def _prebuilt(variant: InstructionSet) -> Any:
    """The library that came with the program, which is to be trusted as much as its source; None
    where there is none, or this system cannot load it."""
    place = kernel_compiler.PREBUILT / kernel_compiler.library_file_name(variant)
    try:
        return ctypes.CDLL(str(place))
    except OSError:
        return None


def _cached_library(folder: Path, variant: InstructionSet, until: float) -> Any:
    """The library that is kept in ``folder``, compiled first where it is not there yet.

    Raises:
        KernelsUnavailableError: there is none, and none can be compiled.
        CacheUnusableError: the folder is not the user's own, is full or runs no programs.
    """
    name = kernel_compiler.library_file_name(variant)
    with _own_folder(folder) as folder_fd:
        made = _kept_library(folder_fd, name)
        if made is None:
            with _temporary_folder(folder) as temporary:
                made = _compiled(temporary / name, variant, until)
                with contextlib.suppress(OSError):
                    (temporary / name).replace(folder / name)
    return made


@contextmanager
def _own_folder(folder: Path) -> Iterator[int]:
    """A descriptor of the folder, and a lock: who comes second finds what the first compiles."""
    fd = kernel_library.open_cache(folder)
    try:
        with contextlib.suppress(OSError):  # Not every network disk has locks.
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield fd
    finally:
        os.close(fd)


def _kept_library(folder_fd: int, name: str) -> Any:
    """The library of that name in the cache; None where it has to be compiled."""
    fd = kernel_library.open_kept(folder_fd, name)
    if fd is None:
        return None
    with contextlib.suppress(OSError):
        # The descriptor stays open: the loader knows a library by its path, and another file
        # under the same number would be taken for this one.
        return ctypes.CDLL(str(system.path_of_open(fd)))
    os.close(fd)
    return None


@contextmanager
def _temporary_folder(folder: Path | None) -> Iterator[Path]:
    try:
        made = tempfile.TemporaryDirectory(dir=folder, ignore_cleanup_errors=True)
    except OSError as error:
        where = folder or tempfile.gettempdir()
        raise CacheUnusableError(f"{where} cannot be used ({error.strerror or error})") from None
    with made as name:
        yield Path(name)


def _compiled_for_this_process(variant: InstructionSet, until: float) -> Any:
    """A library that nothing keeps, because the cache is of no use."""
    try:
        with _temporary_folder(None) as temporary:
            return _compiled(temporary / kernel_compiler.library_file_name(variant), variant, until)
    except CacheUnusableError as error:
        raise KernelsUnavailableError(str(error)) from None


def _compiled(place: Path, variant: InstructionSet, until: float) -> Any:
    """The library by the first compiler whose work can be loaded.

    Raises:
        CompilerTimeoutError: a compiler hangs.
        KernelsUnavailableError: there is none, or none makes it.
        CacheUnusableError: the disk is full.
    """
    reasons: list[str] = []
    if found := kernel_compiler.compilers():
        _on_compile()
    for compiler in found:
        try:
            kernel_compiler.compile_library(compiler, place, variant, until)
            return ctypes.CDLL(str(place))
        except CompilerTimeoutError:
            raise
        except CompilerError as error:
            reasons.append(str(error))
        except OSError as error:
            reasons.append(f"what {Path(compiler).name} made cannot be loaded ({error})")
    if found and not _has_room(place.parent):
        raise CacheUnusableError(f"{place.parent.parent} is full")
    raise KernelsUnavailableError(
        reasons[0] if reasons else "there is no C compiler (apt install gcc)"
    )


def _has_room(folder: Path) -> bool:
    """Whether a compiler's files fit; one that finds no room only says that it failed."""
    try:
        (folder / "room").write_bytes(bytes(1 << 20))
    except OSError:
        return False
    return True
