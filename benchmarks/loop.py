"""What decoding costs besides the weights: the loop around the model, and the cache's kind.

    python -m benchmarks.loop [--shape demo|0.5b|1.5b|7b] [--layers N] [--dtype int4]
        [--contexts 256 1024 2048] [--new 32] [--rounds 5]

The loop: the time of `DecodeBatch.step` (choosing, text, events, cancelling) beside that of the
model's forward pass in it, and what that is of a forward pass of so many layers as the
shape has. The cache: milliseconds a token with keys and values that grow by a copy for each
token (transformers' DynamicCache), that lie in a buffer made at the start (StaticCache),
and in our buffered cache (`tui.worker.decode.attention`); the first two with torch's own attention.
The kinds take turns.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import DynamicCache, StaticCache

from benchmarks import random_model
from benchmarks.figures import row, spread
from tui.host import cpu
from tui.models import demo
from tui.worker.control import Control, decoder_layers, install_stop_hooks
from tui.worker.decode.attention import ATTENTION_NAME, attach, new_kv_cache
from tui.worker.decode.batch import DecodeBatch
from tui.worker.gguf.convert import convert_gguf
from tui.worker.load import prepare
from tui.worker.load.loader import open_checkpoint
from tui.worker.loaded_model import LoadedModel
from tui.worker.measure import PeakMemory
from tui.worker_protocol import DecodeRequest


def quiet(*_: Any) -> None:
    """No progress."""


def loop(ready: LoadedModel, given: argparse.Namespace, whole: int) -> None:
    """Step time against forward time."""
    control, spent = Control(), [0.0]
    install_stop_hooks(ready.model, control)
    inside = ready.model.forward

    def timed(*arguments: Any, **more: Any) -> Any:
        began = time.perf_counter()
        out = inside(*arguments, **more)
        spent[0] += time.perf_counter() - began
        return out

    ready.model.forward = timed
    batch = DecodeBatch(ready, control, PeakMemory())
    around, forward = [], []
    for _ in range(given.rounds):
        words = " ".join(["word"] * given.contexts[0])
        list(batch.admit(DecodeRequest(0, (("user", words),), given.new, {"greedy": True})))
        while batch:
            spent[0], began = 0.0, time.perf_counter()
            list(batch.step())
            forward.append(spent[0] * 1000)
            around.append((time.perf_counter() - began) * 1000 - forward[-1])
    ready.model.forward = inside
    here = len(decoder_layers(ready.model))
    scaled = statistics.median(forward) * whole / here
    row("forward pass", spread(forward, "ms"))
    row("loop around it", spread(around, "ms", 3))
    share = statistics.median(around) / scaled
    row(f"  of a forward pass of {whole} layers", f"{share:.2%}", "< 3 % at 7B")


def caches(model: Any, given: argparse.Namespace) -> None:
    """Milliseconds a token with each kind of cache."""
    kinds: dict[str, tuple[str, Callable[[int], Any]]] = {
        "grown": ("sdpa", lambda length: DynamicCache(config=model.config)),
        "static": ("sdpa", lambda length: StaticCache(model.config, max_cache_len=length)),
        "buffered cache": (ATTENTION_NAME, lambda length: new_kv_cache(model)),
    }
    for context in given.contexts:
        found: dict[str, list[float]] = {name: [] for name in kinds}
        for _ in range(given.rounds):
            for name, (attention, make) in kinds.items():
                model.set_attn_implementation(attention)
                cache = make(context + given.new + 1)
                ids = torch.randint(100, 1000, (1, context))
                model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
                for number in range(given.new + 1):
                    began = time.perf_counter()
                    one = ids[:, number : number + 1]
                    model(input_ids=one, past_key_values=cache, use_cache=True)
                    if number:
                        found[name].append((time.perf_counter() - began) * 1000)
        for name, values in found.items():
            row(f"context {context}: {name}", spread(values, "ms/token"))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=("demo", *random_model.SHAPES), default="demo")
    parser.add_argument("--layers", type=int, default=0)
    parser.add_argument("--dtype", default="int4")
    parser.add_argument("--contexts", type=int, nargs="+", default=[256, 1024, 2048])
    parser.add_argument("--new", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    torch.set_grad_enabled(False)
    torch.set_num_threads(cpu.cores())
    folder = convert_gguf(demo.fetch(lambda _: True, quiet), quiet)
    with tempfile.TemporaryDirectory() as temporary:
        whole = 0
        if given.shape != "demo":
            random_model.write(Path(temporary), given.shape, folder, given.layers)
            folder, whole = Path(temporary), random_model.SHAPES[given.shape].layers
        checkpoint = open_checkpoint(folder)
        model = prepare.prepare_model(checkpoint, given.dtype, quiet)[0]
        attach(model)
        ready = LoadedModel(replace(checkpoint, stop_ids=frozenset()), model, "cpu", 4096)
        loop(ready, given, whole or len(decoder_layers(model)))
        caches(model, given)


if __name__ == "__main__":
    main()
