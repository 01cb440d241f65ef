"""duibi's formats beside the script that people use and llama.cpp, of the same weights.

    python -m benchmarks.versus [--shape demo|0.5b|1.5b|7b] [--formats bf16 int8 int4]
        [--llama BF16 Q8_0 Q4_0 Q4_K_M] [--llama-cpp native|wheel] [--no-script]
        [--prompt 256] [--long 1024] [--new 32] [--rounds 5] [--questions 8] [--threads 2]
        [--folder DIR] [--prepare]

The contenders take turns, answer by answer, so that whatever else the machine does meets
all of them; what is printed are medians with their spread, and the ratios that matter with
theirs. ``demo`` is the real small model; the other shapes are random weights in the form of
Llama (a token of noise costs what a token of sense does; --layers N: of fewer layers than
the shape has). The script is
`from_pretrained(dtype=bfloat16)` and `generate` with a streamer. llama.cpp takes part where
llama-cpp-python (native: compiled for this CPU, it quantises the same weights itself) or
xllamacpp (wheel: AVX2, without Q4_K_M, the `gguf` package quantises) can be imported; AVX2 on a
CPU with more: ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 DUIBI_HIDE_CPU_FLAGS=avx_vnni (of
the latter, our kernels alone). A step is one token for each of
--questions answers that are decoded together, also by xllamacpp. A set of questions is
decoded together by duibi, one after another by the others: there --one-by-one answers are
measured and the time multiplied. At 7B they do not fit into memory together: there a few at a
time take turns (the script and bf16 share a mapped file; int8 and Q8_0; int4, Q4_0 and Q4_K_M).
Where the machine has other work, --threads 1 and the ratios of CPU time are of use: llama.cpp's
threads spin while they wait for each other. --folder keeps what was made and packed, --prepare
only makes it.
"""

import argparse
import importlib.util
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from benchmarks import random_mixture, random_model
from benchmarks.contenders import Contender, Duibi, Other, quantised
from benchmarks.figures import row, spread
from tui.host import cpu
from tui.models import demo
from tui.worker.gguf.convert import convert_gguf

INSTALL = (
    "llama.cpp takes no part: pip install xllamacpp gguf, or llama-cpp-python (compiles for 12"
    " CPU-minutes)"
)
MODULES = {"native": "llama_cpp", "wheel": "xllamacpp"}
Found = dict[str, dict[str, list[float]]]
"""Values by what was measured and of whom."""

APART = (("script", "bf16", "BF16"), ("int8", "Q8_0"), ("int4", "Q4_0", "Q4_K_M"))
"""Who is loaded together at 7B."""

LIMITS: tuple[tuple[str, str, str, float], ...] = (
    # What is measured (all: the less the better), whose, against whose, at least so many times.
    *(("decode", f, "script", n) for f, n in (("int4", 4.0), ("int8", 2.4), ("bf16", 1.4))),
    *(("decode", f, o, n) for f, o, n in (("int4", "Q4_0", 0.9), ("int8", "Q8_0", 0.8))),
    *(("decode, long", f, o, n) for f, o, n in (("int4", "Q4_0", 0.9), ("int8", "Q8_0", 0.8))),
    *(("prefill", f, o, n) for f, o, n in (("int8", "Q8_0", 1.5), ("int4", "Q4_0", 1.0))),
    *(("set", f, "script", 10.0) for f in ("int4", "int8")),
    *(("set", f, o, 2.0) for f, o in (("int4", "Q4_0"), ("int8", "Q8_0"))),
    *((what, "int4", "Q4_K_M", n) for what, n in (("decode", 0.9), ("prefill", 1.0), ("set", 2.0))),
)
"""At 7B with AVX-512 VNNI."""

