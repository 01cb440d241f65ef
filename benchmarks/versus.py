"""duibi's formats beside the script that people use, and llama.cpp where it is installed.

    python -m benchmarks.versus [--shape demo|0.5b|1.5b|7b] [--formats bf16 int8 int4]
        [--new 32] [--rounds 5] [--questions 8] [--gguf FILE]

The contenders take turns, answer by answer, so that whatever else the machine does meets
all of them; what is printed are medians with their spread and the median of the ratios
within a round. ``demo`` is the real small model; the other shapes are random weights in
the form of Llama with the demo's words (a token of noise costs what a token of sense does).
The script is `from_pretrained(dtype=bfloat16)` and `generate` with a streamer. llama.cpp
takes part where llama-cpp-python can be imported and --gguf names a file of the same
weights. Contenders of 7B are loaded one at a time: there the turns are whole rounds.
"""

import argparse
import json
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from benchmarks.figures import row, spread
from benchmarks.true_shape import BLOCK, noise
from tui.cli.bench import Asker
from tui.engines.local import LocalEngine
from tui.host import cpu
from tui.host.paths import cache_dir, log_file
from tui.models import demo
from tui.worker.gguf import converted

SHAPES = {
    "0.5b": {"hidden_size": 1024, "intermediate_size": 2816, "layers": 24, "heads": 16},
    "1.5b": {"hidden_size": 1536, "intermediate_size": 8960, "layers": 28, "heads": 12},
    "7b": {"hidden_size": 4096, "intermediate_size": 11008, "layers": 32, "heads": 32},
}
WORDS_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


class Contender(Protocol):
    """What can be timed: milliseconds a token in decoding, and seconds for one answer."""

    def decode(self, words: int, new: int) -> tuple[float, float]:
        """``(ms a token, s in all)`` of one answer."""
        ...

    def many(self, words: int, new: int, count: int) -> float:
        """Seconds for so many answers, as this contender does them best."""
        ...

    def close(self) -> None:
        """Give its memory back."""
        ...


class Duibi:
    """A format of ours, through the ordinary worker."""

    def __init__(self, folder: Path, dtype: str, batch: int) -> None:
        self._engine = LocalEngine(folder, dtype, cpu.cores(), log_file(), batch=batch)
        self._engine.load(lambda t_ns, body: None)
        self._asker = Asker(self._engine)

    def decode(self, words: int, new: int) -> tuple[float, float]:
        """See `Contender`."""
        (ends, seconds) = self._asker.ask(words, 1, new)
        return ends[0].tpot_ms or 0.0, seconds

    def many(self, words: int, new: int, count: int) -> float:
        """Decoded together."""
        return self._asker.ask(words, count, new)[1]

    def close(self) -> None:
        """See `Contender`."""
        self._engine.close()


class Other:
    """A child process that answers a line of JSON with a line of JSON; one at a time."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "benchmarks.versus", *arguments]
        pipe = subprocess.PIPE
        self._child = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        self._told()

    def _told(self) -> Any:
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line:
            sys.exit("a contender died")
        return json.loads(line)

    def decode(self, words: int, new: int) -> tuple[float, float]:
        """See `Contender`."""
        assert self._child.stdin is not None
        print(json.dumps([words, new]), file=self._child.stdin, flush=True)
        first, total = self._told()
        return (total - first) / (new - 1) * 1000, total

    def many(self, words: int, new: int, count: int) -> float:
        """One after another."""
        return sum(self.decode(words, new)[1] for _ in range(count))

    def close(self) -> None:
        """See `Contender`."""
        self._child.terminate()
        self._child.wait()


def serve(answer: Any) -> None:
    """The child's side: ``answer(words, new) -> (s until the first token, s in all)``."""
    print("{}", flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(*json.loads(line))), flush=True)


def serve_script(folder: str) -> None:
    """The script that people use."""
    from threading import Thread

    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, TextIteratorStreamer

    torch.set_num_threads(cpu.cores())
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    torch.manual_seed(0)

    def answer(words: int, new: int) -> tuple[float, float]:
        ids = torch.randint(100, model.config.vocab_size, (1, words))
        streamer = TextIteratorStreamer(tokenizer, skip_prompt=True)
        more = {"max_new_tokens": new, "min_new_tokens": new, "do_sample": False}
        began = time.perf_counter()
        given = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "streamer": streamer}
        times: list[float] = []
        hook = model.register_forward_hook(lambda *_: times.append(time.perf_counter() - began))
        thread = Thread(target=model.generate, kwargs=given | more)
        thread.start()
        for _ in streamer:
            pass
        thread.join()
        hook.remove()
        return times[0], times[-1]

    serve(answer)


