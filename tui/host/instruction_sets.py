"""The instruction sets that the worker's kernels are compiled for."""

from typing import NamedTuple


class InstructionSet(NamedTuple):
    """``needs``: flags of /proc/cpuinfo that a CPU must have; ``capability``: what torch calls
    the instructions (ATEN_CPU_CAPABILITY; it knows none of ARM's); ``flags``: the compiler's;
    ``machine``: what such a machine calls itself (uname)."""

    name: str
    needs: frozenset[str]
    capability: str
    flags: tuple[str, ...]
    machine: str = "x86_64"


INSTRUCTION_SETS = (
    InstructionSet(
        "AVX-512 VNNI",
        frozenset({"avx2", "avx512f", "avx512bw", "avx512vl", "avx512_vnni", "fma"}),
        "AVX512",
        ("-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512vnni", "-mfma"),
    ),
    InstructionSet(
        "AVX-VNNI",
        frozenset({"avx2", "fma", "avx_vnni"}),
        "AVX2",
        ("-mavx2", "-mfma", "-mavxvnni"),
    ),
    InstructionSet("AVX2", frozenset({"avx2", "fma"}), "AVX2", ("-mavx2", "-mfma")),
    InstructionSet(
        "NEON dotprod",
        frozenset({"asimddp"}),
        "DEFAULT",
        ("-march=armv8.2-a+dotprod",),
        "aarch64",
    ),
)
"""The best first."""

SCALAR = InstructionSet("scalar", frozenset(), "DEFAULT", ())
"""Plain C, which every compiler has: the reference for tests, too slow to be used."""


def supported(flags: frozenset[str]) -> list[InstructionSet]:
    """Those that a CPU with these flags has, the best first."""
    return [one for one in INSTRUCTION_SETS if one.needs <= flags]