PAIRS = (("int8", "Q8_0"), ("int4", "Q4_0"), ("bf16", "BF16"))
LIMITS_AVX2: tuple[tuple[str, str, str, float], ...] = (
    *(("decode", f, o, 1.0 if f == "bf16" else 0.95) for f, o in PAIRS),
    *((what, f, o, n) for what, n in (("prefill", 1.3), ("step", 1.3), ("set", 3.0))
      for f, o in PAIRS),
)  # fmt: skip
"""From 1.5B on; of the demo, `DEMO_DECODE` is wanted alone."""
DEMO_DECODE = 0.8


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--shape", choices=("demo", *random_model.SHAPES, random_mixture.NAME), default="demo"
    )
    parser.add_argument("--layers", type=int, default=0, help="fewer than the shape has")
    parser.add_argument("--formats", nargs="*", default=["bf16", "int8", "int4"])
    parser.add_argument("--llama", nargs="*", default=["Q8_0", "Q4_0"])
    here = [name for name in ("wheel", "native") if importlib.util.find_spec(MODULES[name])]
    parser.add_argument("--llama-cpp", choices=MODULES, default=here[0] if here else "native")
    parser.add_argument("--threads", type=int, default=cpu.cores())
    parser.add_argument("--no-script", action="store_true")
    parser.add_argument("--prompt", type=int, default=256)
    parser.add_argument("--long", type=int, default=1024, help="a second prompt; 0: none")
    parser.add_argument("--new", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--long-rounds", type=int, default=2)
    parser.add_argument("--step-rounds", type=int, default=2)
    parser.add_argument("--questions", type=int, default=8)
    parser.add_argument("--set-prompt", type=int, default=64)
    parser.add_argument("--set-new", type=int, default=128)
    parser.add_argument("--one-by-one", type=int, default=2)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--prepare", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        run(given, given.folder or Path(temporary))


def run(given: argparse.Namespace, folder: Path) -> None:
    """Make the checkpoint, pack it, and have the contenders take turns."""
    checkpoint, ggufs = made(given, folder)
    # What is packed here is no use to anybody afterwards.
    os.environ["DUIBI_CACHE_DIR"] = str(folder / "cache")
    bf16 = sum(file.stat().st_size for file in checkpoint.glob("*.safetensors"))
    batch = max(1, given.questions)
    for dtype in given.formats:
        first = Duibi(checkpoint, dtype, batch, given.threads)
        row(f"{dtype}: first load, packing", f"{first.load_s:.1f} s", "240 s at 7B")
        row("  highest private memory", f"{first.loading_peak / 1e9:.2f} GB")
        first.close()
    if given.prepare:
        return
    makers: dict[str, Callable[[], Contender]] = {}
    if not given.no_script:
        makers["script"] = partial(
            Other, "script", str(checkpoint), str(given.threads), measured=given.one_by_one
        )
    for dtype in given.formats:
        makers[dtype] = partial(Duibi, checkpoint, dtype, batch, given.threads)
    for kind, gguf in ggufs.items():
        makers[kind] = partial(
            Other, given.llama_cpp, str(gguf), str(given.threads), measured=given.one_by_one
        )
    found: Found = defaultdict(lambda: defaultdict(list))
    groups = APART if given.shape == "7b" else (tuple(makers),)
    for group in groups:
        together(found, {name: makers[name] for name in group if name in makers}, given)
    report(found, bf16, batch, given.shape == "demo")


def made(given: argparse.Namespace, folder: Path) -> tuple[Path, dict[str, Path]]:
    """The checkpoint and llama.cpp's files of it by kind, kept in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    words = convert_gguf(demo.fetch(lambda _: True, lambda *_: None), lambda *_: None)
    checkpoint = words
    if given.shape != "demo":
        checkpoint = folder / "checkpoint"
        if not (checkpoint / "config.json").exists():
            if given.shape == random_mixture.NAME:
                random_mixture.write(checkpoint, words, given.layers)
            else:
                random_model.write(checkpoint, given.shape, words, given.layers)
    if importlib.util.find_spec(MODULES[given.llama_cpp]) is None and given.llama:
        print(INSTALL)
        return checkpoint, {}
    ggufs = {kind: folder / f"{kind}.{given.llama_cpp}.gguf" for kind in given.llama}
    missing = [kind for kind, path in ggufs.items() if not path.exists()]
    whole = folder / "bf16.gguf"
    if missing and given.llama_cpp == "native":
        random_model.to_gguf(checkpoint, whole)
    for kind in missing:
        began = time.monotonic()
        part = folder / f"{kind}.part"
        if given.shape == random_mixture.NAME:
            random_mixture.to_gguf(part, given.layers, kind)
        elif given.llama_cpp == "wheel":
            random_model.to_gguf(checkpoint, part, kind)
        else:
            quantised(whole, part, kind)
        part.rename(ggufs[kind])
        print(f"{kind} made in {time.monotonic() - began:.0f} s", flush=True)
    whole.unlink(missing_ok=True)
    return checkpoint, ggufs


def together(
    found: Found, makers: dict[str, Callable[[], Contender]], given: argparse.Namespace
) -> None:
    """All of these loaded, each answering once a round."""
    alive = {name: make() for name, make in makers.items()}
    for one in alive.values():
        one.ask(16, 4)
    for turn in range(given.rounds):
        for name, one in alive.items():
            before = one.cpu_s()
            answer = one.ask(given.prompt, given.new)
            found["cpu"][name].append(one.cpu_s() - before)
            found["decode"][name].append(answer.token_ms)
            found["prefill"][name].append(answer.first_s)
            if given.long and turn < given.long_rounds:
                long = one.ask(given.long, max(2, given.new // 2))
                found["decode, long"][name].append(long.token_ms)
            if given.questions > 1 and turn < given.step_rounds:
                before = one.cpu_s()
                step = one.step(given.set_prompt, given.new, given.questions)
                if step:
                    found["step"][name].append(step)
                    found["cpu, together"][name].append(one.cpu_s() - before)
        # Whoever cuts it short has something.
        paces = {name: round(found["decode"][name][-1], 1) for name in alive}
        print(f"round {turn + 1}, ms/token: {paces}", flush=True)
    for name, one in alive.items():
        found["load"][name].append(one.load_s)
        if given.questions:
            found["set"][name].append(one.many(given.set_prompt, given.set_new, given.questions))
        found["resident"][name].append(one.resident())
        one.close()
        said = {what: [round(v, 2) for v in of[name]] for what, of in found.items() if name in of}
        print(f"{name}: {said}", flush=True)


def report(found: Found, bf16: int, batch: int, is_demo: bool) -> None:
    """All values, then the ratios."""
    is_avx2 = torch.backends.cpu.get_cpu_capability() == "AVX2"
    units = {
        "decode": ("ms/token", 1.0),
        "decode, long": ("ms/token", 1.0),
        "prefill": ("s", 1.0),
        "cpu": ("s of CPU time an answer", 1.0),
        "cpu, together": ("s of CPU time for all answers", 1.0),
        "step": ("ms/token of all", 1.0),
        "set": ("s", 1.0),
        "load": ("s", 1.0),
        "resident": ("of bf16's bytes", 1 / bf16),
    }
    for what, (unit, scale) in units.items():
        for name, values in found[what].items():
            row(f"{what}: {name}", spread([value * scale for value in values], unit))
    print()
    by_cpu = tuple((what, *pair, 0.0) for what in ("cpu", "cpu, together") for pair in PAIRS)
    for what, ours, theirs, least in (*(LIMITS_AVX2 if is_avx2 else LIMITS), *by_cpu):
        mine, other = found[what].get(ours), found[what].get(theirs)
        if mine and other:
            middle = statistics.median(other) / statistics.median(mine)
            low, high = min(other) / max(mine), max(other) / min(mine)
            text = f"{middle:.2f}x ({low:.2f} to {high:.2f} at the extremes)"
            least = DEMO_DECODE if is_avx2 and is_demo and what == "decode" else least
            where = "" if is_avx2 else " at 7B"
            limit = f">= {least}x{where}" if least else ""
            row(f"{what}: {ours} against {theirs}", text, limit)
    for name, values in found["step"].items():
        gain = statistics.median(found["decode"][name]) / statistics.median(values)
        row(f"step: {name}, in sum against one answer", f"{gain * batch:.2f}x")
    for name, most in (("int4", 0.37), ("int8", 0.60)):
        if held := found["resident"].get(name):
            row(f"resident: {name}", f"{max(held) / bf16:.3f} of bf16's bytes", f"<= {most} at 7B")


if __name__ == "__main__":
    main()
