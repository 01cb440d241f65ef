"""How fast each kernel is by itself, for every instruction set of this CPU.

    python -m benchmarks.kernels [--sets AVX2 ...] [--shapes demo 1.5b 7b] [--rows 1 8 256]
        [--formats 8 4 16] [--threads 1] [--rounds 7] [--sources DIR ...]

The products of a layer of each shape, best and median of some rounds, in CPU time of the thread
that computes (with --threads above 1: in wall time). Weights that fit in a cache are repeated
until they do not. --sources compares kernels of another state of the program with these.
"""

import argparse
import ctypes
import itertools
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.figures import row
from tui.host import cpu, kernel_compiler
from tui.host.instruction_sets import InstructionSet, supported
from tui.worker.kernels import abi

KERNELS = Path(abi.__file__).parent
SHAPES = {
    "demo": ((960, 576), (576, 576), (3072, 576), (576, 1536)),
    "1.5b": ((2048, 1536), (1536, 1536), (17920, 1536), (1536, 8960)),
    "7b": ((12288, 4096), (4096, 4096), (22016, 4096), (4096, 11008)),
}
"""Outputs and inputs of the products of one layer."""
UNCACHED = 64 << 20
"""Bytes of weights that no cache holds."""


def compiled(sources: Path, one: InstructionSet, folder: Path) -> Any:
    """The kernels of a folder."""
    place = folder / f"{len(list(folder.iterdir()))}.so"
    files = [str(path) for path in sorted(sources.glob("*.c"))]
    flags = (*kernel_compiler.FLAGS, "-shared", *one.flags)
    subprocess.run(["cc", *flags, *files, "-lm", "-o", str(place)], check=True)
    library = ctypes.CDLL(str(place))
    abi.declare(library)
    return library


def products(library: Any, bits: int, outputs: int, inputs: int, rows: int) -> Iterator[Any]:
    """Calls that compute the same product of different weights, for ever."""
    copies = max(1, UNCACHED * 8 // (outputs * inputs * bits))
    if bits == 16:
        x, y = torch.randn(rows, inputs), torch.empty(rows, outputs)
        weights = torch.randn(copies, outputs, inputs).bfloat16()
        matrices = [(abi.Bf16Matrix * 1)(abi.Bf16Matrix(outputs, w.data_ptr(), 0)) for w in weights]
        for each in itertools.cycle(matrices):
            yield lambda each=each: (
                weights,
                library.duibi_linear_bf16(x.data_ptr(), rows, inputs, each, 1, y.data_ptr()),
            )
    x, y = torch.randn(rows, inputs).bfloat16(), torch.empty(rows, outputs).bfloat16()
    block = abi.constant(f"INT{bits}_BLOCK")
    size = -(-outputs // 32) * (inputs // 32) * block
    tiles, scale = (
        torch.randint(1, 256, (copies, size), dtype=torch.uint8),
        torch.rand(outputs + 32),
    )
    for each in itertools.cycle(tiles):
        yield lambda each=each: library.duibi_linear_quantised(
            bits, x.data_ptr(), rows, inputs, outputs, each.data_ptr(), scale.data_ptr(), None,
            y.data_ptr(),
        )  # fmt: skip


def timed(call: Callable[[], object], threads: int) -> float:
    """Milliseconds."""
    clock = time.thread_time if threads == 1 else time.perf_counter
    began = clock()
    call()
    return (clock() - began) * 1000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    usable = {one.name: one for one in supported(cpu.flags())}
    parser.add_argument("--sets", nargs="*", choices=list(usable), default=list(usable))
    parser.add_argument("--shapes", nargs="*", choices=list(SHAPES), default=["demo", "1.5b"])
    parser.add_argument("--rows", nargs="*", type=int, default=[1, 8, 256])
    parser.add_argument(
        "--formats", nargs="*", type=int, choices=(4, 6, 8, 16), default=[8, 6, 4, 16]
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--sources", nargs="*", type=Path, default=[])
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as folder:
        contenders = {
            (name, str(sources)): compiled(sources, usable[name], Path(folder))
            for name, sources in itertools.product(given.sets, [KERNELS, *given.sources])
        }
        for bits, shape, rows in itertools.product(given.formats, given.shapes, given.rows):
            took: dict[Any, list[float]] = {key: [] for key in contenders}
            calls = {
                key: [products(library, bits, *each, rows) for each in SHAPES[shape]]
                for key, library in contenders.items()
            }
            repeat = max(1, 16 // rows)
            for _ in range(given.rounds + 1):
                for key, them in calls.items():
                    total = 0.0
                    for each in them:
                        total += sum(timed(next(each), given.threads) for _ in range(repeat))
                    took[key].append(total / repeat)
            macs = sum(outputs * inputs for outputs, inputs in SHAPES[shape])
            for (name, sources), values in took.items():
                middle, best = statistics.median(values[1:]), min(values[1:])
                speed = f"{macs * rows / best / 1e6:7.1f} G products/s"
                rate = f"{macs * bits / 8 / best / 1e6:5.1f} GB/s"
                row(
                    f"{bits} bits, {shape}, {rows} rows, {name} {sources if given.sources else ''}",
                    f"{middle:8.3f} ms (best {best:8.3f})  {speed} {rate}",
                )


if __name__ == "__main__":
    main()
