"""Which library of the worker's kernels is to be had here, as far as can be told without torch."""

import contextlib
import os
from pathlib import Path

from tui.host import cpu, kernel_compiler, system
from tui.host.errors import UserError
from tui.host.instruction_sets import InstructionSet, supported
from tui.host.owned_file import NotOwnedError, open_owned_file, open_owned_folder
from tui.host.paths import cache_dir


class CacheUnusableError(Exception):
    """No library can be kept or loaded there; the message is a clause for the user."""


def expected_variant(flags: frozenset[str] | None = None) -> InstructionSet | None:
    """The instruction set that the worker will compute with, on this CPU or on one with other
    ``flags``; None where torch's kernels will."""
    reach = os.environ.get("ATEN_CPU_CAPABILITY", "").lower()
    for variant in supported(cpu.flags() if flags is None else flags):
        too_much = {"avx2": ("AVX512",), "default": ("AVX512", "AVX2")}.get(reach, ())
        if variant.capability in too_much:
            continue
        # A compiler is found sooner than a library is looked through.
        if kernel_compiler.compilers() or origin(variant)[0]:
            return variant
    return None


def lacking_instructions() -> str:
    """Why this CPU has none of the instruction sets: a clause for the user."""
    hidden, _ = cpu.hidden_flags()
    if hidden and supported(cpu.flags() | frozenset(hidden)):
        return f"what they need is hidden by DUIBI_HIDE_CPU_FLAGS: {' '.join(hidden)}"
    return "this CPU has no AVX2 with FMA"


def origin(variant: InstructionSet) -> tuple[str, str]:
    """Where its library lies: ``program``, ``cache``, or empty: it has to be compiled; and why it
    would be compiled at every start, a clause, empty where it would not."""
    name = kernel_compiler.library_file_name(variant)
    if (kernel_compiler.PREBUILT / name).is_file():
        return "program", ""
    try:
        folder = cache_dir() / "kernels"
        fd = open_cache(folder)
    except (UserError, CacheUnusableError) as error:
        return "", str(error)
    try:
        if (kept := open_kept(fd, name)) is not None:
            os.close(kept)
            return "cache", ""
    finally:
        os.close(fd)
    return "", "" if os.access(folder, os.W_OK) else f"{folder} cannot be written to"


def open_cache(folder: Path) -> int:
    """A descriptor of the folder in which compiled libraries are kept, made where it is missing.

    Raises:
        CacheUnusableError: the folder is not the user's own, or runs no programs.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = open_owned_folder(folder)
    except OSError as error:
        raise CacheUnusableError(f"{folder} cannot be used ({error.strerror or error})") from None
    except NotOwnedError as error:
        raise CacheUnusableError(str(error)) from None
    if system.runs_no_programs(fd):
        os.close(fd)
        raise CacheUnusableError(f"{folder} is on a disk that runs no programs (noexec)")
    return fd


def open_kept(folder_fd: int, name: str) -> int | None:
    """A descriptor of the library of that name in the cache; None where it is missing, damaged or
    not the user's: it is compiled anew."""
    try:
        fd = open_owned_file(folder_fd, name)
    except (OSError, NotOwnedError):
        return None
    with contextlib.suppress(OSError):
        if kernel_compiler.is_whole(system.path_of_open(fd).read_bytes()):
            return fd
    os.close(fd)
    return None
