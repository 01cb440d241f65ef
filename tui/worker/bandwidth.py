"""How fast a device reads its memory: ``python -m tui.worker.bandwidth THREADS DEVICE``.

Prints bytes per second as one JSON number: the best of a few sums over a tensor that no
cache holds. Decoding one answer reads every weight for every token, so this is its limit.
"""

import json
import sys
import time

import torch

_BYTES = 1 << 29
_ROUNDS = 7


def measure(threads: int, device: str) -> float:
    """Bytes read per second by ``cpu`` with so many threads, or by ``cuda``."""
    torch.set_num_threads(threads)
    values = torch.ones(_BYTES // 4, dtype=torch.float32, device=device)
    best = float("inf")
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        # As a number: a GPU has then finished.
        values.sum().item()
        best = min(best, time.perf_counter() - began)
    return _BYTES / best


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]), sys.argv[2])))
