"""The worker with the demo model: load, speed beside `generate`.

    python benchmarks/worker.py [--new 128] [--threads 1 2] [--dtypes bf16 fp32]

Fetches the demo if it is not there. Nothing else should run meanwhile. One JSON object
per line: load (seconds), decode (tokens/s, best of three answers; `generate`: from the
difference between one and N new tokens).
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tui.checkpoints import gguf_cache
from tui.engines.base import Message, Request, SamplingOptions
from tui.engines.local import LocalEngine
from tui.events import Answered
from tui.host.paths import log_file
from tui.models import demo

PROMPT = "Write a long story about a lighthouse keeper and the sea."
ROUNDS = 3


def say(**figures: Any) -> None:
    print(json.dumps(figures), flush=True)


def load(gguf: Path, dtype: str, threads: int) -> tuple[LocalEngine, dict[str, float]]:
    engine = LocalEngine(gguf, dtype, threads, log_file())
    loaded = engine.load(lambda t_ns, body: None)
    return engine, {"load_s": round(loaded.load_s, 2), "import_s": round(loaded.import_s, 2)}


def ours(engine: LocalEngine, new: int) -> Answered:
    greedy = SamplingOptions(greedy=True)
    request = Request(1, (Message("user", PROMPT),), new, greedy)
    answers = [
        body
        for _ in range(ROUNDS)
        for _, body in engine.answer([request])
        if isinstance(body, Answered)
    ]
    return max(answers, key=lambda answer: answer.decode_tok_s or 0)


def stock(folder: Path, dtype: str, threads: int, new: int) -> None:
    """In a process of its own: `generate` on the same weights."""
    import torch
    from transformers import AutoModelForCausalLM

    from tui.worker.load.loader import open_checkpoint

    torch.set_num_threads(threads)
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype={"bf16": torch.bfloat16, "fp32": torch.float32}[dtype]
    )
    ids = torch.tensor([open_checkpoint(folder).tokenizer.encode_chat([("user", PROMPT)], new).ids])

    def seconds(count: int) -> float:
        began = time.perf_counter()
        out = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=count,
            min_new_tokens=count,
            do_sample=False,
        )
        assert out.shape[1] == ids.shape[1] + count
        return time.perf_counter() - began

    seconds(8)
    best = min(seconds(new) - seconds(1) for _ in range(ROUNDS)) / (new - 1)
    print(json.dumps(round(1 / best, 2)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--new", type=int, default=128)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--dtypes", nargs="+", default=["bf16", "fp32"])
    parser.add_argument("--stock", nargs=3, metavar=("FOLDER", "DTYPE", "THREADS"))
    options = parser.parse_args()
    if options.stock:
        folder, dtype, threads = options.stock
        stock(Path(folder), dtype, int(threads), options.new)
        return
    gguf = demo.fetch(lambda text: True, lambda stage, done, total: None)
    shutil.rmtree(gguf_cache.root(), ignore_errors=True)
    for case in ("not converted yet", "converted", "converted, once more"):
        engine, figures = load(gguf, "bf16", max(options.threads))
        say(what="load", case=case, **figures)
        engine.close()
    (folder,) = (p for p in gguf_cache.root().iterdir() if p.is_dir())
    for dtype in options.dtypes:
        for threads in options.threads:
            engine, figures = load(gguf, dtype, threads)
            answer = ours(engine, options.new)
            command = [sys.executable, __file__, "--new", str(answer.output_tokens), "--stock"]
            engine.close()
            done = subprocess.run(
                [*command, str(folder), dtype, str(threads)],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                check=True,
            )
            say(
                what="decode",
                dtype=dtype,
                threads=threads,
                ours=answer.decode_tok_s,
                generate=json.loads(done.stdout),
                tokens=answer.output_tokens,
                ttft_ms=answer.ttft_ms,
                **figures,
            )


if __name__ == "__main__":
    main()
