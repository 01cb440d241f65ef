"""Which library of the worker's kernels is to be had here, as far as can be told without torch."""

import contextlib
import os

from tui.host import cpu, kernel_compiler
from tui.host.errors import UserError
from tui.host.instruction_sets import InstructionSet, supported
from tui.host.paths import cache_dir


def expected_variant(flags: frozenset[str] | None = None) -> InstructionSet | None:
    """The instruction set that the worker will compute with, on this CPU or on one with other
    ``flags``; None where torch's kernels will."""
    reach = os.environ.get("ATEN_CPU_CAPABILITY", "").lower()
    for variant in supported(cpu.flags() if flags is None else flags):
        too_much = {"avx2": ("AVX512",), "default": ("AVX512", "AVX2")}.get(reach, ())
        if variant.capability not in too_much and (origin(variant) or kernel_compiler.compilers()):
            return variant
    return None


def origin(variant: InstructionSet) -> str:
    """Where its library lies: ``program``, ``cache``, or empty: it has to be compiled."""
    name = kernel_compiler.library_file_name(variant)
    if (kernel_compiler.PREBUILT / name).is_file():
        return "program"
    with contextlib.suppress(UserError):
        return "cache" if (cache_dir() / "kernels" / name).is_file() else ""
    return ""
