"""Memory of a Qwen checkpoint of true shape with random weights, in published format.

    python -m benchmarks.true_shape [--layers 32] [--tokens 16] [--dtype bf16] [--folder DIR]

Writes the checkpoint (32 layers: 15.4 GB, the shape of Qwen-7B-Chat; one block of noise
over and over, as the values change nothing that is measured), loads it in a child process
as the worker does, and prints the child's anonymous memory (RssAnon + VmSwap of
/proc/PID/status, sampled each 20 ms) before and after the first forward pass, also as a
share of the parameters. The checkpoint is removed afterwards unless --folder names a place.
"""

import argparse
import json
import os
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.figures import row
from tui.host import memory

HIDDEN, HEADS, FFN, VOCAB = 4096, 32, 11008, 151936
SHARD = 2_000_000_000
BLOCK = 16 << 20
_STRIDE = 2 * 104_729
"""Bytes by which the noise of a tensor begins behind that of the one before."""

CONFIG = {
    "architectures": ["QWenLMHeadModel"],
    "model_type": "qwen",
    "hidden_size": HIDDEN,
    "intermediate_size": 2 * FFN,
    "kv_channels": HIDDEN // HEADS,
    "layer_norm_epsilon": 1e-6,
    "max_position_embeddings": 32768,
    "num_attention_heads": HEADS,
    "rotary_emb_base": 10000,
    "seq_length": 8192,
    "tie_word_embeddings": False,
    "use_dynamic_ntk": True,
    "use_logn_attn": True,
    "vocab_size": VOCAB,
}


