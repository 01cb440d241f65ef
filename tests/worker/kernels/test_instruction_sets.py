"""The kernels and their vector operations give the same bits with every instruction set: those
of tests/data/kernel_results.txt, which plain C made. Where they change on purpose, the file is
written again; packed weights must stay what they are, or the caches of users become useless."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.check_kernels import KERNELS
from tests.support.instruction_sets import EVERY, compilers, runner
from tui.host import cpu, kernel_compiler
from tui.host.instruction_sets import INSTRUCTION_SETS, SCALAR, supported

HERE = Path(__file__).parent
WANTED = HERE.parents[1] / "data" / "kernel_results.txt"


def sets() -> list[Any]:
    """Those that this CPU has; the others, and plain C, take longer."""
    fast = supported(cpu.flags())
    return [
        pytest.param(one, id=one.name, marks=[] if one in fast else pytest.mark.slow)
        for one in EVERY
    ]


@pytest.mark.parametrize("one", sets())
def test_every_instruction_set_gives_the_same_bits(one: Any, tmp_path: Path) -> None:
    found = compilers(one)
    if not found:
        pytest.skip(f"kernels for {one.name} need a C compiler for {one.machine}")
    before = runner(one)
    for compiler in found:
        program = tmp_path / Path(compiler).name
        subprocess.run([*command(compiler, one), "-o", str(program)], check=True)
        if before is None:
            continue
        done = subprocess.run(
            [*before, str(program)],
            env=os.environ | {"OMP_NUM_THREADS": "2"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.splitlines() == WANTED.read_text().splitlines(), compiler
    if before is None:
        pytest.skip(f"kernels for {one.name} are compiled only: nothing here runs them")


def command(compiler: str, one: Any) -> list[str]:
    """What makes the program, on GNU's OpenMP whatever the compiler."""
    sources = [str(path) for path in (HERE / "print_results.c", *sorted(KERNELS.glob("*.c")))]
    flags, libraries = list(kernel_compiler.FLAGS), ["-lm"]
    if Path(compiler).name == "clang":
        # Its frontend alone: its linker would take the OpenMP of clang.
        flags = [*(flag for flag in flags if flag != "-fopenmp"), "-Xclang", "-fopenmp"]
        asked = ["gcc", "-print-file-name=libgomp.so"]
        libraries.append(subprocess.check_output(asked, text=True).strip())
    # An emulator finds the libraries of another machine only within the program.
    static = ["-static"] if runner(one) else []
    return [compiler, *flags, *one.flags, *static, f"-I{KERNELS}", *sources, *libraries]


def test_arm_and_x86_are_told_apart_by_their_flags() -> None:
    neon = [one.name for one in supported(frozenset({"fp", "asimd", "asimddp", "i8mm"}))]
    assert neon == ["NEON dotprod"]
    assert [one.name for one in supported(frozenset({"avx2", "fma", "f16c"}))] == ["AVX2"]
    assert [one.name for one in supported(frozenset({"avx2", "fma"}))] == ["AVX2"]
    # Fused products and sums cannot be had exactly without their instruction.
    assert supported(frozenset({"avx2", "f16c"})) == []
    assert SCALAR not in INSTRUCTION_SETS