def serve_llama(gguf: str) -> None:
    """llama.cpp through llama-cpp-python."""
    import random

    from llama_cpp import Llama

    model = Llama(gguf, n_ctx=2048, n_threads=cpu.cores(), verbose=False)

    def answer(words: int, new: int) -> tuple[float, float]:
        ids = [random.randrange(100, model.n_vocab()) for _ in range(words)]
        began, times = time.perf_counter(), []
        model.reset()
        for number, _ in enumerate(model.generate(ids, temp=0.0), 1):
            times.append(time.perf_counter() - began)
            if number == new:
                break
        return times[0], times[-1]

    serve(answer)


def random_checkpoint(folder: Path, shape: str, words: Path) -> None:
    """Random weights of a shape, with the words of another checkpoint."""
    sizes = SHAPES[shape]
    config = json.loads((words / "config.json").read_text())
    hidden, inner, vocab = sizes["hidden_size"], sizes["intermediate_size"], config["vocab_size"]
    config |= {
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_hidden_layers": sizes["layers"],
        "num_attention_heads": sizes["heads"],
        "num_key_value_heads": sizes["heads"],
        "head_dim": hidden // sizes["heads"],
        "tie_word_embeddings": False,
        "dtype": "bfloat16",
    }
    (folder / "config.json").write_text(json.dumps(config))
    for name in WORDS_FILES:
        if (words / name).exists():
            shutil.copy(words / name, folder / name)
    shapes = {"model.embed_tokens.weight": (vocab, hidden), "lm_head.weight": (vocab, hidden)}
    shapes["model.norm.weight"] = (hidden,)
    for number in range(sizes["layers"]):
        layer = f"model.layers.{number}."
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            shapes[f"{layer}self_attn.{name}.weight"] = (hidden, hidden)
        for name in ("gate_proj", "up_proj"):
            shapes[f"{layer}mlp.{name}.weight"] = (inner, hidden)
        shapes[f"{layer}mlp.down_proj.weight"] = (hidden, inner)
        for name in ("input_layernorm", "post_attention_layernorm"):
            shapes[f"{layer}{name}.weight"] = (hidden,)
    header, end = {}, 0
    for key, size in shapes.items():
        stop = end + 2 * size[0] * (size[1] if len(size) > 1 else 1)
        header[key] = {"dtype": "BF16", "shape": size, "data_offsets": [end, stop]}
        end = stop
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    block = noise()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for start in range(0, end, BLOCK):
            file.write(block[: min(BLOCK, end - start)])


def compare(makers: dict[str, Any], given: argparse.Namespace, together: bool) -> None:
    """Take turns and print."""
    tokens: dict[str, list[float]] = {name: [] for name in makers}
    sets: dict[str, list[float]] = {name: [] for name in makers}
    alive: dict[str, Contender] = {}
    for turn in range(given.rounds + 1):
        for name, make in makers.items():
            one = alive.get(name) or make()
            if together:
                alive[name] = one
            pace, _ = one.decode(given.prompt, given.new)
            if turn or not together:
                tokens[name].append(pace)
                if given.questions and turn == given.rounds:
                    sets[name].append(one.many(given.prompt, given.new, given.questions))
            if not together:
                one.close()
    for one in alive.values():
        one.close()
    table("decode", tokens, "ms/token", 1)
    if given.questions:
        table(f"{given.questions} answers of {given.new} tokens", sets, "s", 1)


def table(title: str, found: dict[str, list[float]], unit: str, digits: int) -> None:
    """Medians, spreads, and how many times as fast as the first contender."""
    first = next(iter(found.values()))
    for name, values in found.items():
        ratios: Sequence[float] = [a / b for a, b in zip(first, values, strict=True)]
        row(f"{title}: {name}", spread(values, unit, digits), f"{statistics.median(ratios):.2f}x")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=("demo", *SHAPES), default="demo")
    parser.add_argument("--formats", nargs="+", default=["bf16", "int8", "int4"])
    parser.add_argument("--prompt", type=int, default=64)
    parser.add_argument("--new", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--questions", type=int, default=8)
    parser.add_argument("--gguf")
    parser.add_argument("--script", help=argparse.SUPPRESS)
    parser.add_argument("--llama", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.script:
        serve_script(given.script)
    elif given.llama:
        serve_llama(given.llama)
    else:
        run(given)


def run(given: argparse.Namespace) -> None:
    """Make the checkpoint and have the contenders take turns."""
    gguf = demo.fetch(lambda text: True, lambda stage, done, total: None)
    words = converted(gguf, cache_dir() / "converted", lambda done, total: None)
    with tempfile.TemporaryDirectory() as temporary:
        folder = words
        if given.shape != "demo":
            folder = Path(temporary)
            random_checkpoint(folder, given.shape, words)
        makers: dict[str, Any] = {"script": lambda: Other("--script", str(folder))}
        for dtype in given.formats:
            makers[f"duibi {dtype}"] = partial(Duibi, folder, dtype, max(1, given.questions))
        if given.gguf:
            makers["llama.cpp"] = lambda: Other("--llama", given.gguf)
        compare(makers, given, together=given.shape != "7b")


if __name__ == "__main__":
    main()
