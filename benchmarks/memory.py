"""Predicted memory beside measured: models of three sizes, each in several dtypes.

    python -m benchmarks.memory [--models demo 0.5B 1.5B 7B] [--dtypes bf16 fp32 int8 int4]

The demo is the real one; the others are random checkpoints of published shapes (Qwen2.5 as
Llama, bf16, written to a temporary folder or to --folder). Each is loaded by a worker and
answers a prompt of about 1,500 tokens with 64 more. Measured is the highest sum of private
and mapped memory of the worker (/proc/PID/status, each 10 ms) from the end of the load on,
against the prediction for a context of so many tokens; and the highest private memory while
loading against its own. Formats that are made once are made before anything is measured.
"""

import argparse
import contextlib
import json
import struct
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import row
from benchmarks.true_shape import BLOCK, noise
from tests.support import tiny
from tui.engines.base import EngineError, Message, Request, Sampling
from tui.engines.local import LocalEngine
from tui.events import Answered, Failed
from tui.host import memory
from tui.models import demo
from tui.models.memory import REDUCED
from tui.models.resolve import Resolved
from tui.run import plan

NEW = 64
PROMPT = "word " * 1440
VOCAB = 151936


@dataclass(frozen=True, slots=True)
class Size:
    """A published shape: hidden, layers, heads, key-value heads, feed-forward width."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    width: int
    tied: bool = True

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of all tensors."""
        head = self.hidden // self.heads
        found: dict[str, tuple[int, ...]] = {
            "model.embed_tokens.weight": (VOCAB, self.hidden),
            "model.norm.weight": (self.hidden,),
        }
        if not self.tied:
            found["lm_head.weight"] = (VOCAB, self.hidden)
        for n in range(self.layers):
            layer = f"model.layers.{n}."
            found[f"{layer}input_layernorm.weight"] = (self.hidden,)
            found[f"{layer}post_attention_layernorm.weight"] = (self.hidden,)
            for name, rows in (("q", self.heads), ("k", self.kv_heads), ("v", self.kv_heads)):
                found[f"{layer}self_attn.{name}_proj.weight"] = (rows * head, self.hidden)
            found[f"{layer}self_attn.o_proj.weight"] = (self.hidden, self.heads * head)
            for name in ("gate", "up"):
                found[f"{layer}mlp.{name}_proj.weight"] = (self.width, self.hidden)
            found[f"{layer}mlp.down_proj.weight"] = (self.hidden, self.width)
        return found

    def config(self) -> dict[str, object]:
        """config.json."""
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "hidden_size": self.hidden,
            "intermediate_size": self.width,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "max_position_embeddings": 32768,
            "vocab_size": VOCAB,
            "rms_norm_eps": 1e-6,
            "tie_word_embeddings": self.tied,
            "torch_dtype": "bfloat16",
            "eos_token_id": VOCAB - 1,
        }


SIZES = {
    "0.5B": Size(896, 24, 14, 2, 4864),
    "1.5B": Size(1536, 28, 12, 2, 8960),
    "7B": Size(3584, 28, 28, 4, 18944, tied=False),
}


def write(folder: Path, size: Size) -> Path:
    """The checkpoint folder, unless it is there."""
    if (folder / "tokenizer.json").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    header, end = {}, 0
    for name, shape in size.shapes().items():
        nbytes = 2 * shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [end, end + nbytes]}
        end += nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    block = noise()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for start in range(0, end, BLOCK):
            file.write(block[: min(BLOCK, end - start)])
    (folder / "config.json").write_text(json.dumps(size.config()))
    tiny.words(folder, stop=VOCAB - 1)
    return folder


class Highest:
    """The highest memory of an engine's worker, watched by a thread. Bytes."""

    def __init__(self, engine: LocalEngine) -> None:
        self._engine = engine
        self.private = self.both = 0
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            private, mapped = self._engine.memory()
            self.private = max(self.private, private)
            self.both = max(self.both, private + mapped)
            time.sleep(0.01)


def measure(name: str, checkpoint: Path, dtype: str, log: Path) -> None:
    subject = plan.subject_of(Resolved(name, name, "local", checkpoint, dtype))
    if dtype in REDUCED or checkpoint.suffix == ".gguf":
        once = LocalEngine(checkpoint, dtype, 2, log)
        with contextlib.suppress(EngineError):
            once.load(lambda t_ns, body: None)
        once.close()
    engine = LocalEngine(checkpoint, dtype, 2, log)
    highest = Highest(engine)
    try:
        engine.load(lambda t_ns, body: None)
        loading, highest.private, highest.both = highest.private, 0, 0
        request = Request(1, (Message("user", PROMPT),), NEW, Sampling(greedy=True))
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
    needed = plan.need(subject, tokens)
    row(
        f"{name}@{dtype}, {tokens} tokens",
        f"predicted {needed.total / 1e6:.0f} MB, measured {highest.both / 1e6:.0f} MB: "
        f"{needed.total / highest.both - 1:+.1%}",
        "within 10 %",
    )
    row(
        "  loading, private",
        f"predicted {needed.load / 1e6:.0f} MB, measured {loading / 1e6:.0f} MB: "
        f"{needed.load / loading - 1:+.1%}",
        "within 10 %",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["demo", "0.5B", "1.5B"])
    parser.add_argument("--dtypes", nargs="+", default=["bf16", "fp32", "int8", "int4"])
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    row("memory of the machine", f"{memory.limit() / 1e9:.1f} GB")
    with tempfile.TemporaryDirectory() as temporary:
        place = given.folder or Path(temporary)
        for name in given.models:
            if name == "demo":
                checkpoint = demo.fetch(lambda text: True, lambda stage, done, total: None)
            else:
                checkpoint = write(place / name, SIZES[name])
            for dtype in given.dtypes:
                measure(name, checkpoint, dtype, Path(temporary) / "log")


if __name__ == "__main__":
    main()
