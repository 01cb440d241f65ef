"""Predicted memory beside measured: models of three sizes, each in several dtypes.

    python -m benchmarks.memory [--models demo 0.5B 1.5B 7B 30B-A3B] [--layers 48]
        [--dtypes bf16 fp32 int8 int4]

The demo is the real one; the others are random checkpoints of published shapes (Qwen2.5 as
Llama, bf16, written to a temporary folder or to --folder). Each is loaded by a worker and
answers two prompts of 1,440 words (a token each of the demo, two and four of the others):
only from the second on everything is mapped when the prompt is read. Measured is the highest
sum of private and mapped memory of the worker (/proc/PID/status, each 10 ms) from the end of
the load on, against the prediction for a context of so many tokens; and the highest private
memory while loading against its own, of formats that are made once also while they are made.
30B-A3B is the shape of Qwen3-30B-A3B; its experts are zeros that take no room on the disk, and
every one is chosen by some token: private and mapped memory are told apart, too.
"""

import argparse
import contextlib
import json
import random
import tempfile
import threading
import time
from pathlib import Path

from benchmarks import random_mixture
from benchmarks.figures import row
from benchmarks.random_model import Size
from benchmarks.support import tiny
from benchmarks.true_shape import put
from tui.checkpoints.memory_estimate import QUANTISED_DTYPES
from tui.engines.base import EngineError, Message, Request, SamplingOptions
from tui.engines.local import LocalEngine
from tui.events import Answered, Failed
from tui.host import memory
from tui.models import demo
from tui.models.resolved import ResolvedModel
from tui.run import plan

NEW = 64
PROMPTS = ("word " * 1440, "more " * 1440)
MANY_TOKENS = tuple(
    "".join(map(chr, random.Random(seed).choices(range(0x4E00, 0x9FA5), k=160)))
    for seed in range(2)
)
"""Prompts for which a mixture chooses all of its experts."""
VOCAB = 151936
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "max_position_embeddings": 32768,
    "torch_dtype": "bfloat16",
    "rms_norm_eps": 1e-6,
    "eos_token_id": VOCAB - 1,
}

SIZES = {
    "0.5B": Size(896, 24, 14, 2, 4864, VOCAB, tied=True),
    "1.5B": Size(1536, 28, 12, 2, 8960, VOCAB, tied=True),
    "7B": Size(3584, 28, 28, 4, 18944, VOCAB),
}


MIXTURE = "30B-A3B"


def write(folder: Path, name: str, layers: int) -> Path:
    """The checkpoint folder, unless it is there."""
    if (folder / "tokenizer.json").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    if name == MIXTURE:
        stops = {"eos_token_id": CONFIG["eos_token_id"]}
        random_mixture.write_weights(folder, layers, stops, is_sparse=True)
    else:
        put(folder / "model.safetensors", SIZES[name].tensors())
        (folder / "config.json").write_text(json.dumps(CONFIG | SIZES[name].config()))
    tiny.write_tokenizer(folder, stop=VOCAB - 1)
    return folder


class Highest:
    """The highest memory of an engine's worker, watched by a thread. Bytes."""

    def __init__(self, engine: LocalEngine) -> None:
        self._engine = engine
        self.private = self.both = self.mapped = 0
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            private, mapped = self._engine.memory()
            self.private = max(self.private, private)
            self.mapped = max(self.mapped, mapped)
            self.both = max(self.both, private + mapped)
            time.sleep(0.01)


def measure(name: str, checkpoint: Path, dtype: str, log: Path) -> None:
    subject = plan.size_of_model(ResolvedModel(name, name, "local", checkpoint, dtype))
    if dtype in QUANTISED_DTYPES or checkpoint.suffix == ".gguf":
        once = LocalEngine(checkpoint, dtype, 2, log)
        making = Highest(once)
        with contextlib.suppress(EngineError):
            once.load(lambda t_ns, body: None)
        once.close()
        needed = plan.memory_need(subject, NEW)
        row(
            f"{name}@{dtype}, making it",
            f"predicted {needed.load_peak / 1e6:.0f} MB, highest private memory "
            f"{making.private / 1e6:.0f} MB",
            "less than 1 GB above",
        )
    engine = LocalEngine(checkpoint, dtype, 2, log)
    highest = Highest(engine)
    try:
        engine.load(lambda t_ns, body: None)
        loading = highest.private
        highest.private = highest.both = highest.mapped = 0
        for number, prompt in enumerate(MANY_TOKENS if name == MIXTURE else PROMPTS):
            request = Request(number, (Message("user", prompt),), NEW, SamplingOptions(greedy=True))
            last = [body for _, body in engine.answer([request])][-1]
    except EngineError as error:
        row(f"{name}@{dtype}", f"left out: {error.message}")
        return
    finally:
        engine.close()
    if isinstance(last, Failed):
        row(f"{name}@{dtype}", f"failed: {last.message}")
        return
    assert isinstance(last, Answered)
    tokens = last.prompt_tokens + last.output_tokens
    needed = plan.memory_need(subject, tokens)
    row(
        f"{name}@{dtype}, {tokens} tokens",
        f"predicted {needed.total / 1e6:.0f} MB, measured {highest.both / 1e6:.0f} MB: "
        f"{needed.total / highest.both - 1:+.1%}",
        "within 10 %",
    )
    row(
        "  of it",
        f"private {highest.private / 1e6:.0f} MB, mapped {highest.mapped / 1e6:.0f} MB at most",
    )
    row(
        "  loading, private",
        f"predicted {needed.load_peak / 1e6:.0f} MB, measured {loading / 1e6:.0f} MB: "
        f"{needed.load_peak / loading - 1:+.1%}",
        "within 10 %",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["demo", "0.5B", "1.5B"])
    parser.add_argument("--dtypes", nargs="+", default=["bf16", "fp32", "int8", "int4"])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--layers", type=int, default=48, help=f"of {MIXTURE}")
    given = parser.parse_args()
    row("memory of the machine", f"{memory.limit() / 1e9:.1f} GB")
    with tempfile.TemporaryDirectory() as temporary:
        place = given.folder or Path(temporary)
        for name in given.models:
            if name == "demo":
                checkpoint = demo.fetch(lambda text: True, lambda stage, done, total: None)
            else:
                checkpoint = write(place / name, name, given.layers)
            for dtype in given.dtypes:
                measure(name, checkpoint, dtype, Path(temporary) / "log")


if __name__ == "__main__":
    main()
