"""Compile the worker's kernels for every instruction set, whatever this CPU has, with warnings
as errors: ``python -m tests.support.check_kernels``."""

import subprocess
import sys
from pathlib import Path

from tests.support.instruction_sets import EVERY, compilers
from tui.host import kernel_compiler

KERNELS = Path(__file__).parents[2] / "tui" / "worker" / "kernels"
WARNINGS = ("-Wall", "-Wextra", "-Werror")
HEADERS = ("duibi.h", "vector.h", "common.h")
"""Those that must compile alone; the others are parts of vector.h."""


def main() -> int:
    """The number of files that do not compile; 0 where there is no compiler."""
    failed = 0
    for one in EVERY:
        found = compilers(one)
        if not found:
            print(f"kernels: {one.name} not checked, there is no C compiler for {one.machine}")
        for compiler in found:
            command = [compiler, *kernel_compiler.FLAGS, *WARNINGS, *one.flags]
            for name in HEADERS:
                alone = ("-fsyntax-only", "-Wno-unused-function", "-x", "c-header")
                failed += run([*command, *alone, str(KERNELS / name)])
            for source in sorted(KERNELS.glob("*.c")):
                failed += run([*command, "-c", str(source), "-o", "/dev/null"])
            print(f"kernels: {Path(compiler).name}, {one.name}")
    return failed


def run(command: list[str]) -> bool:
    """Whether a command fails; it prints why."""
    return subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode != 0


if __name__ == "__main__":
    sys.exit(main() > 0)
