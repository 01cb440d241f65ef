"""What compiles for an instruction set on this machine, and what runs it: the machine itself,
or an emulator."""

import platform
import shutil

from tui.host import cpu
from tui.host.instruction_sets import INSTRUCTION_SETS, SCALAR, InstructionSet

EVERY = (*INSTRUCTION_SETS, SCALAR)
_CROSS_COMPILERS = {"aarch64": ("aarch64-linux-gnu-gcc",), "x86_64": ("x86_64-linux-gnu-gcc",)}
_EMULATORS = {"aarch64": ("qemu-aarch64", "qemu-aarch64-static")}
"""Those that know every instruction that the kernels use: qemu has no AVX-512 and no VNNI."""


def _is_native(one: InstructionSet) -> bool:
    return one is SCALAR or one.machine == platform.machine()


def compilers(one: InstructionSet) -> list[str]:
    """Paths of the compilers that are here for an instruction set, the usual one first."""
    names = ("gcc", "clang") if _is_native(one) else _CROSS_COMPILERS[one.machine]
    return [path for name in names if (path := shutil.which(name))]


def runner(one: InstructionSet) -> list[str] | None:
    """What stands before a command that uses an instruction set; None: nothing here runs it."""
    if _is_native(one):
        return [] if one.needs <= cpu.flags() else None
    for name in _EMULATORS.get(one.machine, ()):
        if path := shutil.which(name):
            return [path]
    return None
