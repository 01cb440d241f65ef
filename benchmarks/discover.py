"""Seconds to find and describe 50 checkpoints of 7B shape, and of the whole command
`duibi models list` over them: python -m benchmarks.discover

The headers are those of a 32-layer model in two shards; the weights are holes in the file.
"""

import json
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.support.checkpoints import LLAMA, llama_shapes
from tui.models.discover import discover

SEVEN_B = {
    **LLAMA, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 32, "vocab_size": 32000,
}  # fmt: skip


def sparse(path: Path, shapes: dict[str, tuple[int, ...]]) -> None:
    """A safetensors file with a real header and no blocks for its data."""
    header, end = {}, 0
    for name, shape in shapes.items():
        size = 2
        for extent in shape:
            size *= extent
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)


def prepare(root: Path, count: int) -> None:
    """``count`` checkpoint folders in a root."""
    shapes = llama_shapes(SEVEN_B)
    names = list(shapes)
    halves = names[: len(names) // 2], names[len(names) // 2 :]
    for n in range(count):
        folder = root / f"model-{n:02}"
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(SEVEN_B))
        (folder / "tokenizer.json").write_text("{}")
        weight_map: dict[str, str] = {}
        for part, half in enumerate(halves):
            shard = f"model-{part}.safetensors"
            sparse(folder / shard, {name: shapes[name] for name in half})
            weight_map |= dict.fromkeys(half, shard)
        index = json.dumps({"weight_map": weight_map})
        (folder / "model.safetensors.index.json").write_text(index)


def listed(root: Path) -> tuple[float, int]:
    """Seconds of the command from its start to its end, and how many models it lists."""
    program = str(Path(__file__).parent.parent)
    command = [sys.executable, "-m", "tui", "models", "list", "--json"]
    began = time.perf_counter()
    done = subprocess.run(
        command,
        cwd=root,
        env={**os.environ, "PYTHONPATH": program},
        capture_output=True,
        check=True,
    )
    return time.perf_counter() - began, len(json.loads(done.stdout))


def main() -> None:
    """Print medians of five, and the firsts, as one JSON object."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        os.environ |= {"MODELSCOPE_CACHE": str(root / "ms"), "HF_HUB_CACHE": str(root / "hf")}
        os.environ["DUIBI_CACHE_DIR"] = str(root / "cache")
        (root / "models").mkdir()
        prepare(root / "models", 50)
        taken = []
        for _ in range(5):
            began = time.perf_counter()
            found = discover([root / "models"])
            taken.append(time.perf_counter() - began)
        states = {one.state for one in found}
        runs = [listed(root / "models") for _ in range(5)]
    print(json.dumps({
        "checkpoints": len(found), "states": sorted(states),
        "first_s": round(taken[0], 3), "median_s": round(statistics.median(taken), 3),
        "command_lists": runs[0][1], "command_first_s": round(runs[0][0], 3),
        "command_median_s": round(statistics.median(took for took, _ in runs), 3),
        "command_max_s": round(max(took for took, _ in runs), 3),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