def shapes(layers: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes as Qwen-7B-Chat publishes them."""
    yield "transformer.wte.weight", (VOCAB, HIDDEN)
    for number in range(layers):
        block = f"transformer.h.{number}."
        yield block + "ln_1.weight", (HIDDEN,)
        yield block + "attn.c_attn.weight", (3 * HIDDEN, HIDDEN)
        yield block + "attn.c_attn.bias", (3 * HIDDEN,)
        yield block + "attn.c_proj.weight", (HIDDEN, HIDDEN)
        yield block + "ln_2.weight", (HIDDEN,)
        yield block + "mlp.w1.weight", (FFN, HIDDEN)
        yield block + "mlp.w2.weight", (FFN, HIDDEN)
        yield block + "mlp.c_proj.weight", (HIDDEN, FFN)
    yield "transformer.ln_f.weight", (HIDDEN,)
    yield "lm_head.weight", (VOCAB, HIDDEN)


def elements(shape: tuple[int, ...]) -> int:
    return shape[0] * (shape[1] if len(shape) > 1 else 1)


def shards(layers: int) -> list[list[tuple[str, tuple[int, ...]]]]:
    """The tensors divided into files of about 2 GB."""
    files: list[list[tuple[str, tuple[int, ...]]]] = [[]]
    size = 0
    for name, shape in shapes(layers):
        nbytes = 2 * elements(shape)
        if files[-1] and size + nbytes > SHARD:
            files.append([])
            size = 0
        files[-1].append((name, shape))
        size += nbytes
    return files


def noise() -> bytes:
    """Normal values of deviation 0.02 in bf16: the upper halves of float32."""
    import numpy

    values = numpy.random.default_rng(1).standard_normal(BLOCK // 2, dtype=numpy.float32)
    return (numpy.float32(0.02) * values).view("<u4").__rshift__(16).astype("<u2").tobytes()


def put(
    path: Path,
    shapes: Iterable[tuple[str, tuple[int, ...]]],
    zeros: str = "",
    given: Mapping[str, bytes] = {},
) -> int:
    """Write a safetensors file of bf16 tensors, one block of noise over and over; their bytes. Each
    begins elsewhere in it, the first at its beginning, so that a router's rows are no layer norm's
    weights. Tensors with ``zeros`` in their names are zeros that take no room on the disk;
    ``given`` are those of tensors by the end of their names."""
    header: dict[str, Any] = {}
    end = 0
    for key, shape in shapes:
        stop = end + 2 * elements(shape)
        header[key] = {"dtype": "BF16", "shape": shape, "data_offsets": [end, stop]}
        end = stop
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    block = noise()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for number, (key, one) in enumerate(header.items()):
            start, stop = one["data_offsets"]
            if zeros and zeros in key:
                file.seek(stop - start, os.SEEK_CUR)
                continue
            if own := next((one for end, one in given.items() if key.endswith(end)), None):
                file.write(own)
                continue
            shift = number * _STRIDE % BLOCK
            turned = block[shift:] + block[:shift] if shift else block
            for at in range(start, stop, BLOCK):
                file.write(turned[: min(BLOCK, stop - at)])
        file.truncate(8 + len(text) + end)
    return end


def write(folder: Path, layers: int) -> int:
    """Write the checkpoint; the number of its parameters."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({**CONFIG, "num_hidden_layers": layers}))
    files = shards(layers)
    weight_map: dict[str, str] = {}
    parameters = 0
    for number, tensors in enumerate(files, 1):
        name = f"model-{number:05}-of-{len(files):05}.safetensors"
        weight_map |= {key: name for key, _ in tensors}
        parameters += put(folder / name, tensors) // 2
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return parameters


class Peak:
    """The highest anonymous memory of this process, in bytes, sampled by a thread."""

    def __init__(self) -> None:
        self.highest = 0
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            self.look()
            time.sleep(0.02)

    def look(self) -> int:
        private, _ = memory.process_memory(os.getpid())
        self.highest = max(self.highest, private)
        return private


def measure(folder: Path, dtype: str, tokens: int) -> None:
    """In the child: load, one forward pass, and the figures as one JSON object."""
    import torch
    import transformers  # noqa: F401 (its memory belongs to the base)

    from tui.worker.load.loader import open_weights

    peak = Peak()
    base = peak.look()
    began = time.monotonic()
    _, model = open_weights(folder, dtype)
    loaded, load_peak, load_s = peak.look(), peak.highest, time.monotonic() - began
    began = time.monotonic()
    with torch.inference_mode():
        model(torch.arange(1, tokens + 1)[None])
    forward_s = time.monotonic() - began
    peak.look()
    _, mapped = memory.process_memory(os.getpid())
    figures = {
        "base": base,
        "loaded": loaded,
        "load_peak": load_peak,
        "peak": peak.highest,
        "mapped": mapped,
        "load_s": load_s,
        "forward_s": forward_s,
    }
    print(json.dumps(figures))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--dtype", choices=("bf16", "fp16", "fp32"), default="bf16")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        measure(given.folder, given.dtype, given.tokens)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        parameters = write(folder, given.layers)
        command = [sys.executable, "-m", "benchmarks.true_shape", "--measure"]
        command += ["--folder", str(folder), "--dtype", given.dtype, "--tokens", str(given.tokens)]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    found = json.loads(done.stdout)
    nbytes = parameters * (4 if given.dtype == "fp32" else 2)
    row("parameters", f"{parameters / 1e9:.2f} G, {nbytes / 1e9:.2f} GB in {given.dtype}")
    row("anonymous, torch and transformers imported", f"{found['base'] / 1e6:.0f} MB")
    row("anonymous, before the first forward", f"{found['loaded'] / 1e6:.0f} MB", "< 300 MB")
    row("highest anonymous while loading", f"{found['load_peak'] / 1e6:.0f} MB")
    row("highest anonymous, forward included", f"{found['peak'] / 1e6:.0f} MB")
    row("  of the parameters", f"{found['peak'] / nbytes:.3f} x", "< 1.05 x")
    row("mapped from the files afterwards", f"{found['mapped'] / 1e9:.2f} GB")
    row("load", f"{found['load_s']:.2f} s")
    row(f"first forward, {given.tokens} tokens", f"{found['forward_s']:.2f} s")


if __name__ == "__main__":
    main()
