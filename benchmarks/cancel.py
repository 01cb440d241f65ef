"""How soon a cancelled answer stops in its worker, in prefill and in decode.

    python -m benchmarks.cancel [--models demo 7b] [--dtypes bf16 int8] [--layers 4]
        [--times 40] [--words 1500] [--threads N]

Through the real worker process: the demo, and a random checkpoint of 7B width with few layers.
Answers to prompts of so many words (each another prompt, so that none is known already) are
cancelled at random moments of the prefill, answers to short prompts at random moments of
the first tokens. Measured is the time from `cancel` to the event in this process.

At 7B width it is held against half the time of one layer's forward pass in the phase: of
TTFT / layers in prefill; in decode, where reading weights is what takes the time, of what a
layer's share of the weights read for a token is of the token's time.
"""

import argparse
import math
import random
import statistics
import tempfile
import threading
import time
from pathlib import Path

from benchmarks import random_model
from benchmarks.figures import row, tail
from tui.engines.base import Message, Request, SamplingOptions
from tui.engines.local import LocalEngine
from tui.events import Answered, Body, Cancelled, Delta, Started
from tui.host import cpu
from tui.models import demo
from tui.worker.gguf.convert import convert_gguf

DEMO_MS = 300
SHORT = 20
"""Words of the prompt where decoding is what is cancelled."""
FIRST = 8
"""Tokens of an answer within which it is cancelled."""
WORDS = ("sea", "wind", "light", "stone", "river", "house", "bird", "night", "road", "tree")


class Bench:
    """An engine that is asked and cancelled, answer after answer."""

    def __init__(self, engine: LocalEngine, chance: random.Random) -> None:
        self._engine, self._chance = engine, chance
        self._asked = 0
        self._told = math.inf

    def whole(self, words: int) -> Answered:
        """An answer that nobody cancels."""
        last = [body for _, body in self._engine.answer([self._request(words)])][-1]
        if not isinstance(last, Answered):
            raise SystemExit(f"no answer: {last}")
        return last

    def cancelled(self, words: int, after: type[Body], within_s: float) -> float | None:
        """Cancel at a random moment within so many seconds of an event: milliseconds to the
        end, None where it came only in the next phase."""
        request = self._request(words)
        self._told = math.inf
        timer = threading.Timer(
            self._chance.uniform(0, within_s), self._cancel, args=(request.answer,)
        )
        late, found = False, None
        for _, body in self._engine.answer([request]):
            now = time.monotonic()
            if isinstance(body, after) and timer.ident is None:
                timer.start()
            elif isinstance(body, Delta) and after is Started and now < self._told:
                late = True
            elif isinstance(body, Cancelled) and not late:
                found = (now - self._told) * 1000
        timer.cancel()
        timer.join()
        return found

    def collect(self, times: int, words: int, after: type[Body], within_s: float) -> list[float]:
        """Cancel so many answers; milliseconds, in order of size."""
        found: list[float] = []
        while len(found) < times:
            if (took := self.cancelled(words, after, within_s)) is not None:
                found.append(took)
        return sorted(found)

    def _request(self, words: int) -> Request:
        self._asked += 1
        text = " ".join([str(self._chance.random()), *self._chance.choices(WORDS, k=words)])
        sampling = SamplingOptions(greedy=True)
        return Request(self._asked, (Message("user", text),), 4 * FIRST, sampling)

    def _cancel(self, answer: int) -> None:
        self._told = time.monotonic()
        self._engine.cancel([answer])


def say(phase: str, found: list[float], layer_ms: float) -> None:
    """One phase's figures; ``layer_ms`` 0: they are held against `DEMO_MS`."""
    p95 = tail(found, 0.95)
    words = f"{statistics.median(found):.1f} ms, p95 {p95:.1f}, at most {found[-1]:.1f}"
    if layer_ms:
        row(phase, f"{words} (n={len(found)})", f"p95 < {layer_ms / 2:.1f} ms, half a layer")
        row("  of a layer's time", f"p95 {p95 / layer_ms:.2f}, at most {found[-1] / layer_ms:.2f}")
    else:
        row(phase, f"{words} (n={len(found)})", f"p95 < {DEMO_MS} ms")


def measure(label: str, engine: LocalEngine, given: argparse.Namespace, share: float) -> None:
    """One model; ``share``: what a layer has of the weights read for a token, 0 for the demo."""
    bench = Bench(engine, random.Random(given.seed))
    bench.whole(given.words)
    long, short = bench.whole(given.words), bench.whole(SHORT)
    assert long.ttft_ms and short.tpot_ms
    row(f"{label}: prompt, TTFT", f"{long.prompt_tokens} tokens, {long.ttft_ms:.0f} ms")
    row(f"{label}: TPOT", f"{short.tpot_ms:.1f} ms")
    layer_ms = long.ttft_ms / given.layers if share else 0.0
    found = bench.collect(given.times, given.words, Started, long.ttft_ms / 1000)
    say(f"{label}: cancelled in prefill", found, layer_ms)
    found = bench.collect(given.times, SHORT, Delta, FIRST * short.tpot_ms / 1000)
    say(f"{label}: cancelled in decode", found, share * short.tpot_ms)


def layer_share(layers: int) -> float:
    """What one layer of 7B width has of the weights of so many layers and the head."""
    size = random_model.SHAPES["7b"]
    layer = sum(math.prod(shape) for shape in size.layer().values())
    return layer / (layers * layer + size.hidden * size.vocab)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=("demo", "7b"), default=["demo", "7b"])
    parser.add_argument("--dtypes", nargs="+", choices=("bf16", "int8"), default=["bf16", "int8"])
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--times", type=int, default=40)
    parser.add_argument("--words", type=int, default=1500)
    parser.add_argument("--threads", type=int, default=cpu.cores())
    parser.add_argument("--folder", type=Path, help="where the checkpoint is written, and kept")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    small = convert_gguf(demo.fetch(lambda _: True, lambda *_: None), lambda *_: None)
    with tempfile.TemporaryDirectory() as name:
        for model in given.models:
            checkpoint, share = small, 0.0
            if model == "7b":
                checkpoint = (given.folder or Path(name)) / f"7b-{given.layers}"
                share = layer_share(given.layers)
                if not checkpoint.exists():
                    random_model.write(checkpoint, "7b", small, given.layers)
            for dtype in given.dtypes:
                engine = LocalEngine(checkpoint, dtype, given.threads, Path(name) / "log")
                try:
                    engine.load(lambda t_ns, body: None)
                    measure(f"{model}@{dtype}", engine, given, share)
                finally:
                    engine.close()


if __name__ == "__main__":
    main()
