"""The demo in each format on each class of CPU that this one can pass for, as a table for README.

    python -m benchmarks.cpu_classes [--models demo ...] [--prompt 64] [--new 16] [--repeat 3]
        [--classes "as it is" AVX2 ...]

The classes: the CPU as it is; its AVX-512 hidden (ATEN_CPU_CAPABILITY, ONEDNN_MAX_CPU_ISA), and
its AVX-VNNI too (DUIBI_HIDE_CPU_FLAGS); the same by torch's kernels, without a compiler (and in a
checkout, which has no library of ours). Each is measured by `duibi bench` on the ordinary path:
prompts, one answer, and eight answers together with their prompts, in tokens a second, each the
median of ``--repeat``. A CPU that has AVX-512 may run AVX2 at another clock than one that has not.
``--models`` takes references without a format. It takes two minutes where nothing else computes;
``--classes`` measures some of them.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tui.host import cpu, paths

FORMATS = ("bf16", "int8", "int4")
NO_AVX512 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
HIDDEN = NO_AVX512 | {"DUIBI_HIDE_CPU_FLAGS": "avx_vnni"}
CLASSES: dict[str, dict[str, str]] = {
    "as it is": {},
    "without AVX-512": NO_AVX512,
    "AVX2": HIDDEN,
    "AVX2, torch's kernels": HIDDEN | {"PATH": "/nowhere"},
}

KEPT = ("models", "converted")
"""Folders of the cache in which the demo lies."""


def main() -> None:
    """Measure class after class and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="*", default=["demo"])
    parser.add_argument("--prompt", type=int, default=64)
    parser.add_argument("--new", type=int, default=16)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--classes", nargs="*", choices=CLASSES, default=list(CLASSES))
    given = parser.parse_args()
    print(f"{cpu.model_name()}, {cpu.cores()} cores\n")
    print("| CPU | kernels | model | prompts | one answer | eight together |")
    print("| --- | --- | --- | --- | --- | --- |", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for name in given.classes:
            for alone, together in bench(given, name, Path(folder)):
                figures = (alone["prefill_tok_s"], alone["decode_tok_s"], together["all_tok_s"])
                shown = " | ".join(f"{value:.0f}" for value in figures)
                print(f"| {name} | {alone['kernels']} | `{alone['model']}` | {shown} |", flush=True)
                if alone["threads"] < cpu.cores():
                    print(f"(with {alone['threads']} threads: others compute)", flush=True)


def bench(given: argparse.Namespace, name: str, folder: Path) -> list[tuple[Any, Any]]:
    """For each model and format, the results of one answer and of eight."""
    models = [f"{model}@{dtype}" for model in given.models for dtype in FORMATS]
    command = [sys.executable, "-m", "tui", "bench", *models, "--json", "--batch", "1,8"]
    for option in ("prompt", "new", "repeat"):
        command += [f"--{option}", str(getattr(given, option))]
    # Our kernels compute the same packed bytes with all instruction sets; who has no compiler must
    # not find what was compiled for others.
    cache = folder / ("torch" if "PATH" in CLASSES[name] else "own")
    for kept in KEPT:
        (cache / kept).parent.mkdir(exist_ok=True)
        if (paths.cache_dir() / kept).is_dir() and not (cache / kept).is_symlink():
            (cache / kept).symlink_to(paths.cache_dir() / kept)
    environment = os.environ | CLASSES[name] | {"DUIBI_CACHE_DIR": str(cache)}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    results = json.loads(done.stdout)["results"]
    return list(zip(results[::2], results[1::2], strict=True))


if __name__ == "__main__":
    main()
