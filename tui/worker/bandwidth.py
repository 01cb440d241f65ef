"""How fast this machine reads memory: ``python -m tui.worker.bandwidth THREADS``.

Prints bytes per second as one JSON number: the best of a few sums over a tensor that no
cache holds. Decoding one answer reads every weight for every token, so this is its limit.
"""

import json
import sys
import time

import torch

_BYTES = 1 << 29
_ROUNDS = 7


def measure(threads: int) -> float:
    """Bytes read per second with so many threads."""
    torch.set_num_threads(threads)
    values = torch.ones(_BYTES // 4, dtype=torch.float32)
    best = float("inf")
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        values.sum()
        best = min(best, time.perf_counter() - began)
    return _BYTES / best


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
